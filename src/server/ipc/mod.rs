//! What the processes say to each other: channels and their words, and a worker's link to the supervisor.

pub(super) mod bounded;
pub(super) mod channel;
pub(super) mod fuzzed;
pub(super) mod link;
pub(super) mod message;
pub(super) mod wire;
