//! The chain of a hook where there is Perl: the entries are those of the live table, `$Qpsmtpd::hooks`,
//! and one of them is called here. Consecutive Perl plugins run in one go; at a native plugin the chain
//! is handed back, to be continued with what that gave. What an answer means for the chain is
//! [`crate::chain`]'s to say.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use super::answer::{
    as_given, code_sv, error_text, is_first_tainted, to_arg, to_code, to_sv, to_verdict,
};
use super::owners::Owner;
use super::stored::Stored;
use crate::base::trace::{self, CameTo, Event};
use crate::chain::{self, Around, Called, Course, Given, Guard, Guards, Plugins};
use crate::config::Profile;
use crate::hook::{Arg, Code, Hook, HookCall, Verdict};
use crate::mail::{Note, Notes};
use crate::perl::fast::hook_call::call_hook;
use crate::perl::ffi::call::{Unwind, Want, call_function};
use crate::perl::ffi::interpreter;
use crate::perl::ffi::object;
use crate::perl::ffi::value::{PerlValue, Sv};
use crate::perl::host::Host;
use crate::perl::host::table::native_id;
use crate::watch::{self, Call, End};

/// A chain on its way, with what it needs of Perl.
pub struct Chain {
    course: Course,
    args: Option<Vec<Sv>>,
    /// The hook's entries as they were when the chain began: what its plugins do to the table
    /// counts from the next time on.
    entries: Option<Vec<Sv>>,
}

/// Where a chain stands.
pub enum Progress {
    Finished(Verdict),
    /// The next plugin is native: entry `id`.
    Native {
        chain: Chain,
        id: i32,
    },
}

impl Chain {
    pub fn new(call: HookCall) -> Chain {
        Chain::on(Course::new(call))
    }

    /// As `run_hooks_no_respond` has it.
    pub fn quiet(call: HookCall) -> Chain {
        Chain::on(Course::quiet(call))
    }

    fn on(course: Course) -> Chain {
        Chain {
            course,
            args: None,
            entries: None,
        }
    }

    pub fn call(&self) -> &HookCall {
        &self.course.call
    }
}

/// The plugins of a chain in the live table.
struct InTable<'a> {
    host: &'a Host,
    args: &'a mut Option<Vec<Sv>>,
    entries: &'a mut Option<Vec<Sv>>,
}

impl Host {
    /// Runs a chain to its end for Perl code that waits for it.
    pub fn run_quiet(&self, call: HookCall) -> Result<Verdict, Unwind> {
        let mut progress = self.advance(Chain::quiet(call), None)?;
        loop {
            match progress {
                Progress::Finished(verdict) => return Ok(verdict),
                Progress::Native { chain, id } => {
                    let given = self.present.port().run_native(id, &plain(chain.call()))?;
                    progress = self.advance(chain, Some(given))?;
                }
            }
        }
    }

    /// Runs the chain on to its end or to the next native plugin. `native` is what the native
    /// plugin gave at which it stopped.
    pub fn advance(&self, mut chain: Chain, native: Option<Given>) -> Result<Progress, Unwind> {
        let mut plugins = InTable {
            host: self,
            args: &mut chain.args,
            entries: &mut chain.entries,
        };
        match chain::advance(&mut chain.course, &mut plugins, native)? {
            Some(id) => Ok(Progress::Native { chain, id }),
            None => Ok(Progress::Finished(chain.course.verdict())),
        }
    }
}

impl Around for InTable<'_> {
    type Exit = Unwind;

    fn profile(&self) -> Profile {
        self.host.config().profile()
    }

    fn is_logged(&self, level: u8) -> bool {
        self.host.logger().shows(level)
    }

    fn log(&self, level: u8, hook: Option<Hook>, texts: &[&[u8]]) -> Result<(), Unwind> {
        let texts: Vec<Sv> = texts.iter().map(|text| Sv::bytes(text)).collect();
        self.host.log(level, hook.map(Hook::name), None, &texts)
    }

    fn guards(&self) -> Option<&Guards> {
        self.host.guards.get().map(|guards| &**guards)
    }

    fn has_entries(&self, hook: Hook) -> bool {
        self.host.table.has_entries(hook)
    }

    fn run_quiet(&self, call: HookCall) -> Result<(), Unwind> {
        self.host.run_quiet(call)?;
        Ok(())
    }

    fn first_text(&self, verdict: &Verdict) -> Arg {
        let text = verdict.values.first().cloned().flatten();
        match is_first_tainted(verdict) {
            true => Arg::Client(text.unwrap_or_default()),
            false => Arg::Bytes(text.unwrap_or_default()),
        }
    }

    fn record(&self, plugin: &[u8], hook: Hook, code: &Code) {
        record(
            &self.host.present.port().transaction().notes,
            plugin,
            hook,
            code,
        );
    }
}

