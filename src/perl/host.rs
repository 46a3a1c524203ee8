//! The host of the Perl plugins: the qp object, the table of hooks, the session that Perl code
//! runs in at present, config values. One per process. Knows nothing of session logic.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::call::Unwind;
use super::config_hook::ConfigHook;
use super::contents::Contents;
use super::log::LOGERROR;
use super::port::Port;
use super::process_state::ProcessState;
use super::value::Sv;
use super::xs::Raise;
use crate::config::{ConfigDir, ConfigError, Lines};
use crate::hook::Hook;

/// What the host needs to know before plugins are loaded.
pub struct HostSettings {
    pub config: Rc<ConfigDir>,
    /// `loglevel`: lines up to this level go to stderr where no logging plugin is registered.
    pub trace_level: u8,
    /// 0.94: a code that no constant names ends the chain. 1.00: the next plugin runs.
    pub unknown_codes_end_chain: bool,
    /// Values of config names that have no file (`me`, `timeout`).
    pub defaults: Vec<(&'static str, Vec<u8>)>,
    /// What `version` answers.
    pub version: String,
    /// `plugin_dirs`, absolute or relative to the working directory.
    pub plugin_dirs: Vec<Vec<u8>>,
    /// `size_threshold` in bytes.
    pub size_threshold: u64,
}

/// See the module's description.
pub struct Host {
    pub qp: Sv,
    pub(super) hooks: Sv,
    pub(super) contents: Contents,
    pub(super) process_state: ProcessState,
    pub(super) trace_level: Cell<u8>,
    pub(super) unknown_codes_end_chain: bool,
    pub(super) config_hook: ConfigHook,
    pub settings: HostSettings,
    port: RefCell<Rc<dyn Port>>,
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
    pub(super) fn new(qp: Sv, hooks: Sv, settings: HostSettings, port: Rc<dyn Port>) -> Rc<Host> {
        let host = Rc::new(Host {
            qp,
            hooks,
            contents: Contents::default(),
            process_state: ProcessState::default(),
            trace_level: Cell::new(settings.trace_level),
            unknown_codes_end_chain: settings.unknown_codes_end_chain,
            config_hook: ConfigHook::default(),
            settings,
            port: RefCell::new(port),
        });
        CURRENT.set(Some(host.clone()));
        host
    }

    /// The session that Perl code runs in.
    pub fn port(&self) -> Rc<dyn Port> {
        self.port.borrow().clone()
    }

    /// Perl code runs in another session from now on. Returns the one before.
    pub fn enter(&self, port: Rc<dyn Port>) -> Rc<dyn Port> {
        self.port.replace(port)
    }

    /// `config(NAME)`: a config hook, else the file's lines, else the default.
    pub fn config(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, Unwind> {
        if self.has_entries(Hook::Config) {
            let found = self.ask_config_hook(name)?;
            if let Some(values) = found {
                return Ok(values);
            }
        }
        self.file_config(name)
    }

    /// The same without config hooks.
    pub fn file_config(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, Unwind> {
        Ok(self.file_lines(name)?.to_vec())
    }

    /// The same, not copied.
    pub fn file_lines(&self, name: &[u8]) -> Result<Lines, Unwind> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(Lines::default());
        };
        let found = self.settings.config.lines(name);
        for problem in self.settings.config.take_problems() {
            self.log_error(&problem)?;
        }
        match found {
            Ok(Some(lines)) if !lines.is_empty() => return Ok(lines),
            Ok(_) => {}
            Err(error) => self.log_error(&error)?,
        }
        let mut defaults = self.settings.defaults.iter();
        let default = defaults.find(|(known, _)| *known == name);
        Ok(default
            .map(|(_, value)| value.clone())
            .into_iter()
            .collect())
    }

    fn log_error(&self, error: &ConfigError) -> Result<(), Unwind> {
        let text = Sv::bytes(error.to_string().as_bytes());
        self.log(LOGERROR, None, None, &[text])
    }
}
