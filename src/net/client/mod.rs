//! The client's side of a session: its socket, what is read and written there, and how long it may take.
//! Knows nothing of Perl.

pub(super) mod patience;
pub(super) mod stream;
pub(super) mod tls;
pub(super) mod transport;
