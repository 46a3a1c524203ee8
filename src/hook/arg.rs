//! An argument of a hook.

use std::rc::Rc;

use crate::mail::{EnvelopeAddress, Foreign, Shown};

/// An argument of a hook, after `$self` and `$transaction`.
#[derive(Debug)]
pub enum Arg {
    /// Perl's undef.
    Undef,
    /// A text.
    Bytes(Vec<u8>),
    /// Bytes that are the client's: Perl's taint mode goes by that.
    Client(Vec<u8>),
    /// A number.
    Int(i64),
    /// A `Qpsmtpd::Address`.
    Address(Rc<Shown<EnvelopeAddress>>),
    /// A reference to a hash of strings (`\%param` of mail_pre and rcpt_pre).
    Hash(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// A reference to an array of strings (child_addrs of pre-connection).
    List(Vec<Vec<u8>>),
    /// A reference to an array of arguments, as `mail_respond` and its like get them.
    Args(Vec<Arg>),
    /// A value that a plugin passed to `run_hooks`.
    Foreign(Box<dyn Foreign>),
    /// A reference that a parser returned, and the text that stands for it.
    Object(Box<dyn Foreign>, Vec<u8>),
}

impl Arg {
    /// What the client said.
    pub fn of_client(bytes: &[u8]) -> Arg {
        Arg::Client(bytes.to_vec())
    }

    /// As a text, where it is one or there is one for it.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Arg::Bytes(text) | Arg::Client(text) | Arg::Object(_, text) => Some(text),
            _ => None,
        }
    }
}

impl Clone for Arg {
    fn clone(&self) -> Arg {
        match self {
            Arg::Undef => Arg::Undef,
            Arg::Bytes(bytes) => Arg::Bytes(bytes.clone()),
            Arg::Client(bytes) => Arg::Client(bytes.clone()),
            Arg::Int(n) => Arg::Int(*n),
            Arg::Address(address) => Arg::Address(address.clone()),
            Arg::Hash(pairs) => Arg::Hash(pairs.clone()),
            Arg::List(list) => Arg::List(list.clone()),
            Arg::Args(args) => Arg::Args(args.clone()),
            Arg::Foreign(value) => Arg::Foreign(value.share()),
            Arg::Object(value, text) => Arg::Object(value.share(), text.clone()),
        }
    }
}

impl From<&[u8]> for Arg {
    fn from(bytes: &[u8]) -> Arg {
        Arg::Bytes(bytes.to_vec())
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Arg {
        Arg::Bytes(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Arg {
    fn from(bytes: Vec<u8>) -> Arg {
        Arg::Bytes(bytes)
    }
}
