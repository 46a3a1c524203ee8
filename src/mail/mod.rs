//! What a session holds: the connection, the mail transaction with envelope, header and body,
//! and the notes that plugins share. Knows neither Perl nor I/O other than its spool file.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod address;
mod body;
mod connection;
mod face;
mod fields;
mod foreign;
mod header;
mod leftovers;
mod lines;
mod locals;
mod notes;
mod transaction;

pub use address::EnvelopeAddress;
pub use body::{Body, BodyError, Readiness, Spool};
pub use connection::{
    Connection, HELLO_HOST, LOCAL_IP, LOCAL_PORT, REMOTE_HOST, REMOTE_INFO, REMOTE_IP, REMOTE_PORT,
    UNKNOWN,
};
pub use face::Faces;
pub use fields::{Field, FieldError, check as check_field};
pub use foreign::{Foreign, Shown};
pub use header::{Header, HeaderSlot};
pub use leftovers::remove_left_by;
pub use locals::Locals;
pub use notes::{Note, Notes};
pub use transaction::Transaction;
