//! What a session knows between its steps. Shared (`Rc`) by the machine, the driver and the
//! objects that Perl plugins see; no borrow is held across a step.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::counts::Counts;
use crate::base::Zone;
pub use crate::config::Profile;
use crate::config::{Limits, ReplyText, ShowId, Strictness};
use crate::hook::MethodSet;
use crate::mail::{Body, Connection, Shown, Spool, Transaction};
use crate::smtp::{InputBuffer, ReplyForm};

/// What is fixed when the configuration is loaded.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    pub profile: Profile,
    /// Whether a Received line that a plugin has made is the message's: 0.94 loses it, Debian's
    /// later packages of it do not.
    pub keeps_received: bool,
    /// `me`, else the host's name.
    pub me: Vec<u8>,
    /// What the greeting, the reply to HELP and Received lines call the server.
    pub product: &'static str,
    /// The version (`0.1.0`) there.
    pub version: String,
    pub spool: Rc<Spool>,
    /// Mechanisms for which a hook is registered (`PLAIN`, `LOGIN`, `CRAM-MD5`): `auth` counts
    /// for all three.
    pub auth_mechanisms: Vec<&'static str>,
    /// For the date in Received lines.
    pub zone: Zone,
    /// `timeoutsmtpd`, else `timeout`, else 1200 s: how long to wait for a line of the client's.
    pub timeout: Duration,
    /// `data_min_rate` in bytes per second, for a message beyond that time; 0: any.
    pub data_min_rate: u64,
    /// `recipient_limit`: the recipients that a message may have; 0: any number.
    pub recipient_limit: usize,
    /// `forbidden_commands` in lower case: where no plugin knows what to do with one of these, or before HELO
    /// with the line of a header, the client is no mail client and is sent away. None: nobody is.
    pub forbidden_commands: Vec<Vec<u8>>,
    /// What else a client may have of a session.
    pub limits: Limits,
    /// How strictly SMTP's wire form is kept.
    pub strictness: Strictness,
    /// Where ids of transactions are shown to others.
    pub show_id: ShowId,
}

/// What pre-connection learns about the daemon's other connections.
#[derive(Debug, Clone, Default)]
pub struct Neighbours {
    /// `--max-from-ip`.
    pub max_conn_ip: i64,
    /// The packed addresses of the clients that are being served.
    pub child_addrs: Vec<Vec<u8>>,
}

/// What a session knows.
pub struct State {
    pub settings: Rc<SessionSettings>,
    pub connection: RefCell<Rc<Shown<Connection>>>,
    pub transaction: RefCell<Rc<Shown<Transaction>>>,
    /// `None` where pre-connection does not run (inetd, tcpserver).
    pub neighbours: RefCell<Option<Neighbours>>,
    /// Bytes read from the client and not consumed.
    pub input: RefCell<InputBuffer>,
    /// The authenticated user and mechanism, as plugins read them.
    pub auth_user: RefCell<Option<Vec<u8>>>,
    pub auth_mechanism: RefCell<Option<Vec<u8>>>,
    /// The challenge of CRAM-MD5 (`{auth}{ticket}`).
    pub auth_ticket: RefCell<Option<Vec<u8>>>,
    /// `authenticated`: a verdict's number, or none before AUTH.
    pub authenticated: Cell<Option<u16>>,
    /// The mechanisms that are offered now: those of the settings, save where a script drives the
    /// session and loads plugins as it goes.
    pub auth_mechanisms: RefCell<Vec<&'static str>>,
    /// AUTH is a command only once EHLO has offered it.
    pub auth_offered: Cell<bool>,
    /// Set once `smtpgreeting` has replaced the greeting: HELP does not tell the version then.
    pub version_hidden: Cell<bool>,
    /// How long to wait for the client, once the session has asked the configuration.
    pub timeout: Cell<Option<Duration>>,
    /// A message is being read: the client may wait for each piece of it to be acknowledged.
    pub in_message: Cell<bool>,
    /// What the client said last is a command, and not a line that could not be read as one.
    pub has_command: Cell<bool>,
    /// It was told of that a client does not wait.
    pub ahead_logged: Cell<bool>,
    /// The transaction's MAIL had the parameter SMTPUTF8: replies may be in UTF-8 (RFC 6531 3.7.4.2).
    pub utf8_replies: Cell<bool>,
    /// How many commands were dispatched (`command_counter`).
    pub commands: Cell<u64>,
    /// What the client has had of what it may.
    pub counts: Counts,
    /// Set once disconnect has run: no further hook of the session runs twice.
    pub disconnected: Cell<bool>,
    /// A method that a subclass has put in place of the session's has died: the command fails.
    pub command_failed: Cell<bool>,
    /// Which methods a subclass has replaced, as far as the step that was answered last has left them.
    pub replaced: Cell<MethodSet>,
    /// A script drives the session: its end is not that of a process.
    pub is_scripted: bool,
}

