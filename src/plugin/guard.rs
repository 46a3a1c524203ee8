//! What holds for each plugin's calls: their place on the worker's page, their time, what their
//! failure means for the session. Does not end a call that takes too long, except a native one.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::config::{OnError, PluginSettings};
use crate::hook::{Code, Hook, Verdict};
use crate::watch::{self, Call, End, Place, Reason, Rule, Sharing, Spot};

/// What holds for the calls of one plugin in one hook.
#[derive(Debug)]
pub struct Guard {
    spot: Spot,
    on_error: Option<OnError>,
    /// No other session is to come to a process in which it was called.
    isolate: Cell<bool>,
}

impl Guard {
    /// The plugin is called.
    pub fn begin(&self) -> Call<'_> {
        if self.isolate.get() || watch::is_unshared(self.spot.place.plugin) {
            watch::wear_out();
        }
        watch::begin(&self.spot)
    }

    /// Whether the plugin has failed too often in a row: it is not called, and [`on_lateness`]
    /// stands in for it.
    ///
    /// [`on_lateness`]: Guard::on_lateness
    pub fn is_quarantined(&self) -> bool {
        watch::is_out(&self.spot)
    }

    /// The plugin's verdict, for the sums.
    pub fn gave(&self, code: &Code) {
        watch::count_verdict(&self.spot, code.name().unwrap_or_default());
    }

    /// What it means that the plugin died; `None`: the next one runs.
    pub fn on_death(&self) -> Option<Verdict> {
        verdict(self.on_error.unwrap_or(OnError::Skip))
    }

    /// What it means that the plugin took too long.
    pub fn on_lateness(&self) -> Option<Verdict> {
        verdict(self.on_error.unwrap_or(OnError::Defer))
    }

    /// Seconds that a call may take; `None`: any time.
    pub fn limit(&self) -> Option<Duration> {
        let limit = self.spot.limit;
        (limit > 0).then(|| Duration::from_millis(limit.into()))
    }

    /// Runs a native plugin's call for as long as it may take, unless it is not to be called.
    pub async fn run(&self, called: impl Future<Output = Verdict>) -> Result<Verdict, Unanswered> {
        if self.is_quarantined() {
            return Err(Unanswered::Quarantined);
        }
        let call = self.begin();
        let verdict = match self.limit() {
            Some(limit) => tokio::time::timeout(limit, called).await.ok(),
            None => Some(called.await),
        };
        call.end(match verdict {
            Some(_) => End::Returned,
            None => End::Late,
        });
        if let Some(verdict) = &verdict {
            self.gave(&verdict.code);
        }
        verdict.ok_or(Unanswered::TooLate)
    }
}

/// Seconds that a plugin's call may take where no line says otherwise. A client waits ten minutes for
/// the reply to its message (RFC 5321 section 4.5.3.2.6), and what a backend has taken meanwhile comes
/// twice if it is not waited for.
fn usual_limit(hook: Hook) -> u32 {
    match hook {
        Hook::Queue => 600,
        _ => 120,
    }
}

/// Why a native plugin has given no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    TooLate,
    Quarantined,
}

impl Unanswered {
    /// The line for the log, with its level.
    pub fn told(self, plugin: &[u8], hook: Hook, guard: &Guard) -> (u8, String) {
        match self {
            Unanswered::TooLate => (LOGCRIT, lateness(plugin, hook, guard, Reason::Time)),
            Unanswered::Quarantined => (LOGINFO, quarantined(plugin, hook)),
        }
    }
}

const LOGCRIT: u8 = 2;
const LOGINFO: u8 = 6;

/// The words for the log where a plugin is not called.
pub fn quarantined(plugin: &[u8], hook: Hook) -> String {
    format!(
        "plugin {} is in quarantine, the {} hook goes on without it (plugin_settings: quarantine, \
         on_error)",
        String::from_utf8_lossy(plugin),
        hook.name()
    )
}

/// The words for the log.
pub fn lateness(plugin: &[u8], hook: Hook, guard: &Guard, reason: Reason) -> String {
    let (plugin, hook) = (String::from_utf8_lossy(plugin), hook.name());
    let seconds = guard.limit().unwrap_or_default().as_secs();
    match reason {
        Reason::Time => format!(
            "plugin {plugin} running the {hook} hook was not done after {seconds} s and was \
             interrupted (plugin_settings: timeout, on_error)"
        ),
        Reason::Memory => format!(
            "plugin {plugin} running the {hook} hook has taken most of --worker-memory-max and was \
             interrupted (plugin_settings: on_error)"
        ),
    }
}

