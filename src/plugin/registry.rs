//! Which native plugins there are, and those that config/plugins has loaded.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Plugin;
use super::args::{self, Words};
use super::cx::Identity;
use super::failure::PluginError;
use super::hooks::{Handler, Hooks};
use super::policy::{self, Policy, Reject};
use super::services::ConfigValue;
use super::twin::{Port, Twin, TwinEntry, TwinLine};
use crate::chain::Guards;
use crate::config::{ConfigDir, PluginLine, Profile, table_name};
use crate::hook::Hook;

/// What the names of native plugins begin with in config/plugins and config/logging.
pub const PREFIX: &[u8] = b"native/";

/// Where and as what a plugin is loaded.
pub struct LoadEnv<'a> {
    name: Rc<str>,
    config: &'a ConfigDir,
    line: &'a PluginLine,
    of: Profile,
    warnings: RefCell<Vec<String>>,
    said: RefCell<Vec<(u8, String)>>,
    usual: RefCell<Policy>,
    fixed: RefCell<Policy>,
}

impl<'a> LoadEnv<'a> {
    /// For the plugin of this line. Where it does what a Perl plugin does, it is that of this profile.
    pub fn new(config: &'a ConfigDir, line: &'a PluginLine, of: Profile) -> LoadEnv<'a> {
        let name = line.name.strip_prefix(PREFIX).unwrap_or(&line.name);
        let name = table_name(name);
        LoadEnv {
            name: Rc::from(&*String::from_utf8_lossy(&name)),
            config,
            line,
            of,
            warnings: RefCell::default(),
            said: RefCell::default(),
            usual: RefCell::default(),
            fixed: RefCell::default(),
        }
    }

    /// The plugin's name as other plugins and the log have it: `dnsbl` of `native/dnsbl`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The config directory, for what the plugin reads once. What may change while the service runs is
    /// asked for in the hooks.
    pub fn config(&self) -> &ConfigDir {
        self.config
    }

    /// The lines of a config file, as they are now; none where it is not there.
    pub fn lines(&self, name: &str) -> Result<Vec<Vec<u8>>, PluginError> {
        let entries = self.config.entries(name)?;
        Ok(entries.into_iter().map(|entry| entry.text).collect())
    }

    /// A config file as a value of the plugin's own type, as it is now. The error names the file and the line.
    pub fn value<T: ConfigValue>(&self, name: &str) -> Result<T, PluginError> {
        let entries = self.config.entries(name)?;
        let lines: Vec<Vec<u8>> = entries.iter().map(|entry| entry.text.clone()).collect();
        T::parse(&lines).map_err(|wrong| {
            let place = entries.get(wrong.line).map(|entry| entry.place.to_string());
            let place = place.unwrap_or_else(|| self.config.path(name).display().to_string());
            PluginError::new(format!("{place}: {}", wrong.text))
        })
    }

    /// What the administrator is to know, though the plugin can do its work.
    pub fn warn(&self, text: impl Into<String>) {
        let text = format!("{}: {}: {}", self.line.place, self.shown(), text.into());
        self.warnings.borrow_mut().push(text);
    }

    /// The words behind the plugin's name, as the line has them.
    pub fn words(&self) -> &[Vec<u8>] {
        &self.line.args
    }

    /// The verdict of [`Cx::get_reject`](crate::plugin::Cx::get_reject) where the line has no `reject_type`: one of
    /// that argument's words. The notes for the plugin `naughty` have it then, as with a word of the line's.
    pub fn usual_reject_type(&self, word: &str) {
        self.usual.borrow_mut().reject_type = policy::reject_type(word);
    }

    /// The same whatever the line has. Says whether it is one of those words.
    pub fn always_reject_type(&self, word: &str) -> bool {
        let known = policy::reject_type(word);
        let is_one = known.is_some();
        self.fixed.borrow_mut().reject_type = known;
        is_one
    }

    /// Whether the plugin rejects where the line has no `reject`. It does where nothing is said.
    pub fn usually_rejects(&self, does: bool) {
        self.usual.borrow_mut().reject = Some(match does {
            true => Reject::Yes,
            false => Reject::No,
        });
    }

    /// The `loglevel` where the line has none: what a config file of the plugin's has.
    pub(crate) fn usual_loglevel(&self, word: &[u8]) -> Result<(), PluginError> {
        let pair = [b"loglevel".to_vec(), word.to_vec()];
        let level = Policy::of_perl(&pair)?;
        let mut usual = self.usual.borrow_mut();
        *usual = level.or(usual.clone());
        Ok(())
    }

    /// Whether it stands in a Perl plugin's place, under that plugin's line.
    pub(crate) fn is_twin(&self) -> bool {
        !self.line.name.starts_with(PREFIX)
    }

    /// Whose plugin it does as, where it does what a Perl plugin does: that of qpsmtpd 0.94 or 1.00.
    pub(crate) fn profile(&self) -> Profile {
        self.of
    }

    /// A log line of the plugin's, as a Perl plugin has it while it is loaded.
    pub(crate) fn log(&self, level: u8, text: impl Into<String>) {
        self.said.borrow_mut().push((level, text.into()));
    }

    /// The lines of the plugin's, once.
    pub fn take_said(&self) -> Vec<(u8, String)> {
        self.said.take()
    }

    /// What was to be said, once.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    /// As the line has it.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.line.name).into_owned()
    }
}

