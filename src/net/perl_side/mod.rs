//! What sessions have of Perl in a worker with an interpreter: the pump by which Perl code runs outside
//! of the runtime, whose turn it is, and the session as Perl code reaches it.

pub mod once;
pub mod port;
pub mod pump;
pub mod session;
pub mod stage;
pub mod waker;
