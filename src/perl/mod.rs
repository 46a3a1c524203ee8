//! The Perl bridge: the only place that knows libperl. Safe Rust above it sees values, calls,
//! and a host that runs the Perl plugins of a chain. Knows no session logic: what Perl code
//! asks of its session goes through `Port`.

mod answer;
pub mod call;
mod chain;
mod config_hook;
mod exchange;
pub mod grammar;
pub mod host;
mod identity;
mod idle;
pub mod interpreter;
pub mod interrupt;
mod keys;
mod load;
pub mod log;
mod methods;
mod number;
mod object;
mod owners;
pub mod port;
mod process_state;
pub mod scripted;
mod session;
mod site;
mod stderr;
pub mod stdio;
mod stored;
#[rustfmt::skip]
mod sys;
pub mod turn;
mod unfit;
mod value;
mod verbs;
mod xs;

pub use chain::{Chain, Progress};
pub use exchange::{forget, take_ends};
pub use load::{make, start};
pub use methods::Values;
pub use value::{Dropped, PerlValue, Sv, any_dropped, release_dropped};
