//! Camelpost: an SMTP server that runs qpsmtpd's Perl plugins unchanged, with native Rust
//! plugins in the same chain. See ARCHITECTURE.md for the layers.

pub mod base;
pub mod chain;
pub mod cli;
pub mod config;
#[doc(hidden)]
pub mod fuzz;
pub mod hook;
pub mod log;
pub mod mail;
pub mod net;
pub mod perl;
pub mod plugin;
pub mod plugins;
pub mod server;
pub mod session;
pub mod smtp;
pub mod watch;

use plugin::{Plugin, Registry};

/// The program with the native plugins that ship; `plugin` adds one's own, and `run` is main.
pub fn builder() -> Builder {
    let mut registry = Registry::default();
    plugins::register(&mut registry);
    Builder { registry }
}

/// See [`builder`].
pub struct Builder {
    registry: Registry,
}

impl Builder {
    /// Makes a native plugin known to `native/NAME` lines of config/plugins.
    pub fn plugin<P: Plugin>(mut self) -> Builder {
        self.registry.add::<P>();
        self
    }

    /// The whole program: reads the command line and does what it says.
    pub fn run(self) -> std::process::ExitCode {
        let registry = self.registry;
        let scripts = cli::Scripts {
            perl: net::run_perl,
            prove: net::prove,
        };
        let engine = |settings: cli::EngineSettings| net::SmtpEngine {
            config: settings.config,
            rdns: settings.rdns,
            log_pid: settings.log_pid,
            registry,
        };
        cli::run(engine, &scripts)
    }
}
