//! A session's log lines: written at once, or kept for its next Perl work where a Perl logging
//! plugin decides what becomes of them.

use std::rc::Rc;

use crate::base::log;
use crate::base::trace::Event;
use crate::chain::line;
use crate::hook::HookCall;
use crate::net::session::Session;
use crate::net::session::natives::tell_loggers;
use crate::perl::Sv;
use crate::perl::fast::at_once;
use crate::perl::ffi::call::Unwind;
use crate::plugin::Handler;

/// A line that waits for the session's next Perl work.
pub(crate) struct LogLine {
    level: u8,
    hook: Option<&'static str>,
    plugin: Option<String>,
    text: Vec<u8>,
}

impl Session {
    /// Writes a log line now where no Perl logging plugin wants it, else at the next Perl work.
    pub(crate) fn log(
        self: &Rc<Self>,
        level: u8,
        hook: Option<&'static str>,
        plugin: Option<String>,
        text: Vec<u8>,
    ) {
        let perl = self.perl_side.as_ref();
        if perl.is_some_and(|perl| !self.is_here() || !at_once::log_is_ours(&perl.host)) {
            self.log.borrow_mut().push(LogLine {
                level,
                hook,
                plugin,
                text,
            });
            return;
        }
        self.tell(&Event::Line {
            level,
            hook: hook.map(str::as_bytes),
            plugin: plugin.as_deref().map(str::as_bytes),
            text: &text,
        });
        if perl.is_none() && self.native_loggers_take(level, hook, plugin.as_deref(), &text) {
            // One of them has written it where it writes.
        } else if log::is_json() {
            // It was told.
        } else if perl.map_or(level <= self.loaded.log_level, |perl| {
            perl.host.logger().shows(level)
        }) {
            let first = log::first_word(self.number);
            let (hook, plugin) = (
                hook.map(str::as_bytes),
                plugin.as_ref().map(|p| p.as_bytes()),
            );
            log::write_line(level, line(first, hook, plugin, [&text[..]]));
        }
    }

    fn native_loggers_take(
        self: &Rc<Self>,
        level: u8,
        hook: Option<&'static str>,
        plugin: Option<&str>,
        text: &[u8],
    ) -> bool {
        let said = (hook.map(str::as_bytes), plugin.map(str::as_bytes));
        let call = |handler: &Handler, line: &HookCall| self.call_native_now(handler, line);
        tell_loggers(&self.loaded.natives, level, said, text, call)
    }

    /// Hands the waiting lines to the logging plugins.
    pub(crate) fn flush_log(&self) -> Result<(), Unwind> {
        let Some(perl) = &self.perl_side else {
            return Ok(());
        };
        if self.log.borrow().is_empty() {
            return Ok(());
        }
        for line in self.log.take() {
            // What the session says has the client's words in it, more often than not.
            let text = Sv::tainted_bytes(&line.text);
            let plugin = line.plugin.as_ref().map(|plugin| plugin.as_bytes());
            perl.host.log(line.level, line.hook, plugin, &[text])?;
        }
        Ok(())
    }
}
