//! What the processes say to each other: channels, their messages, a worker's link to the supervisor, and
//! the system calls that none of them can do without.

pub(super) mod bounded;
pub(super) mod channel;
pub(super) mod fuzzed;
pub(super) mod link;
pub(super) mod message;
pub(super) mod process;
pub(super) mod wire;
