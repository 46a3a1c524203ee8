//! Fast paths: what the original does in Perl and is done here in another way for the sake of speed alone.
//! Each stands in [`TABLE`] with the plain way that it must not be told from. With `CAMELPOST_PLAIN=1` in the
//! environment all of them are off, and the dialogues of `tests/compare` are played that way, too. What has no
//! other way is none (the session in Rust, objects whose state is Rust's, the exchange), nor is what the original
//! has no counterpart of (keys that perl shares, values that go at once, ends of sessions that nobody is woken for).

pub mod at_once;
pub(in crate::perl) mod by_class;
pub mod grammar;
pub(in crate::perl) mod header;
pub(in crate::perl) mod hook_call;
pub(in crate::perl) mod immune;
pub(in crate::perl) mod loggers;
pub(in crate::perl) mod plugin_log;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::perl::ffi::call::call_function;
use crate::perl::ffi::frame::{Body, Frame, Raise};

pub use crate::perl::ffi::interpreter::SWITCH;

/// A row of the table.
#[derive(Debug)]
pub struct FastPath {
    pub name: &'static str,
    /// Where it is asked whether it applies.
    pub place: &'static str,
    /// The plain way.
    pub replaces: &'static str,
    /// Where that does not hold, the plain way is taken.
    pub applies: &'static str,
    pub gain: &'static str,
    /// What holds it to the plain way, besides the dialogues: as docs/tables/contract.md names tests.
    pub test: &'static str,
}

pub const TABLE: &[FastPath] = &[
    FastPath {
        name: "header",
        place: "perl/Camelpost/Header.pm",
        replaces: "Mail::Header's parser, get, add, delete and _tag_case",
        applies: "a trial at load has shown that both do the same; well-formed fields, plain texts, places 0 and -1",
        gain: "parsing a header, and some forty look-ups of names for each message",
        test: "perl_bridge/body.rs: a_header_is_what_mail_header_makes_of_it",
    },
    FastPath {
        name: "plugin_log",
        place: "perl/Qpsmtpd/Plugin.pm",
        replaces: "Qpsmtpd::Plugin::_log, which calls plugin_name, adjust_log_level and varlog",
        applies: "the class has these as the base class has them, and the plugin no argument loglevel",
        gain: "four calls for each of some fifty lines a message",
        test: "perl_bridge/fast.rs: a_plugins_log_is_what_its_perl_does",
    },
    FastPath {
        name: "immune",
        place: "perl/Qpsmtpd/Plugin.pm",
        replaces: "Qpsmtpd::Plugin::_is_immune, which asks connection and transaction by their methods",
        applies: "no method in question is replaced, and the answer is no",
        gain: "nine calls for each plugin that asks",
        test: "perl_bridge/fast.rs: is_immune_is_what_its_perl_says",
    },
    FastPath {
        name: "loggers",
        place: "src/perl/fast/loggers.rs",
        replaces: "the chain, for the hook logging",
        applies: "always",
        gain: "arguments, names and verdicts of a chain for each of some fifty lines a message",
        test: "sessions/fast.rs: what_a_logger_does_not_take_is_written",
    },
    FastPath {
        name: "hook_call",
        place: "src/perl/fast/hook_call.rs",
        replaces: "the closure in the table of hooks, which localises {_qp} and {_hook} and calls the method",
        applies: "the plugin of the code is known, and an untied hash",
        gain: "a call and two localised keys for each hook of each plugin",
        test: "perl_bridge/fast.rs: a_hook_finds_what_its_closure_would_show_it",
    },
    FastPath {
        name: "by_class",
        place: "src/perl/fast/by_class.rs",
        replaces: "a look-up of each method that a subclass may have replaced, before each step",
        applies: "neither the class nor one above it has changed since it was asked about last",
        gain: "some forty look-ups a step",
        test: "replaced_methods/methods_called_by_a_plugin",
    },
    FastPath {
        name: "keys",
        place: "src/perl/ffi/object.rs",
        replaces: "magic for each key of a connection's and a transaction's object when it is made",
        applies: "the object is the session's present one, and nobody has looked into it",
        gain: "some twenty scalars with magic for each session and transaction",
        test: "perl_bridge/fast.rs: keys_that_wait_show_what_keys_at_once_show",
    },
    FastPath {
        name: "grammar",
        place: "src/perl/fast/grammar.rs",
        replaces: "the expressions of Qpsmtpd::Address, which take an address apart",
        applies: "no site has put others into their variables",
        gain: "a way out of the runtime and six expressions for each address",
        test: "perl_bridge/fast.rs: addresses_are_what_the_expressions_make_of_them",
    },
    FastPath {
        name: "at_once",
        place: "src/perl/fast/at_once.rs",
        replaces: "a piece of Perl work for a hook that has no plugin, a config value, a log line, a look at a table",
        applies: "what the host knows is what the session's Perl code would find, and no Perl code has a say",
        gain: "a way out of the runtime for each of some thirty steps a message",
        test: "chain_changes/a_hook_that_nobody_had",
    },
];

static OFF: AtomicBool = AtomicBool::new(false);

/// Whether they are taken where they apply.
pub fn are_on() -> bool {
    !OFF.load(Ordering::Relaxed)
}

/// Reads the switch.
pub(in crate::perl) fn look_at_switch() {
    let off = std::env::var_os(SWITCH).is_some_and(|value| value == "1");
    OFF.store(off, Ordering::Relaxed);
}

pub(in crate::perl) const XSUBS: &[(&str, Body)] = &[("Camelpost::is_fast", is_fast)];

fn is_fast(frame: &mut Frame<'_>) -> Result<(), Raise> {
    frame.ret_bool(are_on());
    Ok(())
}

/// What is out of the ordinary is left to the sub in Perl.
fn left_to(frame: &mut Frame<'_>, name: &str) -> Result<(), Raise> {
    for value in call_function(name, &frame.rest(0), frame.wants())? {
        frame.ret(value);
    }
    Ok(())
}
