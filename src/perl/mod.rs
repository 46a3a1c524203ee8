//! The Perl bridge: the only place that knows libperl. Safe Rust above it sees values, calls,
//! and a host that runs the Perl plugins of a chain. Knows no session logic: what Perl code
//! asks of its session goes through `Port`.

mod exchange;
pub mod fast;
pub mod ffi;
pub mod host;
mod load;
mod xs;

pub use exchange::{forget, secured, stdio, take_ends};
pub use fast::grammar;
pub use ffi::dropped::{Dropped, any_dropped, release_dropped};
pub use ffi::value::{PerlValue, Sv};
pub use ffi::{call, interpreter, interrupt, stray};
pub use host::chain::{Chain, Progress};
pub use host::methods::Values;
pub use host::turn;
pub use host::{log, port, script};
pub use load::{make, start};