fn verdict(on_error: OnError) -> Option<Verdict> {
    match on_error {
        OnError::Skip => None,
        OnError::Defer => Some(Verdict::new(Code::DenySoft)),
        OnError::Deny => Some(Verdict::new(Code::Deny)),
    }
}

/// What native plugins' names begin with.
const NATIVE: &[u8] = b"native/";

type ByName = FxHashMap<Vec<u8>, Rc<Guard>>;

/// The guards of all plugins.
#[derive(Debug, Default)]
pub struct Guards {
    settings: PluginSettings,
    /// The plugins' names in the table of hooks; a place is a plugin's number.
    plugins: Vec<String>,
    known: RefCell<FxHashMap<Hook, ByName>>,
    /// The hooks of each plugin when all were loaded: a bit for each hook's number.
    hooks: RefCell<Vec<u64>>,
    /// Plugins whose variables cannot be exchanged, as was found here, and why.
    unfit: RefCell<FxHashMap<Vec<u8>, String>>,
}

impl Guards {
    /// Numbers the plugins by these names; what comes twice counts once.
    pub fn new(settings: PluginSettings, names: impl Iterator<Item = Vec<u8>>) -> Guards {
        let mut plugins: Vec<String> = Vec::new();
        for name in names {
            let name = String::from_utf8_lossy(&name).into_owned();
            if !plugins.contains(&name) {
                plugins.push(name);
            }
        }
        Guards {
            settings,
            plugins,
            ..Guards::default()
        }
    }

    /// The plugins' names, by their numbers.
    pub fn names(&self) -> &[String] {
        &self.plugins
    }

    /// When plugins are put into quarantine.
    pub fn rules(&self) -> Vec<Rule> {
        let rule = |(plugin, name): (u16, &String)| {
            let quarantine = self.settings.of(name.as_bytes()).quarantine?;
            Some(Rule {
                plugin,
                failures: quarantine.failures,
                seconds: quarantine.seconds,
            })
        };
        (0..).zip(&self.plugins).filter_map(rule).collect()
    }

    /// A plugin's number.
    pub fn number(&self, name: &[u8]) -> Option<u16> {
        let mut plugins = self.plugins.iter();
        let number = plugins.position(|plugin| plugin.as_bytes() == name)?;
        u16::try_from(number).ok()
    }

    /// Whether a process that has called the plugin is to serve one session only.
    pub fn isolates(&self, name: &[u8]) -> bool {
        self.isolates_here(name) || (self.number(name)).is_some_and(watch::is_unshared)
    }

    /// The same as far as it was not found by another process.
    fn isolates_here(&self, name: &[u8]) -> bool {
        let setting = self.settings.of(name);
        setting.isolate || (!setting.keep && self.unfit.borrow().contains_key(name))
    }

    /// Whether the variables of the plugin's file are the worker's, and live on from session to
    /// session. Native plugins have none that are looked at.
    pub fn keeps(&self, name: &[u8]) -> bool {
        let setting = self.settings.of(name);
        setting.keep && !setting.isolate && !name.starts_with(NATIVE)
    }

    /// The plugin's variables cannot be exchanged, for this reason ("its variable %x is tied"): it
    /// is isolated from now on, unless it keeps its variables. Gives the line for the log, and
    /// whether that is a warning; `None` where nothing changes.
    pub fn set_unfit(&self, name: &[u8], reason: &str) -> Option<(String, bool)> {
        if self.settings.of(name).isolate || self.unfit.borrow().contains_key(name) {
            return None;
        }
        let mut unfit = self.unfit.borrow_mut();
        unfit.insert(name.to_vec(), reason.to_owned());
        drop(unfit);
        let kept = self.keeps(name);
        for guards in self.known.borrow().values() {
            if let Some(guard) = guards.get(name) {
                guard.isolate.set(!kept);
            }
        }
        let line = watch::unfit_line(&String::from_utf8_lossy(name), reason, kept);
        Some((line, !kept))
    }

    /// How the sessions of a worker share each plugin, by their numbers.
    pub fn sharing(&self) -> Vec<Sharing> {
        let sharing = |name: &String| {
            let name = name.as_bytes();
            if self.settings.of(name).isolate {
                return Sharing::Isolated;
            }
            if self.keeps(name) {
                return Sharing::Keeps;
            }
            match self.unfit.borrow().get(name) {
                Some(reason) => Sharing::OwnWorkers {
                    reason: reason.clone(),
                },
                None => Sharing::Shared,
            }
        };
        self.plugins.iter().map(sharing).collect()
    }

