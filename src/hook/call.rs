//! A call of a hook: which one, and the arguments after the transaction.

use super::arg::Arg;
use super::name::Hook;

/// A hook to run, with its arguments. The transaction is the session's present one.
#[derive(Debug, Clone)]
pub struct HookCall {
    /// Which hook.
    pub hook: Hook,
    /// After the plugin and the transaction.
    pub args: Vec<Arg>,
}

impl HookCall {
    /// A call without arguments.
    pub fn new(hook: Hook) -> HookCall {
        HookCall {
            hook,
            args: Vec::new(),
        }
    }

    /// A call with these arguments.
    pub fn with(hook: Hook, args: Vec<Arg>) -> HookCall {
        HookCall { hook, args }
    }

    /// Whether it is about a command that the session does not know, with this verb.
    pub fn is_for_verb(&self, verb: &[u8]) -> bool {
        let word = self.args.first().and_then(Arg::text);
        word.is_some_and(|word| word.eq_ignore_ascii_case(verb))
    }
}
