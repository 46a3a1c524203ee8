//! The host of the Perl plugins, one per process, and its parts: the present session, the table of hooks, what
//! is kept of config values, what is exchanged between sessions. Knows nothing of session logic.

pub mod answer;
mod asked;
pub mod chain;
pub mod config;
mod dump;
pub(super) mod idle;
mod kept;
pub mod listed;
pub mod load;
pub mod log;
pub mod methods;
pub mod odd;
pub mod owners;
pub mod port;
pub mod present;
pub mod script;
mod session;
pub mod stored;
pub mod table;
pub mod turn;
mod unfit;
mod verbs;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use crate::chain::{Defaults, Guards};
use crate::config::{ConfigDir, Profile};
use crate::hook::Hook;
use crate::perl::exchange::number::Number;
use crate::perl::exchange::process_state::ProcessState;
use crate::perl::exchange::site::Site;
use crate::perl::ffi::frame::Raise;
use crate::perl::ffi::value::Sv;
use crate::store::Backend;

use kept::Kept;
use owners::Owners;
use port::Port;
use present::Present;
use table::Table;

/// Finds the config directories, the first one first.
pub type Search = fn() -> Vec<Vec<u8>>;

/// What the host needs to know before plugins are loaded.
pub struct HostSettings {
    pub config: Rc<ConfigDir>,
    /// Where each call finds the config directories of its own, as in a script that may change
    /// its environment: how.
    pub search: Option<Search>,
    /// `loglevel`: lines up to this level go to stderr where no logging plugin is registered.
    pub trace_level: u8,
    /// Which original's behaviour counts where they differ.
    pub profile: Profile,
    /// Values of config names that have no file (`me`, `timeout`).
    pub defaults: Rc<Defaults>,
    /// What `version` answers: that of the original, with which plugins compare it.
    pub version: String,
    /// `plugin_dirs`, absolute or relative to the working directory.
    pub plugin_dirs: Vec<Vec<u8>>,
    /// Further directories of modules.
    pub module_dirs: Vec<Vec<u8>>,
    /// Whether perl runs in taint mode.
    pub taint: bool,
    /// The config directory that was named on the command line.
    pub named_config: Option<Vec<u8>>,
    /// `size_threshold` in bytes.
    pub size_threshold: u64,
    /// What queue plugins store is synced before the message is acknowledged.
    pub queue_sync: bool,
}

/// Makes the session of an object that a script drives: (host, object).
pub type MakePort = dyn Fn(&Rc<Host>, &Sv) -> Rc<dyn Port>;

/// The Perl plugins' host.
pub struct Host {
    pub settings: HostSettings,
    /// The session that Perl code runs in.
    pub present: Present,
    pub table: Table,
    /// Makes the sessions of objects that scripts drive, where they do.
    pub make_port: OnceCell<Box<MakePort>>,
    pub(super) owners: Owners,
    pub(super) site: Site,
    /// What the process has that plugins change: environment, working directory, signals.
    pub(crate) process_state: ProcessState,
    /// The session's number as Perl has it.
    pub number: Number,
    pub(super) trace_level: Cell<u8>,
    kept: Kept,
    /// What holds for the plugins' calls, where somebody watches.
    pub guards: OnceCell<Rc<Guards>>,
    /// What Qpsmtpd::DB has, where config `store` names one.
    pub store: OnceCell<Rc<Backend>>,
    /// The plugin's call that runs now, where the log wants warnings with it.
    pub(in crate::perl) running: RefCell<Option<(Hook, Vec<u8>)>>,
    /// Plugins whose variables cannot be exchanged, found before there were guards, and why.
    unfit: RefCell<Vec<(Vec<u8>, String)>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Host>>> = const { RefCell::new(None) };
}

/// The host of this process.
pub fn current() -> Result<Rc<Host>, Raise> {
    let host = CURRENT.with_borrow(Clone::clone);
    host.ok_or_else(|| Raise::Croak("no mail server is set up here".to_owned()))
}

impl Host {
    /// The directories in which plugins are looked for.
    pub fn plugin_dirs(&self) -> &[Vec<u8>] {
        &self.settings.plugin_dirs
    }

    pub(super) fn new(qp: Sv, settings: HostSettings, port: Rc<dyn Port>) -> Rc<Host> {
        let host = Rc::new(Host {
            present: Present::new(qp, port),
            table: Table::new(),
            make_port: OnceCell::new(),
            owners: Owners::default(),
            site: Site::default(),
            process_state: ProcessState::default(),
            number: Number::default(),
            trace_level: Cell::new(settings.trace_level),
            kept: Kept::default(),
            guards: OnceCell::new(),
            store: OnceCell::new(),
            running: RefCell::default(),
            unfit: RefCell::default(),
            settings,
        });
        CURRENT.set(Some(host.clone()));
        let dirs = &host.settings;
        host.site
            .begin(dirs.plugin_dirs.iter().chain(&dirs.module_dirs));
        let classes = ["Qpsmtpd::TcpServer", "Qpsmtpd::SMTP"];
        host.present.methods.note(&classes);
        host
    }

    /// Whether a script drives the sessions.
    pub fn is_for_scripts(&self) -> bool {
        self.settings.search.is_some()
    }
}
