//! What the test suites have in common: a site to run the daemon in, the daemon, its log, a client of it,
//! ports, and the servers that plugins talk to. Every wait has an end.
//!
//! It knows no suite. The program under test is the caller's `env!("CARGO_BIN_EXE_camelpost")`, which cargo
//! tells to integration tests only. What one suite alone needs stands with that suite.

#![forbid(unsafe_code)]

pub mod client;
pub mod connection;
pub mod daemon;
pub mod debian;
pub mod dns;
pub mod golden;
pub mod log;
pub mod own;
pub mod plugins;
pub mod port;
pub mod process;
pub mod random;
pub mod server;
pub mod site;
pub mod stub;

use std::path::Path;
use std::time::{Duration, Instant};

pub use client::Client;
pub use connection::Connection;
pub use daemon::Daemon;
pub use port::{Port, free_port};
pub use process::{me, stop, wait};
pub use server::{Server, Setup};
pub use site::Site;

/// How long anything may take that must come: ample on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The original's daemon, of Debian's package.
pub const ORIGINAL: &str = "/usr/bin/qpsmtpd-forkserver";

/// Camelpost's repository.
pub fn repository() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("this crate is two directories below the repository")
}

/// Waits for `found` to find something.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
