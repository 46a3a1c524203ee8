//! What a parse hook of a native plugin answers: how the line behind a verb is to be read. Does not
//! know what the session makes of its parts.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::failure::HookResult;
use crate::hook::{Arg, Code, Verdict};
use crate::mail::Foreign;

/// The parts of a command line, as a parser has found them.
#[derive(Debug, Clone)]
pub struct Parsed(Vec<Vec<u8>>);

impl Parsed {
    /// Of MAIL or RCPT: the path with its `<>`. `with` adds a parameter.
    pub fn path(path: impl Into<Vec<u8>>) -> Parsed {
        Parsed(vec![path.into()])
    }

    /// Of HELO or EHLO: the host. `with` adds a word for the hook's further arguments.
    pub fn host(host: impl Into<Vec<u8>>) -> Parsed {
        Parsed(vec![host.into()])
    }

    /// Of AUTH: the mechanism. `with` adds the initial response.
    pub fn mechanism(mechanism: impl Into<Vec<u8>>) -> Parsed {
        Parsed(vec![mechanism.into()])
    }

    /// With one more: `NAME=VALUE` where it is a parameter.
    pub fn with(mut self, word: impl Into<Vec<u8>>) -> Parsed {
        self.0.push(word.into());
        self
    }
}

/// Reads the line behind the verb; an error is the text of the 501.
type Parse = dyn Fn(&[u8]) -> Result<Parsed, Vec<u8>>;

/// The verdict of a parse hook: the rest of the line is read by this. It is called where the line is
/// not empty, at once; an error is the text of a 501.
pub fn parse_with(parse: impl Fn(&[u8]) -> Result<Parsed, Vec<u8>> + 'static) -> HookResult {
    let mut verdict = Verdict::new(Code::Ok);
    verdict.parser = Some(Box::new(NativeParser(Rc::new(parse))));
    Ok(verdict)
}

/// A native plugin's parser on its way through the session.
#[derive(Clone)]
pub(crate) struct NativeParser(Rc<Parse>);

impl NativeParser {
    /// The parser, where it is a native one.
    pub(crate) fn of(parser: &dyn Foreign) -> Option<&NativeParser> {
        parser.as_any().downcast_ref()
    }

    /// What it makes of the rest of a line, as a parser of Perl's returns it. One that panics has refused
    /// the line; the error is for the log.
    pub(crate) fn call(&self, rest: &[u8]) -> (Vec<Arg>, Option<String>) {
        let number = |code: Code| {
            let number = code.number().unwrap_or_default();
            Arg::Bytes(number.to_string().into_bytes())
        };
        match catch_unwind(AssertUnwindSafe(|| (self.0)(rest))) {
            Ok(Ok(Parsed(parts))) => {
                let parts = parts.into_iter().map(Arg::Client);
                (
                    std::iter::once(number(Code::Ok)).chain(parts).collect(),
                    None,
                )
            }
            Ok(Err(reason)) => (vec![number(Code::Deny), Arg::Bytes(reason)], None),
            Err(_) => {
                let shown = String::from_utf8_lossy(rest);
                let told = format!("a native plugin's parser panicked at [{shown}]");
                (vec![number(Code::Deny), Arg::of_client(rest)], Some(told))
            }
        }
    }
}

impl std::fmt::Debug for NativeParser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NativeParser")
    }
}

impl Foreign for NativeParser {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn share(&self) -> Box<dyn Foreign> {
        Box::new(self.clone())
    }

    fn not_shown(&self) {}
}
