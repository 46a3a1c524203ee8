//! The steps of a session and their answers: what the machine asks of whoever carries it out. Does
//! not know who that is.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::hook::{Arg, HookCall, Method, Verdict};
use crate::mail::{Foreign, Shown, Transaction};
use crate::smtp::Reply;
use crate::watch::QueueOutcome;

/// What the session wants next, each with the place for its answer.
#[derive(Debug)]
pub enum Step {
    /// Append what the client sends to `State::input`.
    Read {
        timeout: Duration,
        to: To<ReadEvent>,
    },
    /// Queue a reply; it is on the wire before the next `Read`, before a Perl hook that may
    /// write, and before the end.
    Reply(Reply, To<()>),
    /// Look up a config value: all lines, none where there is no such value.
    Config(&'static str, To<Vec<Vec<u8>>>),
    /// Run a hook's chain.
    Hook(HookCall, To<Verdict>),
    /// Call the parser that a parse hook gave, with the command word and the rest of the line; what
    /// it returned.
    Parse {
        parser: Box<dyn Foreign>,
        verb: Vec<u8>,
        rest: Vec<u8>,
        to: To<Vec<Arg>>,
    },
    /// Call a method of the session's object that a subclass has replaced.
    Call(MethodCall, To<Called>),
    /// Write a log line of the core at a level (0 LOGEMERG to 7 LOGDEBUG).
    Log {
        level: u8,
        text: Vec<u8>,
        to: To<()>,
    },
    /// Put a field on top of a header that has become the scripting language's.
    AddHeader {
        name: &'static str,
        value: Vec<u8>,
        to: To<()>,
    },
    /// Rename the fields of this name in a header that has become the scripting language's.
    RenameHeader {
        old: &'static str,
        new: &'static str,
        to: To<()>,
    },
    /// The values of a field in a header that has become the scripting language's.
    GetHeader(&'static str, To<Vec<Vec<u8>>>),
    /// The lines of the transaction note `capabilities`, where it is an array reference that
    /// only the scripting language can read.
    Capabilities(To<Vec<Vec<u8>>>),
    /// Check a path in `<>` by the grammar in force: user and host; none for what is no address.
    Canonify(Vec<u8>, To<Option<Path>>),
    /// What the table of commands, which plugins may change, says about a verb in lower case.
    Verb(Vec<u8>, To<Listed>),
    /// Put a verb into the table of commands.
    AddVerb(&'static str, To<()>),
    /// Have a verb obeyed that a plugin has put into the table; false where that failed.
    Obey {
        verb: Vec<u8>,
        rest: Option<Vec<u8>>,
        to: To<bool>,
    },
    /// The name of the cipher of a client that uses TLS, where it is known.
    Cipher(To<Option<Vec<u8>>>),
    /// Whether the client has sent more than is in `State::input`.
    Waiting(To<bool>),
    /// Find the client's name for `remote_host` and `remote_info`, unless they are known.
    LookUpClient(To<()>),
    /// The transaction has just been replaced: what hangs on the old one may be released now.
    TransactionEnded(To<()>),
    /// Count and tell what has become of a message.
    Queued(QueueOutcome, Rc<Shown<Transaction>>, To<()>),
    /// The present time.
    Now(To<SystemTime>),
    /// The end. There is nothing to answer.
    Finished(Outcome),
}

impl Step {
    /// The answer where there is nobody: no client, no configuration, no plugin, no scripting
    /// language. What is given to the end is not looked at.
    pub fn unaided(self) -> Answered {
        match self {
            Step::Read { to, .. } => to.give(ReadEvent::Eof),
            Step::Hook(_, to) => to.give(Verdict::declined()),
            Step::Call(_, to) => to.give(Called::Returned(Returned::default())),
            Step::Parse { to, .. } => to.give(Vec::new()),
            Step::Canonify(_, to) => to.give(None),
            Step::Verb(_, to) => to.give(Listed::NoTable),
            Step::Cipher(to) => to.give(None),
            Step::Now(to) => to.give(SystemTime::UNIX_EPOCH),
            Step::Obey { to, .. } | Step::Waiting(to) => to.give(false),
            Step::Config(_, to) | Step::GetHeader(_, to) | Step::Capabilities(to) => {
                to.give(Vec::new())
            }
            Step::Reply(_, to)
            | Step::Log { to, .. }
            | Step::AddHeader { to, .. }
            | Step::RenameHeader { to, .. }
            | Step::AddVerb(_, to)
            | Step::LookUpClient(to)
            | Step::TransactionEnded(to)
            | Step::Queued(_, _, to) => to.done(),
            Step::Finished(_) => Answered(Value::Done(())),
        }
    }
}

/// A path's user and host.
pub type Path = (Vec<u8>, Option<Vec<u8>>);

/// The place of a step's answer, of the type that the session's code waits for. There is no other
/// way to an [`Answered`]: who carries a step out and forgets its answer does not compile.
pub struct To<T>(PhantomData<fn(T)>);

impl<T: Answer> To<T> {
    pub(super) fn new() -> To<T> {
        To(PhantomData)
    }

    /// Answers the step.
    pub fn give(self, answer: T) -> Answered {
        Answered(answer.into_value())
    }
}

impl To<()> {
    /// The step was carried out.
    pub fn done(self) -> Answered {
        self.give(())
    }
}

impl<T> fmt::Debug for To<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// That a step was answered, and how.
#[derive(Debug)]
#[must_use = "the machine waits for it"]
pub struct Answered(Value);

impl Answered {
    /// The answer, where it is one of this type.
    pub(super) fn take<T: Answer>(self) -> Option<T> {
        T::from_value(self.0)
    }
}

/// What may be the answer to a step.
pub trait Answer: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn into_value(self) -> Value;
    #[doc(hidden)]
    fn from_value(value: Value) -> Option<Self>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! answers {
    ($($name:ident($answer:ty),)*) => {
        #[doc(hidden)]
        #[derive(Debug)]
        pub enum Value { $($name($answer),)* }

        $(
            impl sealed::Sealed for $answer {}

            impl Answer for $answer {
                fn into_value(self) -> Value {
                    Value::$name(self)
                }

                fn from_value(value: Value) -> Option<Self> {
                    match value {
                        Value::$name(answer) => Some(answer),
                        _ => None,
                    }
                }
            }
        )*
    };
}

answers! {
    Done(()),
    Read(ReadEvent),
    Lines(Vec<Vec<u8>>),
    Line(Option<Vec<u8>>),
    Verdict(Verdict),
    Parsed(Vec<Arg>),
    Called(Called),
    Path(Option<Path>),
    Listed(Listed),
    Is(bool),
    Time(SystemTime),
}

/// A call of a method of the session's object.
#[derive(Debug)]
pub struct MethodCall {
    pub method: Method,
    pub args: Vec<Arg>,
}

/// What a method returned.
#[derive(Debug, Default)]
pub struct Returned {
    pub first: Option<Vec<u8>>,
    /// The same where the first value is a code and the others its texts.
    pub verdict: Option<Verdict>,
}

/// How a method that was replaced ended.
#[derive(Debug)]
pub enum Called {
    Returned(Returned),
    /// It died, with this text.
    Died(Vec<u8>),
}

/// What the table of commands says about a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Yes,
    No,
    /// There is no table: the core's own commands are all there are.
    NoTable,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEvent {
    /// There are more bytes in `State::input`.
    Bytes,
    /// The client closed its side, or the connection failed.
    Eof,
    /// Nothing came within the time.
    TimedOut,
}

/// How a machine ended.
#[derive(Debug)]
pub enum Outcome {
    /// A conversation is over: close the connection.
    Closed,
    /// A nested call returned to the plugin that made it, with these values.
    Returned(Verdict),
    /// A nested call ended the session (`$qp->disconnect`): it does not return to the plugin.
    Disconnected,
}
