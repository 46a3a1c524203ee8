//! Joins session, chain and transport: drives the session's steps over a socket, with Perl
//! plugins through the pump and native ones awaited in place.

#![forbid(unsafe_code)]

pub(crate) mod check;
mod client;
pub(crate) mod hooks;
mod perl_side;
mod process;
mod scripted;
mod session;
mod trial;

pub use process::engine::SmtpEngine;
pub(crate) use process::in_memory::converse;
pub(crate) use process::load::load;
pub use scripted::{prove, run as run_perl};
