//! What the processes run: loading in the zygote, a worker's life, a session that goes on in a process of
//! its own, and a process of one session.

mod confined;
pub mod engine;
pub mod fork_out;
pub mod load;
pub mod one_session;
pub mod worker;
