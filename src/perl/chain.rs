//! Runs the Perl plugins of a hook's chain: qpsmtpd's run_hooks. Consecutive Perl plugins run
//! in one go; at a native plugin the chain is handed back, to be continued with its verdict.
//! Does not know what a session makes of a verdict.

use std::rc::Rc;

use super::answer::{
    as_given, code_sv, error_text, is_first_tainted, to_arg, to_code, to_sv, to_verdict, values_of,
};
use super::call::{Unwind, Want, call_function, call_hook};
use super::host::{self, Host};
use super::log::{LOGCRIT, LOGDEBUG, LOGERROR, LOGINFO};
use super::object;
use super::owners::Owner;
use super::stored::Stored;
use super::sys;
use super::value::{PerlValue, Sv};
use super::xs::{FIRST_NATIVE, Frame, Raise};
use crate::config::Profile;
use crate::hook::{Arg, Code, Hook, HookCall, Verdict};
use crate::mail::{Note, Notes};
use crate::plugin::{Guard, lateness, quarantined};
use crate::watch::{self, Call, End};

/// A chain on its way.
pub struct Chain {
    pub call: HookCall,
    args: Option<Vec<Sv>>,
    /// The hook's entries as they were when the chain began: what its plugins do to the table
    /// counts from the next time on.
    entries: Option<Vec<Sv>>,
    next: usize,
    /// No other plugin is asked, though the last one has declined.
    is_over: bool,
    /// run_hooks_no_respond: no log lines, no ok or deny hooks, texts as they are.
    quiet: bool,
    verdict: Verdict,
}

/// Where a chain stands.
pub enum Progress {
    Finished(Verdict),
    /// The next plugin is native: entry `id`, named `name`.
    Native {
        chain: Chain,
        id: i32,
    },
}

/// A plugin in the chain's table.
struct Entry {
    name: Sv,
    code: Sv,
}

impl Chain {
    pub fn new(call: HookCall) -> Chain {
        let quiet = call.hook.is_internal();
        Chain {
            call,
            args: None,
            entries: None,
            next: 0,
            is_over: false,
            quiet,
            verdict: Verdict::declined(),
        }
    }

    /// As `run_hooks_no_respond` has it.
    pub fn quiet(call: HookCall) -> Chain {
        Chain {
            quiet: true,
            ..Chain::new(call)
        }
    }
}

impl Host {
    /// Runs a chain that has no native plugins to its end; native ones are passed over.
    pub fn run_quiet(&self, call: HookCall) -> Result<Verdict, Unwind> {
        let mut chain = Chain::quiet(call);
        loop {
            match self.advance(chain, None)? {
                Progress::Finished(verdict) => return Ok(verdict),
                Progress::Native { chain: rest, .. } => chain = rest,
            }
        }
    }

    /// Runs the chain on to its end or to the next native plugin. `native` is what the native
    /// plugin said at which it stopped.
    pub fn advance(&self, mut chain: Chain, native: Option<Verdict>) -> Result<Progress, Unwind> {
        let hook = chain.call.hook;
        if let Some(verdict) = native {
            let last = chain.next - 1;
            let name = self
                .entry(&mut chain, last)
                .map(|entry| entry.name.to_bytes());
            if self.weigh(&mut chain, &name.unwrap_or_default(), verdict)? {
                return finish(chain);
            }
        }
        while let Some(entry) = self.next_entry(&mut chain) {
            // SAFETY: a live SV.
            let id = unsafe { sys::cp_xsub_index(entry.code.raw()) };
            if id >= FIRST_NATIVE {
                return Ok(Progress::Native {
                    chain,
                    id: id - FIRST_NATIVE,
                });
            }
            let name = entry.name.to_bytes();
            if !chain.quiet && self.is_logged(LOGDEBUG) {
                self.log(LOGDEBUG, Some(hook.name()), None, &[Sv::bytes(&name)])?;
            }
            let Some(verdict) = self.call_entry(&mut chain, &entry, &name)? else {
                continue;
            };
            if self.weigh(&mut chain, &name, verdict)? || chain.is_over {
                break;
            }
        }
        finish(chain)
    }

