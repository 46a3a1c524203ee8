//! A chain on its way through a hook's plugins, and what each plugin's answer means for it.

use super::given::Given;
use super::guard::{Guard, Guards};
use crate::base::log::{LOGCRIT, LOGDEBUG, LOGERROR};
use crate::config::Profile;
use crate::hook::{Arg, Code, Hook, HookCall, Verdict};
use crate::store::STILL_DOWN;

/// A chain on its way.
pub(crate) struct Course {
    pub call: HookCall,
    next: usize,
    /// run_hooks_no_respond: no log lines, no ok or deny hooks, texts as they are.
    quiet: bool,
    verdict: Verdict,
}

/// How far the call of an entry has come.
pub(crate) enum Called {
    Gave(Given),
    /// It is a native plugin's that never waits, and gave this.
    GaveNow(Given),
    /// It is a native plugin's, with this id: who runs the chain calls it, and goes on with what it
    /// gave.
    Native(i32),
}

/// What is around a chain, as its account needs it.
pub(crate) trait Around {
    /// What ends a chain before its time, and everything around it (Perl's exit).
    type Exit;

    /// Which original's behaviour counts.
    fn profile(&self) -> Profile;
    /// Whether anybody sees a line at this level.
    fn is_logged(&self, level: u8) -> bool;
    /// A line of the core, of texts with a space between each.
    fn log(&self, level: u8, hook: Option<Hook>, texts: &[&[u8]]) -> Result<(), Self::Exit>;
    /// What holds for the plugins' calls, where somebody watches.
    fn guards(&self) -> Option<&Guards>;
    /// Whether any plugin is registered for a hook.
    fn has_entries(&self, hook: Hook) -> bool;
    /// Runs another hook's chain quietly.
    fn run_quiet(&self, call: HookCall) -> Result<(), Self::Exit>;
    /// The first text of a verdict as the hooks `ok` and `deny` get it.
    fn first_text(&self, verdict: &Verdict) -> Arg;
    /// Takes a plugin's code into what the transaction's notes say of its hooks.
    fn record(&self, plugin: &[u8], hook: Hook, code: &Code);
}

/// The entries of a hook, in order.
pub(crate) trait Plugins: Around {
    type Entry;

    /// Entry `index` of the hook as it is now, with its plugin's name.
    fn entry(&mut self, hook: Hook, index: usize) -> Option<(Self::Entry, Vec<u8>)>;
    /// Calls an entry, unless it is a native one that may wait.
    fn call(
        &mut self,
        call: &HookCall,
        name: &[u8],
        entry: &Self::Entry,
    ) -> Result<Called, Self::Exit>;
    /// The chain is over: what its plugins have left in the arguments.
    fn finish(&mut self, call: &HookCall, verdict: &mut Verdict) -> Result<(), Self::Exit>;
}

/// Runs a chain on to its end (`None`) or to the next native plugin, whose id it gives. `native` is
/// what the native plugin gave at which it stopped.
pub(crate) fn advance<P: Plugins>(
    course: &mut Course,
    plugins: &mut P,
    native: Option<Given>,
) -> Result<Option<i32>, P::Exit> {
    let hook = course.call.hook;
    if let Some(given) = native {
        let last = plugins.entry(hook, course.next - 1);
        let name = last.map(|(_, name)| name).unwrap_or_default();
        if course.take(plugins, &name, true, given)? {
            plugins.finish(&course.call, &mut course.verdict)?;
            return Ok(None);
        }
    }
    while let Some((entry, name)) = plugins.entry(hook, course.next) {
        course.next += 1;
        if !course.quiet && plugins.is_logged(LOGDEBUG) {
            plugins.log(LOGDEBUG, Some(hook), &[&name])?;
        }
        match plugins.call(&course.call, &name, &entry)? {
            Called::Native(id) => return Ok(Some(id)),
            Called::Gave(given) => {
                if course.take(plugins, &name, false, given)? {
                    break;
                }
            }
            Called::GaveNow(given) => {
                if course.take(plugins, &name, true, given)? {
                    break;
                }
            }
        }
    }
    plugins.finish(&course.call, &mut course.verdict)?;
    Ok(None)
}

