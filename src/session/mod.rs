//! The SMTP session as a state machine without I/O: it takes bytes, verdicts and config values
//! and gives steps (read, run a hook, get config, reply, close). The same machine serves the
//! network driver, calls from plugins (`run_hooks`, `reset_transaction`, `disconnect`) and
//! tests. Knows neither sockets nor tokio nor Perl.

#![forbid(unsafe_code)]

mod machine;
mod state;

pub use machine::{Answer, Machine, Outcome, ReadEvent, Step};
pub use state::{Profile, Settings, State};
