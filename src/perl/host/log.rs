//! Log lines: to the Perl logging hooks where there are any, else to stderr by level. The
//! line's form is qpsmtpd's: process id, (hook), plugin, text.

use super::chain::end;
use crate::chain::{Guard, line};
use crate::hook::{Code, Hook, Method};
use crate::perl::ffi::call::{
    Unwind, Want, call_function, call_hook_for_code, call_method, stringify,
};
use crate::perl::ffi::object;
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;

impl Host {
    /// Whether a line at this level can be seen by anybody.
    pub fn is_logged(&self, level: u8) -> bool {
        level <= self.trace_level.get() || self.log_is_perl()
    }

    /// Whether Perl code decides what becomes of a line.
    pub fn log_is_perl(&self) -> bool {
        self.has_entries(Hook::Logging)
            || self.is_replaced(Method::Varlog)
            || self.is_replaced(Method::Log)
    }

    /// A line of the core, or of a plugin in a hook.
    pub fn log(
        &self,
        level: u8,
        hook: Option<&str>,
        plugin: Option<&[u8]>,
        texts: &[Sv],
    ) -> Result<(), Unwind> {
        let hook = hook
            .map(|hook| Sv::bytes(hook.as_bytes()))
            .unwrap_or_else(Sv::undef);
        self.varlog(&Sv::int(level.into()), &hook, &Sv::optional(plugin), texts)
    }

    /// `varlog` of the present session's object: level, hook and plugin as the caller gave them.
    pub fn varlog(&self, level: &Sv, hook: &Sv, plugin: &Sv, texts: &[Sv]) -> Result<(), Unwind> {
        if self.is_replaced(Method::Log) && !hook.is_defined() && !plugin.is_defined() {
            return self.call_varlog("log", level, hook, plugin, texts);
        }
        if self.is_replaced(Method::Varlog) {
            return self.call_varlog("varlog", level, hook, plugin, texts);
        }
        self.own_varlog(level, hook, plugin, texts)?;
        Ok(())
    }

    /// A method that has been put in the place of the host's gets what the original gives it: `log`
    /// the texts; `varlog` one text, the hook before it where there is one, and the plugin.
    pub fn call_varlog(
        &self,
        name: &str,
        level: &Sv,
        hook: &Sv,
        plugin: &Sv,
        texts: &[Sv],
    ) -> Result<(), Unwind> {
        let mut args = vec![self.object(), level.clone()];
        match (hook.is_defined(), plugin.is_defined()) {
            (_, true) => args.extend([hook.clone(), plugin.clone()]),
            (true, false) => args.push(hook.clone()),
            (false, false) => {}
        }
        if name == "log" {
            args.extend_from_slice(texts);
        } else {
            let mut parts = Vec::with_capacity(texts.len());
            for text in texts {
                parts.push(stringify(text)?);
            }
            args.push(Sv::bytes(&parts.join(&b' ')));
        }
        call_method(name, &args, Want::Void)?;
        Ok(())
    }

    /// The host's own: the logging hooks, else stderr. True if the line went to stderr.
    pub fn own_varlog(
        &self,
        level: &Sv,
        hook: &Sv,
        plugin: &Sv,
        texts: &[Sv],
    ) -> Result<bool, Unwind> {
        if let Some(loggers) = self.loggers()
            && self.with_pid_of_lines(|| self.tell(&loggers, [level, hook, plugin], texts))?
        {
            return Ok(false);
        }
        if level.as_int() > self.trace_level.get().into() {
            return Ok(false);
        }
        let texts = texts.iter().map(stringify).collect::<Result<Vec<_>, _>>()?;
        let given = |value: &Sv| value.is_defined().then(|| value.to_bytes());
        let (hook, plugin) = (given(hook), given(plugin));
        let texts = texts.iter().map(Vec::as_slice);
        let mut line = line(self.first_word(), hook.as_deref(), plugin.as_deref(), texts);
        if self.is_for_scripts() {
            // A script may look at what is warned of.
            line.push(b'\n');
            call_function("Camelpost::warn_line", &[Sv::bytes(&line)], Want::Void)?;
        } else {
            crate::log::write_line(line);
        }
        Ok(true)
    }

    /// The list of logging hooks, if there are any.
    fn loggers(&self) -> Option<Sv> {
        self.hook_list(Hook::Logging)
            .filter(|list| list.array_len() > 0)
    }

    /// Calls the logging hooks: some fifty times a message, so this is the chain with all left
    /// out that does not count here. True if the line was taken care of.
    fn tell(&self, loggers: &Sv, line: [&Sv; 3], texts: &[Sv]) -> Result<bool, Unwind> {
        let transaction = object::of(&self.port().transaction());
        let mut args = Vec::with_capacity(texts.len() + 5);
        let object = self.object();
        args.extend([object.raw(), transaction.raw()]);
        args.extend(line.into_iter().map(Sv::raw));
        let mut written_out = Vec::new();
        for text in texts {
            // What a client has sent may be in it, and logging plugins write it as it is.
            match text.look_at_text(crate::log::shown).flatten() {
                Some(shown) => {
                    let shown = Sv::bytes(&shown);
                    args.push(shown.raw());
                    written_out.push(shown);
                }
                None => args.push(text.raw()),
            }
        }
        let mut index = 0;
        let mut last = Code::Declined;
        while let Some(entry) = loggers.array_get(index) {
            index += 1;
            let Some(code) = entry.hash_find(&self.table.code) else {
                continue;
            };
            let owner = self.owners.of(&code);
            let name = || entry.hash_get("name").map(|name| name.to_bytes());
            let guard = self.guard(owner.as_deref(), Hook::Logging, || {
                name().unwrap_or_default()
            });
            if guard.as_deref().is_some_and(Guard::is_quarantined) {
                continue;
            }
            let running = guard.as_deref().map(Guard::begin);
            let outcome = call_hook_for_code(&code, owner.as_deref(), &mut args);
            let unwound = outcome.as_ref().err();
            end(running, unwound, Hook::Logging, || {
                name().unwrap_or_default()
            });
            match outcome {
                // What dies, or returns undef, is passed over; saying so would not end.
                Ok(None) | Err(Unwind::Died(_)) => {}
                Ok(Some(number)) => {
                    last = Code::from_number(number);
                    if last != Code::Declined {
                        break;
                    }
                }
                Err(exited) => return Err(exited),
            }
        }
        Ok(matches!(last, Code::Declined | Code::Ok))
    }
}
