//! Native plugins: the trait, the contexts in which their hooks run, and the registry from
//! which `native/NAME` lines of config/plugins are served. Knows nothing of Perl; a native
//! plugin's place in the chain is its line's.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod context;
mod registry;
#[doc(hidden)]
pub mod tls;
#[doc(hidden)]
pub mod twin;

pub use context::{Context, HelloContext, MailContext, RcptContext, SessionAccess};
pub use registry::{Handler, Hooks, Natives, PluginArgs, PluginError, Registry};

use crate::config::ConfigDir;

/// A plugin written in Rust. An object is made once per config line, before workers are
/// forked; each worker has its own copy of it.
///
/// A hook must hold no lock across an await: a Perl plugin may run meanwhile and come back to
/// this one.
pub trait Plugin: Sized + 'static {
    /// The name after `native/` in config/plugins.
    const NAME: &'static str;

    /// Reads the arguments of the config line.
    fn load(args: &PluginArgs, config: &ConfigDir) -> Result<Self, PluginError>;

    /// Says which hooks the plugin has.
    fn register(hooks: &mut Hooks<Self>);
}
