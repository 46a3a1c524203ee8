//! Camelpost: an SMTP server that runs qpsmtpd's Perl plugins unchanged, with native Rust
//! plugins in the same chain of the same `config/plugins`.
//!
//! The program is `camelpost`. This library is for authors of native plugins: a plugin is a type that
//! implements [`plugin::Plugin`], and a program with it is [`builder`] and two calls.
//!
//! ```no_run
//! use camelpost::plugin::{
//!     HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, declined, deny,
//! };
//! use serde::Deserialize;
//!
//! /// `native/no_one [text TEXT]`: refuses mail for local parts that are empty.
//! struct NoOne {
//!     text: String,
//! }
//!
//! #[derive(Deserialize)]
//! struct Args {
//!     #[serde(default)]
//!     text: Option<String>,
//! }
//!
//! impl Plugin for NoOne {
//!     const NAME: &'static str = "no_one";
//!     type Args = Args;
//!
//!     fn load(args: Args, _: &LoadEnv<'_>) -> Result<NoOne, PluginError> {
//!         let text = args.text.unwrap_or_else(|| "whom do you mean?".to_owned());
//!         Ok(NoOne { text })
//!     }
//!
//!     fn hooks(hooks: &mut Hooks<NoOne>) {
//!         hooks.rcpt(NoOne::rcpt);
//!     }
//! }
//!
//! impl NoOne {
//!     async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
//!         match cx.recipient().user() == Some(b"") {
//!             true => deny(&*self.text),
//!             false => declined(),
//!         }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     camelpost::builder().plugin::<NoOne>().run()
//! }
//! ```
//!
//! [`testing`] plays a session against it in a test's own process.
//!
//! A plugin that fails or panics has died for that call alone (`on_error` of plugin_settings says what that
//! means), and one that takes too long is given up. What is hidden here is the program's own: it
//! changes without notice. See ARCHITECTURE.md for the layers.

// Not in Cargo.toml's table: the suites' own modules need no such care.
#![deny(unreachable_pub)]

pub mod config;
pub mod hook;
pub mod mail;
pub mod plugin;
pub mod smtp;
pub mod testing;

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
pub mod store;
#[doc(hidden)]
pub mod watch;

mod base;
#[doc(hidden)]
pub use base::log;
mod chain;

/// The allocator of the program `camelpost`, for the `#[global_allocator]` of one's own: perl uses it, too, and
/// a worker takes less time and memory with it.
pub use mimalloc::MiMalloc as Allocator;

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
        let program = cli::Program {
            perl: net::run_perl,
            prove: net::prove,
            natives: registry.names().collect(),
            check: {
                let registry = registry.clone();
                Box::new(move |what, report| net::check::check(what, &registry, report))
            },
            hooks: {
                let registry = registry.clone();
                Box::new(move |config, hook, tell| net::hooks::hooks(config, hook, &registry, tell))
            },
        };
        let engine = |settings: cli::EngineSettings| net::SmtpEngine {
            config: settings.config,
            rdns: settings.rdns,
            log_pid: settings.log_pid,
            log_format: settings.log_format,
            tells_refusals: settings.tells_refusals,
            registry,
        };
        cli::run(engine, &program)
    }
}
