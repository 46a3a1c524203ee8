//! What holds for each plugin's calls: their place on the worker's page, their time, what their
//! failure means for the session. Does not end a call that takes too long, except a native one.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::config::{OnError, PluginSettings};
use crate::hook::{Code, Hook, Verdict};
use crate::watch::{self, Call, End, Place, Rule, Spot};

/// What holds for the calls of one plugin in one hook.
#[derive(Debug)]
pub struct Guard {
    spot: Spot,
    on_error: Option<OnError>,
    isolate: bool,
}

impl Guard {
    /// The plugin is called.
    pub fn begin(&self) -> Call<'_> {
        if self.isolate {
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
            Unanswered::TooLate => (LOGCRIT, lateness(plugin, hook, guard)),
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
pub fn lateness(plugin: &[u8], hook: Hook, guard: &Guard) -> String {
    let seconds = guard.limit().unwrap_or_default().as_secs();
    format!(
        "plugin {} running the {} hook was not done after {seconds} s and was interrupted \
         (plugin_settings: timeout, on_error)",
        String::from_utf8_lossy(plugin),
        hook.name()
    )
}

fn verdict(on_error: OnError) -> Option<Verdict> {
    match on_error {
        OnError::Skip => None,
        OnError::Defer => Some(Verdict::new(Code::DenySoft)),
        OnError::Deny => Some(Verdict::new(Code::Deny)),
    }
}

type ByName = FxHashMap<Vec<u8>, Rc<Guard>>;

/// The guards of all plugins.
#[derive(Debug, Default)]
pub struct Guards {
    settings: PluginSettings,
    /// The plugins' names in the table of hooks; a place is a plugin's number.
    plugins: Vec<String>,
    known: RefCell<FxHashMap<Hook, ByName>>,
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
            known: RefCell::default(),
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

    /// Whether a process that has called the plugin is to serve one session only.
    pub fn isolates(&self, name: &[u8]) -> bool {
        self.settings.of(name).isolate
    }

    /// Whether the variables of a plugin's file are the worker's.
    pub fn keeps(&self, _name: &[u8]) -> bool {
        false
    }

    /// What holds for a plugin in a hook.
    pub fn of(&self, name: &[u8], hook: Hook, native: bool) -> Rc<Guard> {
        let mut known = self.known.borrow_mut();
        let known = known.entry(hook).or_default();
        if let Some(guard) = known.get(name) {
            return guard.clone();
        }
        let mut plugins = self.plugins.iter();
        // One that came later has the number after the last.
        let number = plugins
            .position(|plugin| plugin.as_bytes() == name)
            .unwrap_or(self.plugins.len());
        let place = Place {
            plugin: u16::try_from(number).unwrap_or(u16::MAX),
            hook: hook as u8,
            native,
        };
        let setting = self.settings.of(name);
        let guard = Rc::new(Guard {
            spot: Spot::new(
                place,
                setting.timeout.saturating_mul(1000),
                setting.quarantine.is_some(),
            ),
            on_error: setting.on_error,
            isolate: setting.isolate,
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
            isolate: false,
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
}