impl Plugins for InTable<'_> {
    /// Its code.
    type Entry = Sv;

    fn entry(&mut self, hook: Hook, index: usize) -> Option<(Sv, Vec<u8>)> {
        let host = self.host;
        let entries = self.entries.get_or_insert_with(|| {
            let list = host.table.list(hook);
            let list = list.iter();
            list.flat_map(|list| (0..list.array_len()).filter_map(|index| list.array_get(index)))
                .collect()
        });
        let entry = entries.get(index)?;
        let name = entry.hash_find(&host.table.name)?;
        let code = entry.hash_find(&host.table.code)?;
        Some((code, name.to_bytes()))
    }

    fn call(&mut self, call: &HookCall, name: &[u8], code: &Sv) -> Result<Called, Unwind> {
        if let Some(id) = native_id(code) {
            let now = self.host.present.port().native_now(id, &plain(call));
            return Ok(now.map_or(Called::Native(id), Called::GaveNow));
        }
        // What runs around this call is to end: nothing else begins.
        if watch::is_interrupted() {
            return Ok(Called::Gave(Given::Nothing));
        }
        let args = self
            .args
            .get_or_insert_with(|| call.args.iter().map(to_sv).collect());
        let began = (trace::is_on() && !call.hook.is_internal()).then(Instant::now);
        let outer = self.host.begin_warnings(call.hook, name);
        let given = self.host.call_entry(call.hook, name, code, args);
        self.host.end_warnings(outer);
        let came_to = match &given {
            Ok(given) => given.told(),
            Err(_) => Some(CameTo::Exited),
        };
        if let Some((began, came_to)) = began.zip(came_to) {
            let event = Event::Said {
                hook: call.hook.name(),
                plugin: name,
                native: false,
                came_to,
                took: began.elapsed(),
            };
            self.host.tell(&event);
        }
        given.map(Called::Gave)
    }

    /// Plugins may have changed the parameters of MAIL or RCPT.
    fn finish(&mut self, call: &HookCall, verdict: &mut Verdict) -> Result<(), Unwind> {
        let parameters = match (call.hook, &self.args) {
            (Hook::MailPre | Hook::RcptPre, Some(args)) => args.get(1),
            _ => None,
        };
        if let Some(hash) = parameters {
            let pairs = call_function(
                "Camelpost::parameters",
                std::slice::from_ref(hash),
                Want::List,
            )?;
            let pairs = pairs.into_iter().map(as_given).collect::<Result<_, _>>()?;
            verdict.parameters = Some(pairs);
        }
        Ok(())
    }
}

/// The call around one.
type Outer = Option<(Hook, Vec<u8>)>;

impl Host {
    /// Something has happened in the present session.
    pub(in crate::perl) fn tell(&self, event: &Event<'_>) {
        self.present.port().connection().tell_of(event);
    }

    /// What perl warns of from now on is of this plugin's call, where the log wants to know. Gives the one
    /// around it.
    pub(in crate::perl) fn begin_warnings(&self, hook: Hook, plugin: &[u8]) -> Option<Outer> {
        if !trace::wants_lines() {
            return None;
        }
        interpreter::take_warnings();
        Some(self.running.replace(Some((hook, plugin.to_vec()))))
    }

    /// The call is over.
    pub(in crate::perl) fn end_warnings(&self, outer: Option<Outer>) {
        if let Some(outer) = outer {
            self.running.replace(outer);
        }
    }

