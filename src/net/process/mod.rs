//! What the processes run: loading in the zygote, a worker's life, a session that goes on in a process of
//! its own, and a process of one session.

mod confined;
pub(super) mod engine;
pub(super) mod fork_out;
pub(super) mod in_memory;
pub(super) mod load;
pub(super) mod one_session;
pub(super) mod post_fork;
mod refusals;
mod service_line;
pub(super) mod threads;
mod twins;
pub(super) mod worker;
