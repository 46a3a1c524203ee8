//! A session's log lines: written at once, or kept for its next Perl work where a Perl logging
//! plugin decides what becomes of them.

use crate::chain::line;
use crate::net::session::Session;
use crate::perl::Sv;
use crate::perl::fast::at_once;
use crate::perl::ffi::call::Unwind;

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
        &self,
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
        } else if perl.map_or(level <= self.loaded.log_level, |perl| {
            perl.host.logger().shows(level)
        }) {
            let first = crate::base::log::first_word(self.number);
            let (hook, plugin) = (
                hook.map(str::as_bytes),
                plugin.as_ref().map(|p| p.as_bytes()),
            );
            crate::base::log::write_line(line(first, hook, plugin, [&text[..]]));
        }
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
