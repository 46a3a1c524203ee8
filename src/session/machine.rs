//! The machine: session code is written as plain `async` functions whose only await is "give a
//! step, take its answer"; this file turns such a function into `start` and `resume`. No
//! executor is involved: a poll always runs to the next step or to the end.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::hook::{Arg, HookCall, Method, Verdict};
use crate::mail::Foreign;
use crate::smtp::Reply;

/// What the session wants next. The answer that belongs to it is named in each comment.
#[derive(Debug)]
pub enum Step {
    /// Append what the client sends to `State::input`. Answer: `Read`.
    Read { timeout: Duration },
    /// Queue a reply; it is on the wire before the next `Read`, before a Perl hook that may
    /// write, and before the end. Answer: `Done`.
    Reply(Reply),
    /// Look up a config value: all lines. Answer: `Config`, empty where there is none.
    Config(&'static str),
    /// Run a hook's chain. Answer: `Verdict`.
    Hook(HookCall),
    /// Call the parser that a parse hook gave, with the command word and the rest of the line.
    /// Answer: `Parsed`, what it returned.
    Parse {
        parser: Box<dyn Foreign>,
        verb: Vec<u8>,
        rest: Vec<u8>,
    },
    /// Call a method of the session's object that a subclass has replaced. Answer: `Called`.
    Call(MethodCall),
    /// Write a log line of the core at a level (0 LOGEMERG to 7 LOGDEBUG). Answer: `Done`.
    Log { level: u8, text: Vec<u8> },
    /// Put a field on top of a header that has become the scripting language's. Answer: `Done`.
    AddHeader { name: &'static str, value: Vec<u8> },
    /// Rename the fields of this name in a header that has become the scripting language's.
    /// Answer: `Done`.
    RenameHeader {
        from: &'static str,
        to: &'static str,
    },
    /// The values of a field in a header that has become the scripting
    /// language's. Answer: `Values`.
    GetHeader(&'static str),
    /// The lines of the transaction note `capabilities`, where it is an array reference that
    /// only the scripting language can read. Answer: `Values`.
    Capabilities,
    /// Check a path in `<>` by the grammar in force. Answer: `Values`, user and host; none for what
    /// is no address.
    Canonify(Vec<u8>),
    /// What the table of commands, which plugins may change, says about a verb in lower case.
    /// Answer: `Listed`.
    Verb(Vec<u8>),
    /// Put a verb into the table of commands. Answer: `Done`.
    AddVerb(&'static str),
    /// Have a verb obeyed that a plugin has put into the table. Answer: `Values`, empty where
    /// that failed.
    Obey {
        verb: Vec<u8>,
        rest: Option<Vec<u8>>,
    },
    /// The name of the cipher of a client that uses TLS. Answer: `Values`, one or none.
    Cipher,
    /// Whether the client has sent more than is in `State::input`. Answer: `Waiting`.
    Waiting,
    /// Find the client's name for `remote_host` and `remote_info`, unless they are known.
    /// Answer: `Done`.
    LookUpClient,
    /// The transaction has just been replaced: what hangs on the old one may be released now.
    /// Answer: `Done`.
    TransactionEnded,
    /// The end. Nothing may be answered.
    Finished(Outcome),
}

/// The answer to a step.
#[derive(Debug)]
pub enum Answer {
    Done,
    Read(ReadEvent),
    Config(Vec<Vec<u8>>),
    Verdict(Verdict),
    Values(Vec<Option<Vec<u8>>>),
    Parsed(Vec<Arg>),
    Waiting(bool),
    Listed(Listed),
    Called(Called),
}

/// Whoever carries out a session's steps, as far as that takes no waiting.
pub trait AtOnce {
    /// Carries a step out, or gives it back where it has to be waited for. It must not come back to
    /// the session.
    fn answer(&self, step: Step) -> Result<Answer, Step>;
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

/// A piece of session code that runs from step to step.
pub struct Machine {
    code: Option<Pin<Box<dyn Future<Output = Outcome>>>>,
    exchange: Steps,
}

impl Machine {
    /// A machine for `code`, which gets the handle by which it gives steps.
    pub fn new<F>(code: impl FnOnce(Steps) -> F) -> Machine
    where
        F: Future<Output = Outcome> + 'static,
    {
        let exchange = Steps::default();
        let code = Box::pin(code(exchange.clone()));
        Machine {
            code: Some(code),
            exchange,
        }
    }

    /// Runs to the first step.
    pub fn start(&mut self) -> Step {
        self.run()
    }

    /// Answers the step given last and runs to the next one.
    pub fn resume(&mut self, answer: Answer) -> Step {
        *self.exchange.0.answer.borrow_mut() = Some(answer);
        self.run()
    }

    fn run(&mut self) -> Step {
        let Some(code) = self.code.as_mut() else {
            return Step::Finished(Outcome::Closed);
        };
        let mut context = Context::from_waker(Waker::noop());
        match code.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => {
                self.code = None;
                Step::Finished(outcome)
            }
            // Session code awaits nothing but steps, so a pending poll has left one.
            Poll::Pending => match self.exchange.0.step.borrow_mut().take() {
                Some(step) => step,
                None => Step::Finished(Outcome::Closed),
            },
        }
    }
}

/// The handle by which session code gives steps and takes answers.
#[derive(Clone, Default)]
pub struct Steps(Rc<Exchange>);

#[derive(Default)]
struct Exchange {
    step: RefCell<Option<Step>>,
    answer: RefCell<Option<Answer>>,
}

impl Steps {
    /// Gives a step and waits for its answer.
    pub async fn give(&self, step: Step) -> Answer {
        *self.0.step.borrow_mut() = Some(step);
        std::future::poll_fn(|_| match self.0.answer.borrow_mut().take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}
