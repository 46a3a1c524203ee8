//! The host of the Perl plugins: the qp object, the table of hooks, the session that Perl code
//! runs in at present, config values. One per process. Knows nothing of session logic.

pub mod answer;
pub mod chain;
pub mod config_hook;
mod idle;
pub mod load;
pub mod log;
pub mod methods;
pub mod owners;
pub mod port;
pub mod scripted;
mod session;
pub mod stored;
mod unfit;
mod verbs;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::xs::Raise;
use crate::chain::{Defaults, Guards, default_of, look_up};
use crate::config::{Compat, ConfigDir, Lines, Profile, compared_version};
use crate::hook::{Hook, Method};
use crate::log::LOGERROR;
use crate::perl::exchange::number::Number;
use crate::perl::exchange::process_state::ProcessState;
use crate::perl::exchange::site::Site;
use crate::perl::ffi::call::{Unwind, Want, call_function, call_method, stringify};
use crate::perl::ffi::value::Sv;
use crate::perl::host::config_hook::ConfigHook;
use crate::perl::host::methods::Methods;
use crate::perl::host::owners::Owners;
use crate::perl::host::port::{MakePort, Port};

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

/// The keys of the table of hooks and of its entries.
pub(super) struct TableKeys {
    hooks: Vec<Sv>,
    pub(super) name: Sv,
    pub(super) code: Sv,
}

impl TableKeys {
    fn new() -> TableKeys {
        TableKeys {
            hooks: Hook::ALL.iter().map(|hook| Sv::key(hook.name())).collect(),
            name: Sv::key("name"),
            code: Sv::key("code"),
        }
    }

    pub(super) fn hook(&self, hook: Hook) -> Option<&Sv> {
        self.hooks.get(hook as usize)
    }
}

/// What the modules of the original that a script has named would make of it.
fn profile_of_modules() -> Option<Profile> {
    let said = call_function("Camelpost::Script::version_of_modules", &[], Want::Scalar).ok()?;
    let version = said.first().filter(|said| said.is_defined())?.to_bytes();
    Some(match version.starts_with(b"0.") {
        true => Profile::V094,
        false => Profile::V100,
    })
}

/// What a method that answers the client returns to a script: what its last `respond` did, and
/// nothing once the session has ended.
#[derive(Default)]
pub enum Said {
    /// No such method runs: nothing is kept.
    #[default]
    Unasked,
    Nothing,
    Value(Sv),
    Ended,
}