    /// These plugins are called in this hook.
    pub fn note_hook(&self, hook: Hook, names: impl Iterator<Item = Vec<u8>>) {
        let mut hooks = self.hooks.borrow_mut();
        hooks.resize(self.plugins.len(), 0);
        for number in names.filter_map(|name| self.number(&name)) {
            hooks[usize::from(number)] |= 1 << (hook as u8);
        }
    }

    /// The hooks in which a plugin is called that is to have a process for each session: a bit for
    /// each hook's number.
    pub fn isolating_hooks(&self) -> u64 {
        let hooks = self.hooks.borrow();
        let isolating =
            (self.plugins.iter().zip(&*hooks)).filter(|(name, _)| self.isolates(name.as_bytes()));
        isolating.fold(0, |all, (_, hooks)| all | hooks)
    }

    /// What holds for a plugin in a hook.
    pub fn of(&self, name: &[u8], hook: Hook, native: bool) -> Rc<Guard> {
        let mut known = self.known.borrow_mut();
        let known = known.entry(hook).or_default();
        if let Some(guard) = known.get(name) {
            return guard.clone();
        }
        // One that came later has the number after the last.
        let next = || u16::try_from(self.plugins.len()).unwrap_or(u16::MAX);
        let place = Place {
            plugin: self.number(name).unwrap_or_else(next),
            hook: hook as u8,
            native,
        };
        let setting = self.settings.of(name);
        let guard = Rc::new(Guard {
            spot: Spot::new(
                place,
                setting
                    .timeout
                    .unwrap_or(usual_limit(hook))
                    .saturating_mul(1000),
                setting.quarantine.is_some(),
            ),
            on_error: setting.on_error,
            isolate: Cell::new(self.isolates_here(name)),
        });
        known.insert(name.to_vec(), guard.clone());
        guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(milliseconds: u32) -> Guard {
        let place = Place {
            plugin: 0,
            hook: 0,
            native: true,
        };
        Guard {
            spot: Spot::new(place, milliseconds, false),
            on_error: None,
            isolate: Cell::default(),
        }
    }

    fn run(guard: &Guard, called: impl Future<Output = Verdict>) -> Result<Verdict, Unanswered> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(guard.run(called))
    }

    #[test]
    fn a_native_call_ends_when_its_time_is_over_and_defers() {
        let page = Box::leak(crate::watch::Page::empty());
        watch::attach(page);
        let guard = guard(5);
        let ended = run(&guard, std::future::pending());
        assert_eq!(ended.err(), Some(Unanswered::TooLate));
        assert_eq!(guard.on_lateness().unwrap().code, Code::DenySoft);
        assert_eq!(page.running(), []);
        let sums: Vec<_> = page.sums().map(|(_, sum)| (sum.calls, sum.late)).collect();
        assert_eq!(sums, [(1, 1)]);
    }

    #[test]
    fn a_native_plugin_that_is_late_too_often_is_not_called() {
        watch::attach(Box::leak(crate::watch::Page::empty()));
        let ledger: &'static crate::watch::Ledger = Box::leak(crate::watch::Ledger::empty());
        ledger.set(Rule {
            plugin: 0,
            failures: 2,
            seconds: 0,
        });
        watch::attach_ledger(ledger);
        let guard = Guard {
            spot: Spot::new(guard(5).spot.place, 5, true),
            ..guard(5)
        };
        for _ in 0..2 {
            let ended = run(&guard, std::future::pending());
            assert_eq!(ended.err(), Some(Unanswered::TooLate));
        }
        let never = async { panic!("it is called") };
        assert_eq!(run(&guard, never).err(), Some(Unanswered::Quarantined));
        let (level, told) = Unanswered::Quarantined.told(b"native/x", Hook::Rcpt, &guard);
        assert_eq!(level, 6);
        assert!(told.starts_with("plugin native/x is in quarantine, the rcpt hook"));
    }

