//! Camelpost: an SMTP server that runs qpsmtpd's Perl plugins unchanged, with native Rust
//! plugins in the same chain of the same `config/plugins`.
//!
//! The program is `camelpost`. This library is for authors of native plugins: a plugin is a type that
//! implements [`plugin::Plugin`], and a program with it is [`builder`] and two calls.
//!
//! ```no_run
//! use camelpost::config::ConfigDir;
//! use camelpost::hook::{Code, Verdict};
//! use camelpost::plugin::{Hooks, Plugin, PluginArgs, PluginError, RcptContext};
//!
//! /// `native/no_one`: refuses mail for local parts that are empty.
//! struct NoOne;
//!
//! impl Plugin for NoOne {
//!     const NAME: &'static str = "no_one";
//!
//!     fn load(_: &PluginArgs, _: &ConfigDir) -> Result<NoOne, PluginError> {
//!         Ok(NoOne)
//!     }
//!
//!     fn register(hooks: &mut Hooks<NoOne>) {
//!         hooks.on_rcpt(NoOne::rcpt);
//!     }
//! }
//!
//! impl NoOne {
//!     async fn rcpt(&self, cx: &mut RcptContext<'_>) -> Verdict {
//!         let recipient = cx.recipient();
//!         match recipient.is_some_and(|to| to.data.address.borrow().user() == Some(b"")) {
//!             true => Verdict::with_text(Code::Deny, "whom do you mean?"),
//!             false => Verdict::declined(),
//!         }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     camelpost::builder().plugin::<NoOne>().run()
//! }
//! ```
//!
//! A plugin that panics has died for that call alone (`on_error` of plugin_settings says what that
//! means), and one that takes too long is given up. What is hidden here is the program's own: it
//! changes without notice. See ARCHITECTURE.md for the layers.

// Not in Cargo.toml's table: the suites' own modules need no such care.
#![deny(unreachable_pub)]

pub mod config;
pub mod hook;
pub mod mail;
pub mod plugin;
pub mod smtp;

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod net;
#[doc(hidden)]
pub mod perl;
#[doc(hidden)]
pub mod plugins;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod watch;

mod base;
#[doc(hidden)]
pub use base::log;
mod chain;

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
