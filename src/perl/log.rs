//! Log lines: to the Perl logging hooks where there are any, else to stderr by level. The
//! line's form is qpsmtpd's: process id, (hook), plugin, text.

use std::io::Write;

use super::call::{Unwind, stringify};
use super::host::Host;
use super::value::Sv;
use crate::hook::{Arg, Code, Hook, HookCall};
use crate::mail::Foreign;

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
        let hook = hook.map(|hook| Sv::bytes(hook.as_bytes())).unwrap_or_else(Sv::undef);
        self.varlog(&Sv::int(level.into()), &hook, &Sv::optional(plugin), texts)
    }

    /// `varlog`: level, hook and plugin as the caller gave them.
    pub fn varlog(
        &self,
        level: &Sv,
        hook: &Sv,
        plugin: &Sv,
        texts: &[Sv],
    ) -> Result<(), Unwind> {
        if self.has_entries(Hook::Logging) {
            let args = [level, hook, plugin].into_iter().chain(texts);
            let args = args.map(|sv| Arg::Foreign(foreign(sv))).collect();
            let verdict = self.run_quiet(HookCall::with(Hook::Logging, args))?;
            if matches!(verdict.code, Code::Declined | Code::Ok) {
                return Ok(());
            }
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
}

fn foreign(value: &Sv) -> Box<dyn Foreign> {
    Box::new(super::value::PerlValue(value.clone()))
}
