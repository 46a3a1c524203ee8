//! Config values as Perl code gets them: a config hook's, a replaced method's, else the file's lines, else the
//! default; and which original's behaviour counts, as a config file says that. Does not read files itself.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::base::log::LOGERROR;
use crate::chain::{default_of, look_up};
use crate::config::{Compat, ConfigDir, Lines, Profile, compared_version};
use crate::hook::{Code, Hook, HookCall, Method};
use crate::perl::ffi::call::{Unwind, Want, call_function, call_method, stringify};
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;
use crate::perl::host::kept::Values;

/// The values, as the present session has them.
#[derive(Clone, Copy)]
pub struct ConfigView<'h>(&'h Host);

impl Host {
    /// Config values, and what they say of the host.
    pub fn config(&self) -> ConfigView<'_> {
        ConfigView(self)
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

impl<'h> ConfigView<'h> {
    /// Which original's behaviour counts. For a script that is found when it is first asked for:
    /// the config file `compat`, else the version of the qpsmtpd whose modules the script has named,
    /// else what the settings say.
    pub fn profile(self) -> Profile {
        let (host, kept) = (self.0, &self.0.kept);
        if let Some(profile) = kept.profile.get() {
            return *profile;
        }
        let mut profile = host.settings.profile;
        if host.is_for_scripts() {
            let lines = self.own_dir().lines("compat").ok().flatten();
            let named = lines.and_then(|lines| Compat::parse(lines.first()?));
            let named = named.map(|compat| compat.profile);
            let named = named.or_else(profile_of_modules);
            kept.profile_is_named.set(named.is_some());
            profile = named.unwrap_or(profile);
            let version = Sv::bytes(compared_version(profile).as_bytes());
            let set = call_function("Camelpost::Script::set_version", &[version], Want::Void);
            drop(set);
        }
        *kept.profile.get_or_init(|| profile)
    }

    /// What `version` answers.
    pub fn version(self) -> &'h str {
        match self.0.is_for_scripts() {
            true => compared_version(self.profile()),
            false => &self.0.settings.version,
        }
    }

    /// `config(NAME)` as the present session's object has it.
    pub fn values(self, name: &[u8]) -> Result<Vec<Vec<u8>>, Unwind> {
        let present = &self.0.present;
        if !present.is_replaced(Method::Config) {
            return self.own_values(name);
        }
        let args = [present.object(), Sv::bytes(name)];
        let values = call_method("config", &args, Want::List)?;
        values.iter().map(stringify).collect()
    }

    /// The host's own: a config hook, else the file's lines, else the default.
    pub fn own_values(self, name: &[u8]) -> Result<Vec<Vec<u8>>, Unwind> {
        if self.0.table.has_entries(Hook::Config)
            && let Some(said) = self.ask_hook(name)?
        {
            let values = said.values.iter().cloned();
            return Ok(values.map(Option::unwrap_or_default).collect());
        }
        Ok(self.file_lines(name)?.to_vec())
    }

    /// The file's lines, else the default: what no config hook is asked for.
    pub fn file_lines(self, name: &[u8]) -> Result<Lines, Unwind> {
        if let Some(lines) = self.lines_without_default(name, None)? {
            return Ok(lines);
        }
        let default = self.default_of(name).map(<[u8]>::to_vec);
        Ok(default.into_iter().collect())
    }

    /// The value of a config name that has no file.
    pub fn default_of(self, name: &[u8]) -> Option<&'h [u8]> {
        default_of(&self.0.settings.defaults, name)
    }

    /// The lines of a config name's file, or of the file at this path, if there are any.
    pub fn lines_without_default(
        self,
        name: &[u8],
        path: Option<&Path>,
    ) -> Result<Option<Lines>, Unwind> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(None);
        };
        let dir = self.dir(name)?;
        look_up(&dir, name, path, |problem| {
            let text = Sv::bytes(problem.as_bytes());
            self.0.log(LOGERROR, None, None, &[text])
        })
    }

    /// Whether Perl code decides what a config name's values are.
    pub fn is_perl(self) -> bool {
        let present = &self.0.present;
        self.0.table.has_entries(Hook::Config)
            || present.is_replaced(Method::Config)
            || present.is_replaced(Method::ConfigDir)
    }

    /// The directories in which the present session looks for a config file. 1.00 reads its files
    /// without asking a `config_dir` that a script has put in the place of its own, and 0.94 goes by
    /// that alone. A script that does not say which it is for finds its files in either way.
    pub fn dir(self, name: &str) -> Result<Rc<ConfigDir>, Unwind> {
        let (host, present) = (self.0, &self.0.present);
        if !present.is_replaced(Method::ConfigDir) {
            return Ok(self.own_dir());
        }
        if host.is_for_scripts() && self.profile() == Profile::V100 {
            let own = self.own_dir();
            if host.kept.profile_is_named.get() || own.has(name) {
                return Ok(own);
            }
        }
        let args = [present.object(), Sv::bytes(name.as_bytes())];
        let dir = call_method("config_dir", &args, Want::Scalar)?;
        let dir = match dir.first() {
            Some(dir) => stringify(dir)?,
            None => Vec::new(),
        };
        Ok(self.dir_of(vec![dir]))
    }

    /// The host's own.
    pub fn own_dir(self) -> Rc<ConfigDir> {
        match &self.0.settings.search {
            Some(search) => self.dir_of(search()),
            None => self.0.settings.config.clone(),
        }
    }

    /// A search through these directories. Files may change at any time.
    fn dir_of(self, dirs: Vec<Vec<u8>>) -> Rc<ConfigDir> {
        let mut known = self.0.kept.dirs.borrow_mut();
        let config = known.entry(dirs.join(&0)).or_insert_with(|| {
            let path = |dir: &Vec<u8>| PathBuf::from(OsString::from_vec(dir.clone()));
            let config = ConfigDir::new(dirs.iter().map(path).collect());
            config.always_check(true);
            Rc::new(config)
        });
        config.clone()
    }

    /// What config hooks say of a name.
    pub fn ask_hook(self, name: &[u8]) -> Result<Values, Unwind> {
        let kept = &self.0.kept.hook.0;
        let said = kept.borrow().get(name).cloned();
        if let Some(said) = said {
            return Ok(said);
        }
        let call = HookCall::with(Hook::Config, vec![name.into()]);
        let verdict = self.0.run_quiet(call)?;
        let values = (verdict.code == Code::Ok).then(|| Rc::new(verdict));
        // The setting is 0.94's.
        if self.profile() == Profile::V094 {
            let mut said = kept.borrow_mut();
            said.insert(name.to_vec(), Values::clone(&values));
        }
        Ok(values)
    }

    /// Values are found anew from now on.
    pub fn forget(self) {
        self.0.kept.hook.0.borrow_mut().clear();
        self.0.settings.config.begin_session();
    }
}
