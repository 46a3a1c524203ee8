//! The client's side of a session: its socket, what is read and written there, and how long it may take.
//! Knows nothing of Perl.

pub mod patience;
pub mod stream;
pub mod transport;
