//! What happens in the sessions of this process, told as it happens to who wants to know: the log in JSON
//! (base/journal.rs), `camelpost try`, and the page of
//! `--web`. Where nobody listens nothing is made of it. Does not know
//! sessions, hooks or replies, only what is said of them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whose event it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// The connection's id; empty where it has none, as in scripts.
    pub connection: &'a str,
    /// The how manieth mail transaction of the connection it is, from 1; 0: before the first MAIL.
    pub transaction: u32,
    /// The client's address as text.
    pub ip: &'a [u8],
}

/// What a plugin's call came to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CameTo<'a> {
    /// A verdict by its name (`DENYSOFT`), and its first text.
    Verdict(&'a str, Option<&'a [u8]>),
    /// The plugin died, for this reason.
    Died(&'a [u8]),
    /// It took too long, or was to end for another reason.
    TooLate,
    /// It has failed too often in a row, and was not called.
    Quarantined,
    /// It called exit, which ends the session.
    Exited,
    /// It returned undef.
    Undef,
    /// It said OK, and what it has stored could be lost, for this reason.
    Unsafe(&'a str),
}

impl<'a> CameTo<'a> {
    /// A word for it, and what was said.
    pub(crate) fn parts(&self) -> (&'a str, Option<&'a [u8]>) {
        match *self {
            CameTo::Verdict(name, text) => (name, text),
            CameTo::Died(why) => ("died", Some(why)),
            CameTo::TooLate => ("too late", None),
            CameTo::Quarantined => ("quarantined", None),
            CameTo::Exited => ("exited", None),
            CameTo::Undef => ("undef", None),
            CameTo::Unsafe(why) => ("unsafe", Some(why.as_bytes())),
        }
    }
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    /// The session begins; addresses are texts, the host is the client's name or `Unknown`.
    Connected {
        ip: &'a [u8],
        port: i64,
        host: &'a [u8],
        local_ip: &'a [u8],
        local_port: i64,
    },
    /// A plugin was called.
    Said {
        hook: &'static str,
        plugin: &'a [u8],
        native: bool,
        came_to: CameTo<'a>,
        took: Duration,
    },
    /// The client is sent a reply: its lines as they are written, with the code. The command is what it said
    /// last, without credentials; none at the greeting.
    Replied {
        code: u16,
        /// Where the session was: `connect`, `helo`, `rcpt` and so on.
        stage: &'static str,
        lines: &'a [Vec<u8>],
        command: Option<&'a [u8]>,
    },
    /// A message has come to its end: `queued`, `refused` and so on.
    Message {
        outcome: &'static str,
        sender: &'a [u8],
        recipients: &'a [Vec<u8>],
        /// Bytes of the body.
        size: u64,
    },
    /// A line of the log, at a level from 0 (LOGEMERG) to 7 (LOGDEBUG).
    Line {
        level: u8,
        hook: Option<&'a [u8]>,
        plugin: Option<&'a [u8]>,
        text: &'a [u8],
    },
    /// The session is over.
    Ended,
}

/// The log that has all of it.
type Log = fn(&Whose<'_>, &Event<'_>);

static LOG: OnceLock<Log> = OnceLock::new();

type Listener = Rc<dyn Fn(&Whose<'_>, &Event<'_>)>;

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

/// Whether anybody listens in this process.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// Whether somebody listens to lines of the log, too, which are more than all else.
static WANTS_LINES: AtomicBool = AtomicBool::new(false);

/// Whether it is worth while to tell.
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Whether it is worth while to tell of a line of the log.
pub(crate) fn wants_lines() -> bool {
    WANTS_LINES.load(Ordering::Relaxed)
}

/// What happens in this thread's sessions goes to this from now on.
pub(crate) fn listen(listener: impl Fn(&Whose<'_>, &Event<'_>) + 'static) {
    listen_but_to_lines(listener);
    WANTS_LINES.store(true, Ordering::Relaxed);
}

/// The same for who can do without lines of the log.
pub(crate) fn listen_but_to_lines(listener: impl Fn(&Whose<'_>, &Event<'_>) + 'static) {
    LISTENER.set(Some(Rc::new(listener)));
    IS_ON.store(true, Ordering::Relaxed);
}

/// What happens in any thread's sessions goes to this, too.
pub(super) fn turn_on(log: Log) {
    // The first stays, as there is one log.
    let _ = LOG.set(log);
    IS_ON.store(true, Ordering::Relaxed);
    WANTS_LINES.store(true, Ordering::Relaxed);
}

/// Something has happened.
pub(crate) fn tell(whose: &Whose<'_>, event: &Event<'_>) {
    let listener = LISTENER.with_borrow(Clone::clone);
    if let Some(listener) = listener {
        listener(whose, event);
    }
    if let Some(log) = LOG.get() {
        log(whose, event);
    }
}
