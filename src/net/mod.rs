//! Joins session, chain and transport: drives the session's steps over a socket, with Perl
//! plugins through the pump and native ones awaited in place.

#![forbid(unsafe_code)]

mod access;
mod apart;
mod bell;
mod confined;
mod driver;
mod engine;
mod flag;
mod inetd;
mod load;
mod log;
mod native;
mod own;
mod patience;
mod port;
mod pump;
mod rdns;
mod scripted;
mod session;
mod stage;
mod stream;
mod transport;
mod worker;

pub use engine::SmtpEngine;
pub use scripted::{prove, run as run_perl};