    #[test]
    fn a_native_call_without_a_limit_may_take_any_time() {
        let slow = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Verdict::new(Code::Ok)
        };
        assert_eq!(run(&guard(0), slow).unwrap().code, Code::Ok);
    }

    #[test]
    fn a_queue_hook_may_take_as_long_as_a_client_waits_for_its_reply() {
        let limit = |settings: &str, hook| {
            let guard = guards(settings).of(b"a", hook, false);
            guard.limit().map(|limit| limit.as_secs())
        };
        assert_eq!(limit("", Hook::Queue), Some(600));
        assert_eq!(limit("", Hook::QueuePre), Some(120));
        assert_eq!(limit("", Hook::DataPost), Some(120));
        assert_eq!(limit("* timeout 5\n", Hook::Queue), Some(5));
        assert_eq!(limit("* timeout 0\n", Hook::Queue), None);
    }

    #[test]
    fn plugins_have_numbers_in_their_order_and_one_that_comes_later_the_next() {
        let names = ["a", "b", "a"].map(|name| name.as_bytes().to_vec());
        let guards = Guards::new(PluginSettings::default(), names.into_iter());
        assert_eq!(guards.names(), ["a", "b"]);
        let number = |name: &[u8]| guards.of(name, Hook::Rcpt, false).spot.place.plugin;
        assert_eq!([number(b"b"), number(b"a"), number(b"late")], [1, 0, 2]);
        let guard = guards.of(b"a", Hook::Rcpt, false);
        assert_eq!(guard.limit(), Some(Duration::from_secs(120)));
        assert!(Rc::ptr_eq(&guard, &guards.of(b"a", Hook::Rcpt, false)));
    }

    fn guards(settings: &str) -> Guards {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plugin_settings"), settings).unwrap();
        let config = crate::config::ConfigDir::new(vec![dir.path().to_path_buf()]);
        let place = crate::config::Place {
            file: dir.path().join("plugins").into(),
            line: 1,
        };
        let lines = ["a", "b", "c", "native/n"].map(|name| crate::config::PluginLine {
            name: name.into(),
            args: Vec::new(),
            text: name.into(),
            place: place.clone(),
        });
        let settings = PluginSettings::load(&config, lines.iter()).unwrap();
        let names = lines.iter().map(|line| line.name.clone());
        let guards = Guards::new(settings, names);
        let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let all: Vec<Vec<u8>> = names(&["a", "b", "native/n"]);
        guards.note_hook(Hook::Rcpt, all.into_iter());
        guards.note_hook(Hook::Mail, names(&["b", "b"]).into_iter());
        guards
    }

    #[test]
    fn plugins_keep_their_variables_unless_they_are_isolated_or_native() {
        let guards = guards("* keep\nb isolate\n");
        assert!(guards.keeps(b"a") && !guards.keeps(b"b") && !guards.keeps(b"native/n"));
        let (shared, keeps) = (Sharing::Shared, Sharing::Keeps);
        let expected = [keeps.clone(), Sharing::Isolated, keeps, shared];
        assert_eq!(guards.sharing(), expected);
    }

    #[test]
    fn an_unfit_plugin_is_isolated_also_where_its_guard_is_known_already() {
        let guards = guards("a keep\nc isolate\n");
        let [a, b] = [b"a", b"b"].map(|name| guards.of(name, Hook::Rcpt, false));
        assert_eq!(guards.isolating_hooks(), 0);
        let (told, warns) = guards.set_unfit(b"b", "its variable %x is tied").unwrap();
        assert!(warns);
        assert_eq!(
            told,
            "plugin b: its variable %x is tied, so it cannot be shared between sessions: its \
             sessions get workers of their own (plugin_settings: keep, isolate)"
        );
        assert_eq!(guards.set_unfit(b"b", "its variable @y is tied"), None);
        assert_eq!(guards.set_unfit(b"c", "its variable @y is tied"), None);
        let (_, warns) = guards.set_unfit(b"a", "its variable %x is tied").unwrap();
        assert!(!warns && !guards.isolates(b"a") && guards.isolates(b"b"));
        let bits = 1 << Hook::Rcpt as u8 | 1 << Hook::Mail as u8;
        assert_eq!(guards.isolating_hooks(), bits);
        watch::attach(Box::leak(crate::watch::Page::empty()));
        a.begin().end(End::Returned);
        assert!(!watch::is_worn());
        b.begin().end(End::Returned);
        assert!(watch::is_worn());
        let reason = "its variable %x is tied".to_owned();
        assert_eq!(guards.sharing()[1], Sharing::OwnWorkers { reason });
    }

    #[test]
    fn a_plugin_that_another_process_has_marked_is_isolated_here() {
        let guards = guards("");
        let guard = guards.of(b"b", Hook::Rcpt, false);
        watch::attach(Box::leak(crate::watch::Page::empty()));
        let ledger: &'static crate::watch::Ledger = Box::leak(crate::watch::Ledger::empty());
        watch::attach_ledger(ledger);
        guard.begin().end(End::Returned);
        assert!(!watch::is_worn() && !guards.isolates(b"b"));
        ledger.mark_unfit(guards.number(b"b").unwrap(), watch::Unfit::Tied, "%x");
        assert!(guards.isolates(b"b") && !guards.isolates(b"a"));
        let bits = 1 << Hook::Rcpt as u8 | 1 << Hook::Mail as u8;
        assert_eq!(guards.isolating_hooks(), bits);
        guard.begin().end(End::Returned);
        assert!(watch::is_worn());
    }
}
