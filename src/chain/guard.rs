//! What holds for each plugin's calls: their place on the worker's page, their time, what their
//! failure means for the session. Does not end a call that takes too long, except a native one.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::given::Given;
use crate::base::log::{LOGCRIT, LOGINFO};
use crate::config::{OnError, PluginSettings};
use crate::hook::{Code, Hook, Verdict};
use crate::watch::{self, Call, End, PluginHook, Reason, Rule, Sharing, Spot};

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

    /// The line for the log where a call has come to no answer of the plugin's own, with its level.
    pub fn told(&self, given: &Given, plugin: &[u8], hook: Hook) -> Option<(u8, String)> {
        match given {
            Given::TooLate(reason) => Some((LOGCRIT, lateness(plugin, hook, self, *reason))),
            Given::Quarantined => Some((LOGINFO, quarantined(plugin, hook))),
            _ => None,
        }
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

    /// Runs a native plugin's call for as long as it may take, unless it is not to be called. One that
    /// fails or panics has died.
    pub async fn run<E: Display>(&self, called: impl Future<Output = Result<Verdict, E>>) -> Given {
        if self.is_quarantined() {
            return Given::Quarantined;
        }
        let call = self.begin();
        let longest = Cell::new(Duration::ZERO);
        let called = caught(called, &longest);
        let outcome = match self.limit() {
            Some(limit) => tokio::time::timeout(limit, called).await.ok(),
            None => Some(called.await),
        };
        tell_of_blocking(&self.spot.place, longest.get());
        self.ended(call, outcome)
    }

    /// The same for a call that never waits: nothing ends one that takes too long.
    pub fn run_now<E: Display>(&self, called: impl FnOnce() -> Result<Verdict, E>) -> Given {
        if self.is_quarantined() {
            return Given::Quarantined;
        }
        let call = self.begin();
        let called = catch_unwind(AssertUnwindSafe(called));
        self.ended(call, Some(called.map_err(|panic| text_of_panic(&*panic))))
    }

    fn ended<E: Display>(
        &self,
        call: Call<'_>,
        outcome: Option<Result<Result<Verdict, E>, Vec<u8>>>,
    ) -> Given {
        let outcome = outcome.map(|called| match called {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(failure)) => Err(failure.to_string().into_bytes()),
            Err(panic) => Err(panic),
        });
        call.end(match outcome {
            Some(Ok(_)) => End::Returned,
            Some(Err(_)) => End::Died,
            None => End::Late,
        });
        match outcome {
            Some(Ok(verdict)) => {
                self.gave(&verdict.code);
                Given::Verdict(verdict)
            }
            Some(Err(text)) => Given::Died(text),
            None => Given::TooLate(Reason::Time),
        }
    }
}

/// How long a native call may keep the worker's other sessions waiting in one go before the log says so.
const PATIENCE: Duration = Duration::from_millis(500);

/// A plugin that does not wait but blocks has been seen. Nothing ends it; its author is to know.
fn tell_of_blocking(place: &PluginHook, longest: Duration) {
    if longest > PATIENCE {
        let hook = Hook::ALL.get(usize::from(place.hook));
        tracing::warn!(
            "a native plugin running the {} hook has kept all sessions of its worker waiting for {} ms: \
             what blocks belongs into cx.offload",
            hook.map_or("?", |hook| hook.name()),
            longest.as_millis()
        );
    }
}

/// The same future, whose panic is a value: its text, as far as it has one. `longest` is how long it has
/// run without a pause. What the plugin has left
/// half done is its own: no state of the server's is under its hands while it runs.
async fn caught<T>(
    called: impl Future<Output = T>,
    longest: &Cell<Duration>,
) -> Result<T, Vec<u8>> {
    let mut called = pin!(called);
    poll_fn(|context| {
        let begun = Instant::now();
        let polled = catch_unwind(AssertUnwindSafe(|| called.as_mut().poll(context)));
        longest.set(longest.get().max(begun.elapsed()));
        match polled {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Err(text_of_panic(&*panic))),
        }
    })
    .await
}

fn text_of_panic(panic: &(dyn Any + Send)) -> Vec<u8> {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "for a reason that is no text",
    };
    format!("panicked: {text}").into_bytes()
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

/// The words for the log where a plugin is not called.
fn quarantined(plugin: &[u8], hook: Hook) -> String {
    format!(
        "plugin {} is in quarantine, the {} hook goes on without it (plugin_settings: quarantine, \
         on_error)",
        String::from_utf8_lossy(plugin),
        hook.name()
    )
}

/// The words for the log.
fn lateness(plugin: &[u8], hook: Hook, guard: &Guard, reason: Reason) -> String {
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

    /// What holds for a plugin in a hook, by the name that plugin_settings has, or the one that log lines
    /// give it: a native plugin is `native/NAME` there, unless it stands in a Perl plugin's place.
    pub fn of(&self, name: &[u8], hook: Hook, native: bool) -> Rc<Guard> {
        let whole;
        let name = match native && !name.starts_with(NATIVE) {
            true => {
                whole = [NATIVE, name].concat();
                let in_place = self.number(&whole).is_none() && self.number(name).is_some();
                if in_place { name } else { &whole }
            }
            false => name,
        };
        let mut known = self.known.borrow_mut();
        let known = known.entry(hook).or_default();
        if let Some(guard) = known.get(name) {
            return guard.clone();
        }
        // One that came later has the number after the last.
        let next = || u16::try_from(self.plugins.len()).unwrap_or(u16::MAX);
        let place = PluginHook {
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
mod tests;