type Load = fn(&LoadEnv<'_>) -> Result<Vec<Handler>, PluginError>;

/// The native plugins that config/plugins may name.
#[derive(Clone, Default)]
pub struct Registry {
    known: BTreeMap<&'static str, Load>,
    twins: BTreeMap<&'static str, TwinEntry>,
}

impl Registry {
    /// Makes a plugin known.
    pub fn add<P: Plugin>(&mut self) {
        self.known.insert(P::NAME, load::<P>);
    }

    /// Makes known a plugin that may stand in a Perl plugin's place.
    pub(crate) fn add_twin<T: Twin>(&mut self) {
        self.twins.insert(T::NAME, TwinEntry::of::<T>());
    }

    /// Makes known a plugin that has a line of its own, and may stand in a Perl plugin's place.
    pub(crate) fn add_port<P: Port>(&mut self) {
        self.add::<P>();
        let entry = TwinEntry {
            files: P::FILES,
            usually: false,
            serves: P::serves,
            load: load_port::<P>,
        };
        self.twins.insert(P::NAME, entry);
    }

    /// Whether a line `native/NAME` is served by a plugin as any other, and by no twin.
    pub(crate) fn has_line(&self, name: &str) -> bool {
        self.known.contains_key(without_number(name))
    }

    /// The plugin of this name, if it may stand in a Perl plugin's place: as a line has it or the table of hooks, with
    /// or without a number behind it.
    pub(crate) fn twin(&self, name: &str) -> Option<TwinEntry> {
        let shown = table_name(without_number(name).as_bytes());
        let is_it = |known: &str| {
            let rest = shown.strip_prefix(&table_name(known.as_bytes())[..]);
            rest.is_some_and(is_number_in_table)
        };
        let mut known = self.twins.iter();
        known
            .find(|(known, _)| is_it(known))
            .map(|(_, entry)| *entry)
    }

    /// The names of all of them.
    pub(crate) fn twins(&self) -> impl Iterator<Item = &'static str> {
        self.twins.keys().copied()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let all: std::collections::BTreeSet<_> =
            self.known.keys().chain(self.twins.keys()).collect();
        all.into_iter().copied()
    }

    /// Loads the plugin of a `native/NAME ARGS` line and gives its hooks. `native/NAME:N` is another
    /// one of the same. The error begins with file and line.
    pub fn load(&self, env: &LoadEnv<'_>) -> Result<Vec<Handler>, String> {
        let shown = env.shown();
        let name = shown.strip_prefix("native/").unwrap_or(&shown);
        let loaded = match self.known.get(without_number(name)) {
            Some(load) => load(env),
            None => {
                let known: Vec<_> = self.names().map(|name| format!("native/{name}")).collect();
                Err(PluginError::new(format!(
                    "there is no such native plugin; there are: {}",
                    known.join(", ")
                )))
            }
        };
        loaded.map_err(|error| format!("{}: {shown}: {error}", env.line.place))
    }
}

/// `dnsbl` of `dnsbl:2`.
pub(crate) fn without_number(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((plain, number))
            if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            plain
        }
        _ => name,
    }
}

/// Nothing, or what the table of hooks makes of `:2`.
fn is_number_in_table(rest: &[u8]) -> bool {
    let digits = rest.strip_prefix(b"_3a");
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    rest.is_empty() || digits.is_some_and(is_number)
}

fn load<P: Plugin>(env: &LoadEnv<'_>) -> Result<Vec<Handler>, PluginError> {
    let named = TypeId::of::<P::Args>() != TypeId::of::<Words>();
    let common = match (named, P::REJECTS) {
        (false, false) => &[],
        (true, false) => policy::OF_ALL,
        (_, true) => policy::OF_REJECTING,
    };
    let (policy, words) = Policy::take(&env.line.args, common, P::REJECT_WORDS)?;
    let args = args::read::<P::Args>(&words, common)?;
    hooks_of::<P>(args, policy, env)
}