impl Course {
    pub(crate) fn new(call: HookCall) -> Course {
        Course {
            quiet: call.hook.is_internal(),
            call,
            next: 0,
            verdict: Verdict::declined(),
        }
    }

    /// As `run_hooks_no_respond` has it.
    pub(crate) fn quiet(call: HookCall) -> Course {
        Course {
            quiet: true,
            ..Course::new(call)
        }
    }

    /// What the chain has come to.
    pub(crate) fn verdict(self) -> Verdict {
        self.verdict
    }

    /// Takes what a plugin gave into the chain. True if the chain ends with it.
    fn take<A: Around>(
        &mut self,
        around: &A,
        name: &[u8],
        native: bool,
        given: Given,
    ) -> Result<bool, A::Exit> {
        let hook = self.call.hook;
        let guard = || around.guards().map(|guards| guards.of(name, hook, native));
        let instead = |verdict: fn(&Guard) -> Option<Verdict>| guard().and_then(|g| verdict(&g));
        let verdict = match given {
            Given::Verdict(verdict) => Some(verdict),
            Given::Nothing => None,
            Given::Undef => {
                if !self.quiet {
                    self.tell_of_undef(around, name)?;
                }
                None
            }
            Given::Died(mut error) => {
                if native {
                    // A Perl plugin's line is the original's.
                    let verdict = instead(Guard::on_death).filter(|_| !self.quiet);
                    error.extend_from_slice(b"; ");
                    error.extend_from_slice(&consequence(verdict.as_ref()));
                }
                self.tell_of_failure(around, name, &error)?;
                instead(Guard::on_death).filter(|_| !self.quiet)
            }
            given @ (Given::TooLate(_) | Given::Quarantined) => {
                let guard = guard();
                let told = guard.as_deref().and_then(|g| g.told(&given, name, hook));
                // Of a logging plugin it is not said: that would not end. A quarantine is no news of a
                // quiet chain's.
                let silent = self.quiet && matches!(given, Given::Quarantined);
                if let Some((level, text)) = told
                    && hook != Hook::Logging
                    && !silent
                {
                    around.log(level, None, &[text.as_bytes()])?;
                }
                let instead = guard.and_then(|guard| guard.on_lateness());
                instead.filter(|_| !self.quiet)
            }
            Given::Unsafe(problem) => {
                self.refuse_unsafe(around, name, &problem)?;
                return Ok(true);
            }
        };
        match verdict {
            Some(verdict) => self.weigh(around, name, verdict),
            None => Ok(false),
        }
    }

    /// Takes a plugin's verdict into the chain: notes, log, the hooks `ok` and `deny`. True if
    /// the chain ends with it.
    fn weigh<A: Around>(
        &mut self,
        around: &A,
        name: &[u8],
        verdict: Verdict,
    ) -> Result<bool, A::Exit> {
        let hook = self.call.hook;
        // A logger decides nothing that could be put off: its line goes on to stderr.
        if verdict.code == Code::Yield && hook != Hook::Logging {
            return self.refuse_yield(around, name);
        }
        if self.quiet {
            let declined = verdict.code == Code::Declined;
            self.verdict = verdict;
            // In 0.94 a code that no constant names ends the chain.
            return Ok(!declined);
        }
        if around.profile() == Profile::V100 && !verdict.code.is_of_1_00() {
            let code = match &verdict.code {
                Code::Other(text) => String::from_utf8_lossy(text).into_owned(),
                known => known.shown(),
            };
            let name = String::from_utf8_lossy(name);
            let line = format!("Plugin {name}, hook {} returned {code}", hook.name());
            around.log(LOGERROR, None, &[line.as_bytes()])?;
            // Where no other plugin says anything, it is what the chain has come to.
            self.verdict = verdict.split_lines();
            return Ok(false);
        }
        self.tell(around, name, &verdict)?;
        let declined = verdict.code == Code::Declined;
        // The texts of the last plugin stay, as in the original.
        self.verdict = verdict.split_lines();
        Ok(!declined)
    }