    /// Calls one plugin; `None` where it died or returned undef, and is passed over.
    fn call_entry(
        &self,
        chain: &mut Chain,
        entry: &Entry,
        name: &[u8],
    ) -> Result<Option<Verdict>, Unwind> {
        let hook = chain.call.hook;
        let owner = self.owners.of(&entry.code);
        let rest = chain
            .args
            .get_or_insert_with(|| chain.call.args.iter().map(to_sv).collect());
        let transaction = object::of(&self.port().transaction());
        let mut args = Vec::with_capacity(rest.len() + 2);
        // A copy: a plugin that assigns to its argument changes the host's own object otherwise.
        let qp = self.object();
        args.extend([qp.raw(), transaction.raw()]);
        args.extend(rest.iter().map(Sv::raw));
        // What runs around this call is to end: nothing else begins.
        if watch::is_interrupted() {
            return Ok(None);
        }
        let guard = self.guard(owner.as_deref(), hook, || name.to_vec());
        if let Some(guard) = guard.as_deref().filter(|guard| guard.is_quarantined()) {
            if !chain.quiet {
                let text = quarantined(name, hook);
                self.log(LOGINFO, None, None, &[Sv::bytes(text.as_bytes())])?;
            }
            return Ok(guard.on_lateness().filter(|_| !chain.quiet));
        }
        let running = guard.as_deref().map(Guard::begin);
        let stores = hook == Hook::Queue && self.settings.queue_sync;
        let stored = stores.then(Stored::watch);
        let outcome = call_hook(&entry.code, owner.as_deref(), &mut args);
        let late = end(running, outcome.as_ref().err(), hook, || name.to_vec());
        if let Some(guard) = guard.as_deref().filter(|_| late)
            && !matches!(outcome, Err(Unwind::Exited(_)))
        {
            let text = lateness(name, hook, guard, watch::interrupt_reason());
            self.log(LOGCRIT, None, None, &[Sv::bytes(text.as_bytes())])?;
            return Ok(guard.on_lateness().filter(|_| !chain.quiet));
        }
        let values = match outcome {
            Ok(values) => values,
            Err(Unwind::Exited(status)) => return Err(Unwind::Exited(status)),
            // What it died of is told where the interrupt ends.
            Err(Unwind::Died(_)) if watch::is_interrupted() => return Ok(None),
            Err(Unwind::Died(error)) => {
                if hook != Hook::Logging {
                    let label = [b"FATAL PLUGIN ERROR [", name, b"]: "].concat();
                    let mut text = error_text(&error)?;
                    // 0.94 writes the line end of the message, and its own.
                    if self.profile() == Profile::V100 && text.last() == Some(&b'\n') {
                        text.pop();
                    }
                    let texts = [Sv::bytes(&label), Sv::bytes(&text)];
                    self.log(LOGCRIT, None, None, &texts)?;
                }
                let verdict = guard.and_then(|guard| guard.on_death());
                return Ok(verdict.filter(|_| !chain.quiet));
            }
        };
        let Some(code) = values.first().filter(|code| code.is_defined()) else {
            if !chain.quiet {
                let name = String::from_utf8_lossy(name);
                let text = match self.profile() {
                    Profile::V094 => format!(
                        "plugin {name} running the {} hook returned undef!",
                        hook.name()
                    ),
                    Profile::V100 => format!("Plugin {name}, hook {} returned undef!", hook.name()),
                };
                self.log(LOGERROR, None, None, &[Sv::bytes(text.as_bytes())])?;
            }
            return Ok(None);
        };
        let code = to_code(code);
        if let Some(guard) = &guard {
            guard.gave(&code);
        }
        if code == Code::Ok
            && let Some(stored) = stored
            && let Err(problem) = stored.sync()
        {
            return Ok(Some(self.refuse_unsafe(chain, name, &problem)?));
        }
        Ok(Some(to_verdict(code, values.get(1..).unwrap_or_default())?))
    }

    /// What a queue plugin has taken could be lost: as if nobody had taken the message.
    fn refuse_unsafe(
        &self,
        chain: &mut Chain,
        name: &[u8],
        problem: &str,
    ) -> Result<Verdict, Unwind> {
        let name = String::from_utf8_lossy(name);
        let text = format!(
            "plugin {name} said OK, and the message is not safe: {problem}; the client is told to try again"
        );
        self.log(LOGCRIT, None, None, &[Sv::bytes(text.as_bytes())])?;
        chain.is_over = true;
        let reply = b"Cannot store the message safely; try again later".to_vec();
        Ok(Verdict::with_text(Code::Declined, reply))
    }

    /// A plugin waits for something, and nothing here will call it again: what it was to decide is
    /// put off, and the log says why. True if the chain ends with it.
    fn refuse_yield(&self, chain: &mut Chain, name: &[u8]) -> Result<bool, Unwind> {
        let hook = chain.call.hook;
        if hook != Hook::Logging {
            let label = [b"FATAL PLUGIN ERROR [", name, b"]: "].concat();
            let text = format!(
                "YIELD from the {} hook works under qpsmtpd-async only; \
                 load the plugin's form that waits (the one outside async/)",
                hook.name()
            );
            let texts = [Sv::bytes(&label), Sv::bytes(text.as_bytes())];
            self.log(LOGCRIT, None, None, &texts)?;
        }
        if chain.quiet {
            return Ok(false);
        }
        chain.verdict = Verdict::new(Code::DenySoft);
        Ok(true)
    }

