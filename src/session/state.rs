//! What a session knows between its steps. Shared (`Rc`) by the machine, the driver and the
//! objects that Perl plugins see; no borrow is held across a step.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::mail::{Connection, Shown, Spool, Transaction};
use crate::smtp::InputBuffer;

/// Which original's behaviour counts where 0.94 and 1.00 differ (config file `compat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    V094,
    #[default]
    V100,
}

/// What is fixed when the configuration is loaded.
#[derive(Debug, Clone)]
pub struct Settings {
    pub profile: Profile,
    /// `me`, else the host's name.
    pub me: Vec<u8>,
    /// The version in the greeting and in Received lines.
    pub version: String,
    pub spool: Rc<Spool>,
    /// Mechanisms for which a hook is registered: `auth` counts for all three.
    pub auth_mechanisms: Vec<&'static str>,
    /// `timeoutsmtpd`, else `timeout`, else 1200 s: how long to wait for the client.
    pub timeout: Duration,
    /// End DATA at LF . CR LF too, as the original does (off: only CR LF . CR LF ends it).
    pub accept_bare_lf: bool,
}

/// See the module's description.
pub struct State {
    pub settings: Rc<Settings>,
    pub connection: RefCell<Rc<Shown<Connection>>>,
    pub transaction: RefCell<Rc<Shown<Transaction>>>,
    /// Bytes read from the client and not consumed.
    pub input: RefCell<InputBuffer>,
    /// The authenticated user and mechanism, as plugins read them.
    pub auth_user: RefCell<Option<Vec<u8>>>,
    pub auth_mechanism: RefCell<Option<Vec<u8>>>,
    /// The challenge of CRAM-MD5 (`{auth}{ticket}`).
    pub auth_ticket: RefCell<Option<Vec<u8>>>,
    /// `authenticated`: a verdict's number, or none before AUTH.
    pub authenticated: Cell<Option<u16>>,
    /// How many commands were dispatched (`command_counter`).
    pub commands: Cell<u64>,
    /// Set once disconnect has run: no further hook of the session runs twice.
    pub disconnected: Cell<bool>,
}
