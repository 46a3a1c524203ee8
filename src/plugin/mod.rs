//! Native plugins: the trait, the contexts in which their hooks run, what they may use there, and the
//! registry from which `native/NAME` lines of config/plugins and config/logging are served. Knows
//! nothing of Perl; a native plugin's place in the chain is its line's.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod access;
mod args;
mod contexts;
mod cx;
mod facade;
mod failure;
mod hooks;
mod no_session;
mod parser;
mod policy;
mod registry;
mod services;
#[doc(hidden)]
pub mod tls;
#[doc(hidden)]
pub mod twin;

pub use access::Peek;
#[doc(hidden)]
pub use access::{EditHeader, Later, NoteValues, SessionAccess};
pub use args::{Size, Words};
pub use contexts::{
    AuthCx, CommandCx, ConfigCx, HelloCx, HelpCx, LoggingCx, MailCx, ParseCx, PathCx,
    PreConnectionCx, RcptCx, ReceivedLineCx, UserConfigCx, VerdictCx,
};
pub use cx::Cx;
pub use facade::{
    Auth, Chunks, Client, Envelope, HeaderHandle, Lines, Local, Message, NotesHandle,
};
pub use failure::{
    Failure, HookResult, PluginError, declined, deny, deny_disconnect, denysoft,
    denysoft_disconnect, done, ok, ok_with, values,
};
pub use hooks::{Handler, Hooks, Plain};
#[doc(hidden)]
pub use no_session::NoSession;
pub(crate) use parser::NativeParser;
pub use parser::{Parsed, parse_with};
pub(crate) use registry::without_number;
pub use registry::{LoadEnv, Natives, PREFIX, Registry};

pub use crate::base::PerProcess;
pub use services::{
    Change, ConfigValue, Dns, DnsAnswer, DnsData, DnsKind, DnsRecord, Http, HttpRequest,
    HttpResponse, Mx, Store, WrongValue, Zone, reversed,
};
pub(crate) use services::{Job, use_zone};

use serde::de::DeserializeOwned;

/// A plugin written in Rust. An object is made once per config line, before workers are
/// forked; each worker has its own copy of it.
///
/// A hook must hold no lock across an await: a Perl plugin may run meanwhile and come back to
/// this one.
pub trait Plugin: Sized + 'static {
    /// The name after `native/` in config/plugins. `native/NAME:N` is another one of the same.
    const NAME: &'static str;

    /// The arguments of the line: a struct with serde's Deserialize, whose fields are the names of
    /// `name value` pairs; [`Words`] where their places count; `()` where there are none. What the
    /// struct does not know ends the load.
    type Args: DeserializeOwned + 'static;

    /// Whether the line may have `reject` and `reject_type`, which `get_reject` in the hooks goes by.
    /// `loglevel` every line may have whose arguments have names.
    const REJECTS: bool = false;

    /// Words that `reject` may have besides those for yes, no and `naughty`, where the plugin tells them apart
    /// ([`LoadEnv::words`]): each stands for yes.
    const REJECT_WORDS: &'static [&'static str] = &[];

    /// Makes the plugin of its arguments, when the service starts or reloads: with no socket, no thread
    /// and no runtime, as workers are forked from here.
    fn load(args: Self::Args, env: &LoadEnv<'_>) -> Result<Self, PluginError>;

    /// Says which hooks the plugin has.
    fn hooks(hooks: &mut Hooks<Self>);
}