    /// Takes a plugin's verdict into the chain: notes, log, the hooks `ok` and `deny`. True if
    /// the chain ends with it.
    fn weigh(&self, chain: &mut Chain, name: &[u8], verdict: Verdict) -> Result<bool, Unwind> {
        let hook = chain.call.hook;
        if verdict.code == Code::Yield {
            return self.refuse_yield(chain, name);
        }
        let declined = verdict.code == Code::Declined;
        // In 0.94 a code that no constant names ends the chain.
        let unknown = self.profile() == Profile::V100 && !verdict.code.is_of_1_00();
        if !chain.quiet && unknown {
            let code = match &verdict.code {
                Code::Other(text) => String::from_utf8_lossy(text).into_owned(),
                known => known.shown(),
            };
            let name = String::from_utf8_lossy(name);
            let line = format!("Plugin {name}, hook {} returned {code}", hook.name());
            self.log(LOGERROR, None, None, &[Sv::bytes(line.as_bytes())])?;
            // Where no other plugin says anything, it is what the chain has come to.
            chain.verdict = verdict.split_lines();
            return Ok(false);
        }
        if !chain.quiet {
            record(&self.port().transaction().notes, name, hook, &verdict.code);
            let text = verdict
                .values
                .first()
                .cloned()
                .flatten()
                .unwrap_or_default();
            if self.is_logged(LOGDEBUG) {
                let code = verdict.code.shown();
                let line = [
                    &b"Plugin "[..],
                    name,
                    b", hook ",
                    hook.name().as_bytes(),
                    b" returned ",
                    code.as_bytes(),
                    b", ",
                    &text,
                ]
                .concat();
                self.log(LOGDEBUG, None, None, &[Sv::bytes(&line)])?;
            }
            let after = if verdict.code.is_denial() {
                Hook::Deny
            } else {
                Hook::Ok
            };
            if self.has_entries(after) {
                let code = match &verdict.code {
                    Code::Other(other) => Arg::Bytes(other.clone()),
                    known => Arg::Int(known.number().unwrap_or_default().into()),
                };
                let text = match &verdict.parser {
                    Some(parser) => Arg::Foreign(parser.share()),
                    None if is_first_tainted(&verdict) => Arg::Client(text),
                    None => Arg::Bytes(text),
                };
                let args = vec![Arg::Bytes(name.to_vec()), code, text];
                self.run_quiet(HookCall::with(after, args))?;
            }
        }
        if declined {
            // The texts of the last plugin stay, as in the original.
            chain.verdict = if chain.quiet {
                verdict
            } else {
                verdict.split_lines()
            };
            return Ok(false);
        }
        chain.verdict = if chain.quiet {
            verdict
        } else {
            verdict.split_lines()
        };
        Ok(true)
    }

    /// What holds for an entry's calls; `name` is asked for at the first one.
    pub(super) fn guard(
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

    fn next_entry(&self, chain: &mut Chain) -> Option<Entry> {
        let next = chain.next;
        chain.next += 1;
        self.entry(chain, next)
    }

    /// Entry `index` of a chain; its name and code are those that it has now.
    fn entry(&self, chain: &mut Chain, index: usize) -> Option<Entry> {
        let hook = chain.call.hook;
        let entries = chain.entries.get_or_insert_with(|| {
            let list = self.hook_list(hook);
            let list = list.iter();
            list.flat_map(|list| (0..list.array_len()).filter_map(|index| list.array_get(index)))
                .collect()
        });
        let entry = entries.get(index)?;
        Some(Entry {
            name: entry.hash_find(&self.table.name)?,
            code: entry.hash_find(&self.table.code)?,
        })
    }

    /// The table of hooks: `$Qpsmtpd::hooks` as it is now.
    pub(super) fn hooks(&self) -> Sv {
        // SAFETY: the interpreter runs; the variable is shared at once.
        Sv::share(unsafe { sys::cp_hooks() })
    }

    /// The entries of a hook as they are now.
    pub(super) fn hook_list(&self, hook: Hook) -> Option<Sv> {
        // SAFETY: the interpreter runs; the list is shared at once.
        let list = unsafe { sys::cp_hook_list(self.table.hook(hook)?.raw()) };
        (!list.is_null()).then(|| Sv::share(list))
    }

    /// Whether any plugin is registered for a hook.
    pub fn has_entries(&self, hook: Hook) -> bool {
        self.hook_list(hook)
            .is_some_and(|list| list.array_len() > 0)
    }
}

/// The end of a chain. Its plugins may have changed the parameters of MAIL or RCPT.
fn finish(mut chain: Chain) -> Result<Progress, Unwind> {
    let parameters = match (chain.call.hook, &chain.args) {
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
        chain.verdict.parameters = Some(pairs);
    }
    Ok(Progress::Finished(chain.verdict))
}

/// A call is over; says whether it had to end. Then the process serves nobody else: what the
/// interrupt has left half done is not to be met by another session.
pub(super) fn end(
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
        super::interrupt::calm();
        watch::wear_out();
    }
    late
}

/// Called when Perl code itself calls a native plugin's entry.
pub fn call_native_entry(id: i32, frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    // The first two are the qp object and the transaction.
    let args = frame.rest(2).iter().map(to_arg).collect();
    let verdict = host.port().call_native(id, args)?;
    frame.ret(code_sv(&verdict.code));
    for value in values_of(&verdict) {
        frame.ret(value);
    }
    Ok(())
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