impl State {
    /// The state of a session that begins now.
    pub fn new(
        settings: Rc<SessionSettings>,
        connection: Connection,
        neighbours: Option<Neighbours>,
        now: SystemTime,
    ) -> State {
        let transaction = new_transaction(&settings, now);
        State {
            auth_mechanisms: RefCell::new(settings.auth_mechanisms.clone()),
            settings,
            connection: RefCell::new(Rc::new(Shown::new(connection))),
            transaction: RefCell::new(Rc::new(Shown::new(transaction))),
            neighbours: RefCell::new(neighbours),
            input: RefCell::default(),
            auth_user: RefCell::default(),
            auth_mechanism: RefCell::default(),
            auth_ticket: RefCell::default(),
            authenticated: Cell::default(),
            auth_offered: Cell::default(),
            version_hidden: Cell::default(),
            timeout: Cell::default(),
            in_message: Cell::default(),
            has_command: Cell::default(),
            ahead_logged: Cell::default(),
            utf8_replies: Cell::default(),
            commands: Cell::default(),
            counts: Counts::default(),
            disconnected: Cell::default(),
            command_failed: Cell::default(),
            replaced: Cell::default(),
            is_scripted: false,
        }
    }

    /// Puts a new transaction in the place of the present one, which is given back.
    pub fn replace_transaction(&self, now: SystemTime) -> Rc<Shown<Transaction>> {
        let new = Rc::new(Shown::new(new_transaction(&self.settings, now)));
        self.transaction.replace(new)
    }

    /// What the texts of replies may have in them now.
    pub fn reply_form(&self) -> ReplyForm {
        match self.settings.strictness.reply_text {
            ReplyText::Original => ReplyForm::AsGiven,
            ReplyText::EightBit => ReplyForm::EightBit,
            ReplyText::Ascii if self.utf8_replies.get() => ReplyForm::Utf8,
            ReplyText::Ascii => ReplyForm::Ascii,
        }
    }

    /// The present mail transaction's id, or the last one's; before the first MAIL the connection's. Empty
    /// where there is no client.
    pub fn id(&self) -> String {
        let connection = self.connection.borrow();
        let id = connection.id.borrow();
        match connection.transactions.get() {
            _ if id.is_empty() => String::new(),
            0 => id.to_string(),
            number => format!("{id}.{number}"),
        }
    }

    /// Whether a plugin let the client authenticate.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.get() == crate::hook::Code::Ok.number()
    }
}

fn new_transaction(settings: &SessionSettings, now: SystemTime) -> Transaction {
    let transaction = Transaction::default();
    transaction.body.replace(Body::new(settings.spool.clone()));
    transaction.start_time.set(seconds_since_1970(now));
    transaction
}

/// A time as Perl's `time` has it.
pub(super) fn seconds_since_1970(now: SystemTime) -> i64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs() as i64)
}
