//! What a hook of a native plugin gives: a verdict, or why there is none; and why a plugin could not
//! be loaded. What a failure means for the session is the chain's to say (`on_error`).

use std::error::Error;
use std::fmt;

use crate::config::ConfigError;
use crate::hook::{Code, Verdict};

/// Why a hook has come to no verdict. For the session it is what a die is in Perl: the log names the
/// plugin and this text, and `on_error` of plugin_settings says what becomes of the command.
///
/// Every error is one, so that `?` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure for this reason.
    pub fn new(reason: impl Into<String>) -> Failure {
        Failure(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// It is none itself: else this would be one implementation too many.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let more = error.to_string();
            // Many say in their own text what they are made of.
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            source = error.source();
        }
        Failure(text)
    }
}

/// What a hook gives. An error ends that call as a die does in Perl.
pub type HookResult = Result<Verdict, Failure>;

/// Nothing to say: the next plugin is asked.
pub fn declined() -> HookResult {
    Ok(Verdict::declined())
}

/// Done, or allowed.
pub fn ok() -> HookResult {
    Ok(Verdict::new(Code::Ok))
}

/// Done, with a text: the client's reply in `queue` and its like, the value in `received_line`.
pub fn ok_with(text: impl Into<Vec<u8>>) -> HookResult {
    Ok(Verdict::with_text(Code::Ok, text))
}

/// The values of a config name, from the hooks `config` and `user_config`.
pub fn values<T: Into<Vec<u8>>>(values: impl IntoIterator<Item = T>) -> HookResult {
    let mut verdict = Verdict::new(Code::Ok);
    verdict.values = values.into_iter().map(|value| Some(value.into())).collect();
    Ok(verdict)
}

/// Refused for good (5xx), with the reply's text; without one (`""`) it is the hook's own.
pub fn deny(text: impl Into<Vec<u8>>) -> HookResult {
    Ok(with_reply(Code::Deny, text.into()))
}

/// Refused for now (4xx).
pub fn denysoft(text: impl Into<Vec<u8>>) -> HookResult {
    Ok(with_reply(Code::DenySoft, text.into()))
}

/// Refused for good, and the client is sent away.
pub fn deny_disconnect(text: impl Into<Vec<u8>>) -> HookResult {
    Ok(with_reply(Code::DenyDisconnect, text.into()))
}

/// Refused for now, and the client is sent away.
pub fn denysoft_disconnect(text: impl Into<Vec<u8>>) -> HookResult {
    Ok(with_reply(Code::DenySoftDisconnect, text.into()))
}

/// The plugin has seen to everything, the reply too.
pub fn done() -> HookResult {
    Ok(Verdict::new(Code::Done))
}

fn with_reply(code: Code, text: Vec<u8>) -> Verdict {
    match text.is_empty() {
        true => Verdict::new(code),
        false => Verdict::with_text(code, text),
    }
}

/// Why a native plugin could not be loaded: what was found, and what to do. The file and the line of
/// the plugin stand before it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// What is wrong with the configuration as a whole.
    #[error("{0}")]
    Other(String),
    /// What is wrong with an argument of the line.
    #[error("argument '{name}' {problem}")]
    Argument {
        /// The argument's name.
        name: String,
        /// What is wrong, and what is allowed ("takes a number up to 10, not '11'").
        problem: String,
    },
    /// What is wrong with a config file.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl PluginError {
    /// What is wrong, in words.
    pub fn new(problem: impl Into<String>) -> PluginError {
        PluginError::Other(problem.into())
    }

    /// What is wrong with an argument: `problem` goes on after its name ("takes ..., not ...").
    pub fn argument(name: impl Into<String>, problem: impl Into<String>) -> PluginError {
        PluginError::Argument {
            name: name.into(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the backend does not answer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn an_error_becomes_a_failure_with_what_it_came_from() {
        fn hook() -> HookResult {
            Err(Outer("x".parse::<u8>().unwrap_err()))?
        }
        let failure = hook().unwrap_err();
        let expected = "the backend does not answer: invalid digit found in string";
        assert_eq!(failure.to_string(), expected);
    }

    #[test]
    fn a_denial_without_a_text_leaves_the_reply_to_the_hook() {
        assert!(deny("").unwrap().values.is_empty());
        assert_eq!(denysoft("later").unwrap().text(), Some(&b"later"[..]));
    }
}