/// The Perl plugins' host.
pub struct Host {
    pub qp: Sv,
    /// The object of the session that Perl code runs in, where that is not `qp` but one that a
    /// script drives.
    pub(super) other: RefCell<Option<Sv>>,
    pub(super) methods: Methods,
    /// Makes the sessions of objects that scripts drive.
    pub(super) make_port: OnceCell<Box<MakePort>>,
    /// One config directory for each that a `config_dir` of somebody else's has named.
    pub(super) config_dirs: RefCell<HashMap<Vec<u8>, Rc<ConfigDir>>>,
    pub(super) owners: Owners,
    pub(super) site: Site,
    pub(super) process_state: ProcessState,
    pub(super) trace_level: Cell<u8>,
    profile: OnceCell<Profile>,
    /// A script has named the profile, or the modules that tell it.
    profile_is_named: Cell<bool>,
    pub(super) config_hook: ConfigHook,
    pub(super) table: TableKeys,
    pub settings: HostSettings,
    /// What holds for the plugins' calls, where somebody watches.
    pub guards: OnceCell<Rc<Guards>>,
    /// Plugins whose variables cannot be exchanged, found before there were guards, and why.
    pub(super) unfit: RefCell<Vec<(Vec<u8>, String)>>,
    pub(super) number: Number,
    /// What a script's own `respond` has returned last.
    said: RefCell<Said>,
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
    pub(super) fn new(qp: Sv, settings: HostSettings, port: Rc<dyn Port>) -> Rc<Host> {
        let host = Rc::new(Host {
            qp,
            other: RefCell::default(),
            methods: Methods::default(),
            make_port: OnceCell::new(),
            config_dirs: RefCell::default(),
            owners: Owners::default(),
            site: Site::default(),
            process_state: ProcessState::default(),
            trace_level: Cell::new(settings.trace_level),
            profile: OnceCell::new(),
            profile_is_named: Cell::new(false),
            config_hook: ConfigHook::default(),
            table: TableKeys::new(),
            settings,
            guards: OnceCell::new(),
            unfit: RefCell::default(),
            number: Number::default(),
            said: RefCell::default(),
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

    /// Whether a script drives the sessions.
    pub fn is_for_scripts(&self) -> bool {
        self.settings.search.is_some()
    }

    /// From now on what is said is kept. Returns what was before, to be put back.
    pub fn listen(&self) -> Said {
        self.said.replace(Said::Nothing)
    }

    /// What has been said since. `before` is what `listen` returned.
    pub fn end_listening(&self, before: Said) -> Said {
        self.said.replace(before)
    }

    /// Keeps what was said, where it is wanted.
    pub fn note_said(&self, said: Said) {
        if !matches!(*self.said.borrow(), Said::Unasked) {
            let earlier = self.said.replace(said);
            drop(earlier);
        }
    }

    /// Which original's behaviour counts. For a script that is found when it is first asked for:
    /// the config file `compat`, else the version of the qpsmtpd whose modules the script has named,
    /// else what the settings say.
    pub fn profile(&self) -> Profile {
        if let Some(profile) = self.profile.get() {
            return *profile;
        }
        let mut profile = self.settings.profile;
        if self.is_for_scripts() {
            let config = self.own_config_dir().lines("compat").ok().flatten();
            let named = config.and_then(|lines| Compat::parse(lines.first()?));
            let named = named.map(|compat| compat.profile);
            let named = named.or_else(profile_of_modules);
            self.profile_is_named.set(named.is_some());
            profile = named.unwrap_or(profile);
            let version = Sv::bytes(compared_version(profile).as_bytes());
            let set = call_function("Camelpost::Script::set_version", &[version], Want::Void);
            drop(set);
        }
        *self.profile.get_or_init(|| profile)
    }

    /// What `version` answers.
    pub fn version(&self) -> &str {
        match self.is_for_scripts() {
            true => compared_version(self.profile()),
            false => &self.settings.version,
        }
    }

    /// `config(NAME)` as the present session's object has it.
    pub fn config(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, Unwind> {
        if !self.is_replaced(Method::Config) {
            return self.own_config(name);
        }
        let args = [self.object(), Sv::bytes(name)];
        let values = call_method("config", &args, Want::List)?;
        values.iter().map(stringify).collect()
    }

    /// The host's own: a config hook, else the file's lines, else the default.
    pub fn own_config(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, Unwind> {
        if self.has_entries(Hook::Config) {
            let found = self.ask_config_hook(name)?;
            if let Some(said) = found {
                let values = said.values.iter().cloned();
                return Ok(values.map(Option::unwrap_or_default).collect());
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
        if let Some(lines) = self.lines_without_default(name, None)? {
            return Ok(lines);
        }
        let default = self.default_of(name).map(<[u8]>::to_vec);
        Ok(default.into_iter().collect())
    }

    /// The value of a config name that has no file.
    pub fn default_of(&self, name: &[u8]) -> Option<&[u8]> {
        default_of(&self.settings.defaults, name)
    }

    /// The lines of a config name's file, or of the file at this path, if there are any.
    pub fn lines_without_default(
        &self,
        name: &[u8],
        path: Option<&Path>,
    ) -> Result<Option<Lines>, Unwind> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(None);
        };
        let config = self.config_dir(name)?;
        look_up(&config, name, path, |problem| {
            self.log(LOGERROR, None, None, &[Sv::bytes(problem.as_bytes())])
        })
    }

    /// Whether Perl code decides what a config name's values are.
    pub fn config_is_perl(&self) -> bool {
        self.has_entries(Hook::Config)
            || self.is_replaced(Method::Config)
            || self.is_replaced(Method::ConfigDir)
    }

    /// The directories in which the present session looks for a config file. 1.00 reads its files
    /// without asking a `config_dir` that a script has put in the place of its own, and 0.94 goes by
    /// that alone. A script that does not say which it is for finds its files in either way.
    pub fn config_dir(&self, name: &str) -> Result<Rc<ConfigDir>, Unwind> {
        if self.is_replaced(Method::ConfigDir) {
            if self.is_for_scripts() && self.profile() == Profile::V100 {
                let own = self.own_config_dir();
                if self.profile_is_named.get() || own.has(name) {
                    return Ok(own);
                }
            }
            let args = [self.object(), Sv::bytes(name.as_bytes())];
            let dir = call_method("config_dir", &args, Want::Scalar)?;
            let dir = match dir.first() {
                Some(dir) => stringify(dir)?,
                None => Vec::new(),
            };
            return Ok(self.config_in(vec![dir]));
        }
        Ok(self.own_config_dir())
    }

    /// The host's own.
    pub fn own_config_dir(&self) -> Rc<ConfigDir> {
        match &self.settings.search {
            Some(search) => self.config_in(search()),
            None => self.settings.config.clone(),
        }
    }

    /// A search through these directories. Files may change at any time.
    fn config_in(&self, dirs: Vec<Vec<u8>>) -> Rc<ConfigDir> {
        let mut known = self.config_dirs.borrow_mut();
        let config = known.entry(dirs.join(&0)).or_insert_with(|| {
            let path = |dir: &Vec<u8>| PathBuf::from(OsString::from_vec(dir.clone()));
            let config = ConfigDir::new(dirs.iter().map(path).collect());
            config.always_check(true);
            Rc::new(config)
        });
        config.clone()
    }
}
