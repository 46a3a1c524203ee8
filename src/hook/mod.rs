//! The hooks by qpsmtpd's names, what a plugin may answer, and a call of a hook with its
//! arguments. Does not know who handles a hook, nor what a session does with the verdict.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arg;
mod call;
mod method;
mod name;
mod table;
mod verdict;

pub use arg::Arg;
pub use call::HookCall;
pub use method::{Method, MethodSet};
pub use name::Hook;
pub(crate) use table::with_hooks;
pub use table::{Facts, Kind};
pub use verdict::{Code, Verdict};
