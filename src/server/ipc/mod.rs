//! What the processes say to each other: channels, their messages, a worker's link to the supervisor, and
//! the system calls that none of them can do without.

pub mod bounded;
pub mod channel;
pub mod fuzzed;
pub mod link;
pub mod message;
pub mod process;
pub mod wire;