    /// Tells the notes, the log and the hooks `ok` and `deny` of a verdict.
    fn tell<A: Around>(&self, around: &A, name: &[u8], verdict: &Verdict) -> Result<(), A::Exit> {
        let hook = self.call.hook;
        around.record(name, hook, &verdict.code);
        if around.is_logged(LOGDEBUG) {
            let text = verdict.values.first().and_then(Option::as_deref);
            let code = verdict.code.shown();
            let line = [
                &b"Plugin "[..],
                name,
                b", hook ",
                hook.name().as_bytes(),
                b" returned ",
                code.as_bytes(),
                b", ",
                text.unwrap_or_default(),
            ];
            around.log(LOGDEBUG, None, &[&line.concat()])?;
        }
        let after = match verdict.code.is_denial() {
            true => Hook::Deny,
            false => Hook::Ok,
        };
        if around.has_entries(after) {
            let code = match &verdict.code {
                Code::Other(other) => Arg::Bytes(other.clone()),
                known => Arg::Int(known.number().unwrap_or_default().into()),
            };
            let text = match &verdict.parser {
                Some(parser) => Arg::Foreign(parser.share()),
                None => around.first_text(verdict),
            };
            let args = vec![Arg::Bytes(name.to_vec()), code, text];
            around.run_quiet(HookCall::with(after, args))?;
        }
        Ok(())
    }

    fn tell_of_undef<A: Around>(&self, around: &A, name: &[u8]) -> Result<(), A::Exit> {
        let (name, hook) = (String::from_utf8_lossy(name), self.call.hook.name());
        let text = match around.profile() {
            Profile::V094 => format!("plugin {name} running the {hook} hook returned undef!"),
            Profile::V100 => format!("Plugin {name}, hook {hook} returned undef!"),
        };
        around.log(LOGERROR, None, &[text.as_bytes()])
    }

    fn tell_of_failure<A: Around>(
        &self,
        around: &A,
        name: &[u8],
        mut error: &[u8],
    ) -> Result<(), A::Exit> {
        // Saying so would not end.
        if self.call.hook == Hook::Logging {
            return Ok(());
        }
        // 0.94 writes the line end of the message, and its own.
        if around.profile() == Profile::V100 {
            error = error.strip_suffix(b"\n").unwrap_or(error);
        }
        let label = [b"FATAL PLUGIN ERROR [", name, b"]: "].concat();
        let level = match error.starts_with(STILL_DOWN.as_bytes()) {
            // Each message would say it.
            true => LOGDEBUG,
            false => LOGCRIT,
        };
        around.log(level, None, &[&label, error])
    }

    /// A plugin waits for something, and nothing here will call it again: what it was to decide is
    /// put off, and the log says why. True if the chain ends with it.
    fn refuse_yield<A: Around>(&mut self, around: &A, name: &[u8]) -> Result<bool, A::Exit> {
        let hook = self.call.hook.name();
        let text = format!(
            "YIELD from the {hook} hook works under qpsmtpd-async only; \
             load the plugin's form that waits (the one outside async/)"
        );
        self.tell_of_failure(around, name, text.as_bytes())?;
        if self.quiet {
            return Ok(false);
        }
        self.verdict = Verdict::new(Code::DenySoft);
        Ok(true)
    }

    /// What a queue plugin has taken could be lost: as if nobody had taken the message, and no other
    /// plugin is asked.
    fn refuse_unsafe<A: Around>(
        &mut self,
        around: &A,
        name: &[u8],
        problem: &str,
    ) -> Result<(), A::Exit> {
        let text = format!(
            "plugin {} said OK, and the message is not safe: {problem}; the client is told to try again",
            String::from_utf8_lossy(name)
        );
        around.log(LOGCRIT, None, &[text.as_bytes()])?;
        let reply = b"Cannot store the message safely; try again later".to_vec();
        let verdict = Verdict::with_text(Code::Declined, reply);
        self.weigh(around, name, verdict)?;
        Ok(())
    }
}

/// What a native plugin's failure means for the hook.
fn consequence(verdict: Option<&Verdict>) -> Vec<u8> {
    match verdict {
        Some(verdict) => {
            let code = verdict.code.shown();
            format!("the hook gets {code} (plugin_settings on_error)").into_bytes()
        }
        None => b"the hook goes on without it (plugin_settings on_error)".to_vec(),
    }
}

#[cfg(test)]
mod tests;
