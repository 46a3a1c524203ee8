//! What sessions have of Perl in a worker with an interpreter: the pump by which Perl code runs outside
//! of the runtime, whose turn it is, and the session as Perl code reaches it.

pub(super) mod once;
pub(super) mod port;
pub(super) mod pump;
pub(super) mod session;
pub(super) mod stage;
pub(super) mod waker;
