//! Log lines: to the Perl logging hooks where there are any, else to stderr by level. The
//! line's form is qpsmtpd's: process id, (hook), plugin, text.

use crate::base::log::{self, LOGDEBUG};
use crate::base::trace::{self, Event};
use crate::chain::line;
use crate::hook::{Hook, Method};
use crate::perl::fast::loggers;
use crate::perl::ffi::call::{Unwind, Want, call_function, call_method, stringify};
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;

/// Log lines as the present session has them.
#[derive(Clone, Copy)]
pub struct Logger<'h>(&'h Host);

impl Host {
    /// Where log lines go.
    pub fn logger(&self) -> Logger<'_> {
        Logger(self)
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
        let plugin = Sv::optional(plugin);
        self.logger()
            .line(&Sv::int(level.into()), &hook, &plugin, texts)
    }
}

impl Logger<'_> {
    /// Whether a line at this level can be seen by anybody.
    pub fn shows(self, level: u8) -> bool {
        level <= self.0.trace_level.get() || self.is_perl()
    }

    /// Whether Perl code decides what becomes of a line.
    pub fn is_perl(self) -> bool {
        self.0.table.has_entries(Hook::Logging)
            || self.0.present.is_replaced(Method::Varlog)
            || self.0.present.is_replaced(Method::Log)
    }

    /// `varlog` of the present session's object: level, hook and plugin as the caller gave them.
    pub fn line(self, level: &Sv, hook: &Sv, plugin: &Sv, texts: &[Sv]) -> Result<(), Unwind> {
        if self.0.present.is_replaced(Method::Log) && !hook.is_defined() && !plugin.is_defined() {
            return self.call("log", level, hook, plugin, texts);
        }
        if self.0.present.is_replaced(Method::Varlog) {
            return self.call("varlog", level, hook, plugin, texts);
        }
        self.own_line(level, hook, plugin, texts)?;
        Ok(())
    }

    /// A method that has been put in the place of the host's gets what the original gives it: `log`
    /// the texts; `varlog` one text, the hook before it where there is one, and the plugin.
    pub fn call(
        self,
        name: &str,
        level: &Sv,
        hook: &Sv,
        plugin: &Sv,
        texts: &[Sv],
    ) -> Result<(), Unwind> {
        let mut args = vec![self.0.present.object(), level.clone()];
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
    pub fn own_line(
        self,
        level: &Sv,
        hook: &Sv,
        plugin: &Sv,
        texts: &[Sv],
    ) -> Result<bool, Unwind> {
        if trace::wants_lines() {
            self.tell(level, hook, plugin, texts)?;
        }
        if let Some(list) = self.loggers() {
            let outer = self.0.begin_warnings(Hook::Logging, b"");
            let tell = || loggers::tell(self.0, &list, [level, hook, plugin], texts);
            let told = self.0.number.with_pid_of_lines(tell);
            self.0.end_warnings(outer);
            if told? {
                return Ok(false);
            }
        }
        if level.as_int() > self.0.trace_level.get().into() || log::is_json() {
            return Ok(false);
        }
        let texts = texts.iter().map(stringify).collect::<Result<Vec<_>, _>>()?;
        let given = |value: &Sv| value.is_defined().then(|| value.to_bytes());
        let (hook, plugin) = (given(hook), given(plugin));
        let texts = texts.iter().map(Vec::as_slice);
        let mut line = line(
            self.0.number.first_word(),
            hook.as_deref(),
            plugin.as_deref(),
            texts,
        );
        if self.0.is_for_scripts() {
            // A script may look at what is warned of.
            line.push(b'\n');
            call_function("Camelpost::warn_line", &[Sv::bytes(&line)], Want::Void)?;
        } else {
            log::write_line(number_of(level), line);
        }
        Ok(true)
    }

    /// A line that was written already, for the logging hooks alone.
    pub fn hand_on(self, level: u8, text: &[u8]) -> Result<(), Unwind> {
        if let Some(list) = self.loggers() {
            let line = [&Sv::int(level.into()), &Sv::undef(), &Sv::undef()];
            let texts = [Sv::bytes(text)];
            let outer = self.0.begin_warnings(Hook::Logging, b"");
            let tell = || loggers::tell(self.0, &list, line, &texts);
            let told = self.0.number.with_pid_of_lines(tell);
            self.0.end_warnings(outer);
            told?;
        }
        Ok(())
    }

    /// A line for who listens.
    fn tell(self, level: &Sv, hook: &Sv, plugin: &Sv, texts: &[Sv]) -> Result<(), Unwind> {
        let texts = texts.iter().map(stringify).collect::<Result<Vec<_>, _>>()?;
        let given = |value: &Sv| value.is_defined().then(|| value.to_bytes());
        self.0.tell(&Event::Line {
            level: number_of(level),
            hook: given(hook).as_deref(),
            plugin: given(plugin).as_deref(),
            text: &texts.join(&b' '),
        });
        Ok(())
    }

    /// The list of logging hooks, if there are any.
    fn loggers(self) -> Option<Sv> {
        self.0
            .table
            .list(Hook::Logging)
            .filter(|list| list.array_len() > 0)
    }
}

/// A level as a plugin gave it.
fn number_of(level: &Sv) -> u8 {
    u8::try_from(level.as_int()).unwrap_or(LOGDEBUG)
}
