//! Log lines: to the Perl logging hooks where there are any, else to stderr by level. The
//! line's form is qpsmtpd's: process id, (hook), plugin, text.

use std::io::Write;

use super::call::{Unwind, call_hook_for_code, stringify};
use super::host::Host;
use super::object;
use super::value::Sv;
use crate::hook::{Code, Hook};

pub const LOGCRIT: u8 = 2;
pub const LOGERROR: u8 = 3;
pub const LOGWARN: u8 = 4;
pub const LOGINFO: u8 = 6;
pub const LOGDEBUG: u8 = 7;

impl Host {
    /// Whether a line at this level can be seen by anybody.
    pub fn is_logged(&self, level: u8) -> bool {
        level <= self.trace_level.get() || self.has_entries(Hook::Logging)
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

    /// `varlog`: level, hook and plugin as the caller gave them.
    pub fn varlog(&self, level: &Sv, hook: &Sv, plugin: &Sv, texts: &[Sv]) -> Result<(), Unwind> {
        if let Some(loggers) = self.loggers()
            && self.tell(&loggers, [level, hook, plugin], texts)?
        {
            return Ok(());
        }
        if level.as_int() > self.trace_level.get().into() {
            return Ok(());
        }
        let mut line = std::process::id().to_string().into_bytes();
        match (plugin.is_defined(), hook.is_defined()) {
            (true, true) => {
                let parts = [b" (", &*hook.to_bytes(), b") ", &plugin.to_bytes(), b":"];
                line.extend_from_slice(&parts.concat());
            }
            (true, false) => line.extend_from_slice(&[b" ", &*plugin.to_bytes(), b":"].concat()),
            (false, true) => {
                let parts = [b" (", &*hook.to_bytes(), b") running plugin:"];
                line.extend_from_slice(&parts.concat());
            }
            (false, false) => {}
        }
        for text in texts {
            line.push(b' ');
            line.extend_from_slice(&stringify(text)?);
        }
        line.push(b'\n');
        let _ = std::io::stderr().write_all(&line);
        Ok(())
    }

    /// The list of logging hooks, if there are any.
    fn loggers(&self) -> Option<Sv> {
        self.hooks
            .hash_get(Hook::Logging.name())
            .filter(|list| list.array_len() > 0)
    }

    /// Calls the logging hooks: some fifty times a message, so this is the chain with all left
    /// out that does not count here. True if the line was taken care of.
    fn tell(&self, loggers: &Sv, line: [&Sv; 3], texts: &[Sv]) -> Result<bool, Unwind> {
        let transaction = object::of(&self.port().transaction());
        let mut args = Vec::with_capacity(texts.len() + 5);
        args.extend([self.qp.raw(), transaction.raw()]);
        args.extend(line.into_iter().chain(texts).map(Sv::raw));
        let mut index = 0;
        let mut last = Code::Declined;
        while let Some(entry) = loggers.array_get(index) {
            index += 1;
            let Some(code) = entry.hash_get("code") else {
                continue;
            };
            let owner = self.contents.enter_hook(&code).map(|(owner, _)| owner);
            match call_hook_for_code(&code, owner.as_deref(), &mut args) {
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
