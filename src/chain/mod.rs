//! What a hook's chain of plugins comes to: qpsmtpd's run_hooks for plugins of both kinds. The order,
//! the weighing of verdicts, quiet hooks, the hooks `ok` and `deny`, YIELD, the texts for the log, the
//! guard around each call, the form of a log line and the look-up of a config value are here, once.
//! Does not know who calls a plugin, nor what a session makes of a verdict.

#![forbid(unsafe_code)]

mod course;
mod given;
mod guard;
mod line;
mod lookup;

pub(crate) use course::{Around, Called, Course, Plugins, advance};
pub(crate) use given::Given;
pub(crate) use guard::{Guard, Guards};
pub(crate) use line::line;
pub(crate) use lookup::{Defaults, default_of, look_up};
