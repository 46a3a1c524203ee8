//! The session's parts as native plugins hold them: each is a handle that borrows nothing, so that none
//! can be held across an await that another plugin's code runs in.

mod auth;
mod client;
mod envelope;
mod header;
mod local;
mod message;
mod notes;

pub use auth::Auth;
pub use client::Client;
pub use envelope::Envelope;
pub use header::HeaderHandle;
pub use local::Local;
pub use message::{Chunks, Lines, Message};
pub use notes::NotesHandle;