    /// Calls one plugin, with these arguments after the transaction.
    fn call_entry(&self, hook: Hook, name: &[u8], code: &Sv, rest: &[Sv]) -> Result<Given, Unwind> {
        let owner = self.owners.of(code);
        let transaction = object::of(&self.present.port().transaction());
        let mut args = Vec::with_capacity(rest.len() + 2);
        // A copy: a plugin that assigns to its argument changes the host's own object otherwise.
        let qp = self.present.object();
        args.extend([qp.raw(), transaction.raw()]);
        args.extend(rest.iter().map(Sv::raw));
        let guard = self.guard(owner.as_deref(), hook, || name.to_vec());
        if guard.as_deref().is_some_and(Guard::is_quarantined) {
            return Ok(Given::Quarantined);
        }
        let running = guard.as_deref().map(Guard::begin);
        let stores = hook == Hook::Queue && self.settings.queue_sync;
        let stored = stores.then(Stored::watch);
        let outcome = call_hook(code, owner.as_deref().map(Owner::method), &mut args);
        let late = end(running, outcome.as_ref().err(), hook, || name.to_vec());
        let values = match outcome {
            Err(Unwind::Exited(status)) => return Err(Unwind::Exited(status)),
            _ if late => return Ok(Given::TooLate(watch::interrupt_reason())),
            // What it died of is told where the interrupt ends.
            Err(Unwind::Died(_)) if watch::is_interrupted() => return Ok(Given::Nothing),
            Err(Unwind::Died(error)) => {
                // Of a logging plugin nothing is said: its text is not asked for.
                let told = hook != Hook::Logging;
                let text = told.then(|| error_text(&error)).transpose()?;
                return Ok(Given::Died(text.unwrap_or_default()));
            }
            Ok(values) => values,
        };
        let Some(code) = values.first().filter(|code| code.is_defined()) else {
            return Ok(Given::Undef);
        };
        let code = to_code(code);
        if let Some(guard) = &guard {
            guard.gave(&code);
        }
        if code == Code::Ok
            && let Some(stored) = stored
            && let Err(problem) = stored.sync()
        {
            return Ok(Given::Unsafe(problem));
        }
        Ok(Given::Verdict(to_verdict(
            code,
            values.get(1..).unwrap_or_default(),
        )?))
    }

    /// What holds for an entry's calls; `name` is asked for at the first one.
    pub(in crate::perl) fn guard(
        &self,
        owner: Option<&Owner>,
        hook: Hook,
        name: impl FnOnce() -> Vec<u8>,
    ) -> Option<Rc<Guard>> {
        let guards = self.guards.get()?;
        let find = || guards.of(&name(), hook, false);
        Some(match owner {
            Some(owner) => owner.guard.get_or_init(find).clone(),
            None => find(),
        })
    }
}

/// A call is over; says whether it had to end. Then the process serves nobody else: what the
/// interrupt has left half done is not to be met by another session.
pub(in crate::perl) fn end(
    running: Option<Call<'_>>,
    unwound: Option<&Unwind>,
    hook: Hook,
    name: impl FnOnce() -> Vec<u8>,
) -> bool {
    let Some(call) = running else { return false };
    let late = call.is_interrupted();
    let exited = call.end(match unwound {
        Some(Unwind::Exited(_)) => End::Exited,
        _ if late => End::Late,
        Some(Unwind::Died(_)) => End::Died,
        None => End::Returned,
    });
    if exited {
        // Past the logging plugins: no Perl code runs before its process is left.
        let name = name();
        let name = String::from_utf8_lossy(&name);
        tracing::error!(
            "plugin {name} running the {} hook has called exit",
            hook.name()
        );
    }
    if late {
        crate::perl::ffi::interrupt::calm();
        watch::wear_out();
    }
    late
}

/// The same call with those of Perl's values that have a native form in that form.
fn plain(call: &HookCall) -> Cow<'_, HookCall> {
    if !call.args.iter().any(|arg| matches!(arg, Arg::Foreign(_))) {
        return Cow::Borrowed(call);
    }
    let args = call.args.iter().map(|arg| match arg {
        Arg::Foreign(value) => PerlValue::of(value.as_ref()).map_or_else(|| arg.clone(), to_arg),
        arg => arg.clone(),
    });
    Cow::Owned(HookCall::with(call.hook, args.collect()))
}

/// A hash under the plugin's own name in the notes gets `{hook_X}{return}`.
fn record(notes: &Notes, name: &[u8], hook: Hook, code: &Code) {
    if let Some(Note::Foreign(value)) = notes.get(name)
        && let Some(hash) = PerlValue::of(value.as_ref())
    {
        let key = format!("hook_{}", hook.name());
        if hash.hash_get(&key).is_none() {
            hash.hash_set(key.as_bytes(), Sv::hash_ref());
        }
        if let Some(inner) = hash.hash_get(&key) {
            inner.hash_set(b"return", code_sv(code));
        }
    }
}
