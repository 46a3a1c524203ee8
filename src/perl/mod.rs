//! The Perl bridge: the only place that knows libperl. Safe Rust above it sees values, calls,
//! and a host that runs the Perl plugins of a chain. Knows no session logic: what Perl code
//! asks of its session goes through `Port`.

mod exchange;
pub mod fast;
pub mod ffi;
pub mod host;
mod xs;

pub use exchange::turn;
pub use exchange::{forget, secured, stdio, take_ends};
pub use fast::grammar;
pub use ffi::value::{Dropped, PerlValue, Sv, any_dropped, release_dropped};
pub use ffi::{call, interpreter, interrupt};
pub use host::chain::{Chain, Progress};
pub use host::load::{make, start};
pub use host::methods::Values;
pub use host::{log, port, scripted};