/// Loads it under a Perl plugin's line, of which it refuses nothing that Perl's would not.
fn load_port<P: Port>(line: &TwinLine<'_>) -> Result<Vec<Handler>, PluginError> {
    let policy = match P::KEEPS_PAIRS {
        true => Policy::of_perl(line.args)?,
        false => Policy::default(),
    };
    let env = LoadEnv::new(line.dir, line.line, line.of);
    let text = String::from_utf8_lossy(&line.line.text);
    // What the log says of a Perl plugin that is loaded: nothing where its line speaks of logging.
    if let Some(file) = line.file.filter(|_| !text.contains("logging")) {
        (line.trace)(&[&format!("Loading {text} from {}", file.display())]);
    }
    let mut handlers = hooks_of::<P>(P::perl_args(line.args), policy, &env)?;
    let say = || {
        let said = env.take_said();
        said.iter()
            .for_each(|(level, text)| (line.log)(*level, text));
        let warnings = env.take_warnings();
        warnings
            .iter()
            .for_each(|text| (line.log)(crate::log::LOGWARN, text));
    };
    if P::SPEAKS_FIRST {
        say();
    }
    for handler in &mut handlers {
        handler.listed = line.listed.into();
        // Nobody could be told of it while what takes the lines is loaded.
        if handler.hook != Hook::Logging {
            (line.trace)(&[line.name, "hooking", handler.hook.name()]);
        }
    }
    say();
    Ok(handlers)
}

fn hooks_of<P: Plugin>(
    args: P::Args,
    policy: Policy,
    env: &LoadEnv<'_>,
) -> Result<Vec<Handler>, PluginError> {
    let plugin = Rc::new(P::load(args, env)?);
    let mut hooks = Hooks {
        identity: Rc::new(Identity {
            name: env.name.clone(),
            policy: env.fixed.take().or(policy).or(env.usual.take()),
        }),
        plugin,
        handlers: Vec::new(),
    };
    P::hooks(&mut hooks);
    Ok(hooks.handlers)
}

/// The hooks of the native plugins that are loaded; an id is the place in the table.
#[derive(Clone, Default)]
pub struct Natives {
    handlers: Vec<Handler>,
    by_hook: BTreeMap<Hook, Vec<i32>>,
}

impl Natives {
    /// Adds a hook and gives its id.
    pub fn add(&mut self, handler: Handler) -> i32 {
        let id = i32::try_from(self.handlers.len()).unwrap_or(i32::MAX);
        self.by_hook.entry(handler.hook).or_default().push(id);
        self.handlers.push(handler);
        id
    }

    /// The ids of a hook's handlers, in the order of their lines.
    pub fn of(&self, hook: Hook) -> &[i32] {
        self.by_hook.get(&hook).map_or(&[], Vec::as_slice)
    }

    /// Lets the guards know which plugin is called in which hooks.
    pub fn note_hooks(&self, guards: &Guards) {
        for handler in &self.handlers {
            let name = handler.listed.as_bytes().to_vec();
            guards.note_hook(handler.hook, std::iter::once(name));
        }
    }

    /// Whether any plugin is registered for a hook.
    pub fn has_entries(&self, hook: Hook) -> bool {
        self.by_hook.contains_key(&hook)
    }

    /// The mechanisms for which an auth hook is registered; `auth` stands for all.
    pub fn auth_mechanisms(&self) -> Vec<&'static str> {
        let all = self.has_entries(Hook::Auth);
        let mechanisms = Hook::AUTH_MECHANISMS.iter();
        let offered = mechanisms.filter(|(hook, _)| all || self.has_entries(*hook));
        offered.map(|(_, name)| *name).collect()
    }

    /// The hook with this id.
    pub fn get(&self, id: i32) -> Option<Handler> {
        usize::try_from(id)
            .ok()
            .and_then(|id| self.handlers.get(id))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_the_name_tells_lines_of_one_plugin_apart() {
        assert_eq!(without_number("dnsbl:2"), "dnsbl");
        assert_eq!(without_number("queue/maildir:10"), "queue/maildir");
        assert_eq!(without_number("dnsbl:"), "dnsbl:");
        assert_eq!(without_number("dnsbl:x"), "dnsbl:x");
    }

    #[test]
    fn a_twin_has_the_name_of_its_line_or_of_the_table() {
        let mut registry = Registry::default();
        crate::plugins::register(&mut registry);
        for name in [
            "loop",
            "loop:2",
            "loop_3a2",
            "queue/maildir",
            "queue::maildir:1",
        ] {
            assert!(registry.twin(name).is_some(), "{name}");
        }
        for name in ["loops", "loop_3a", "loop_3ax", "maildir"] {
            assert!(registry.twin(name).is_none(), "{name}");
        }
    }
}
