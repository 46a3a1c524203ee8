//! A session's log lines: written at once, or kept for its next Perl work where a Perl logging
//! plugin decides what becomes of them.

use super::session::Session;
use crate::perl::Sv;
use crate::perl::call::Unwind;

/// A line that waits for the session's next Perl work.
pub struct LogLine {
    level: u8,
    hook: Option<&'static str>,
    plugin: Option<String>,
    text: Vec<u8>,
}

impl Session {
    /// Writes a log line now where no Perl logging plugin wants it, else at the next Perl work.
    pub fn log(
        &self,
        level: u8,
        hook: Option<&'static str>,
        plugin: Option<String>,
        text: Vec<u8>,
    ) {
        if !self.is_here() || self.host.log_is_perl() {
            self.log.borrow_mut().push(LogLine {
                level,
                hook,
                plugin,
                text,
            });
        } else if self.host.is_logged(level) {
            let mut line = crate::log::first_word(self.number).to_string().into_bytes();
            match (&plugin, hook) {
                (Some(plugin), Some(hook)) => {
                    line.extend_from_slice(format!(" ({hook}) {plugin}:").as_bytes());
                }
                (Some(plugin), None) => line.extend_from_slice(format!(" {plugin}:").as_bytes()),
                _ => {}
            }
            line.push(b' ');
            line.extend_from_slice(&text);
            crate::log::write_line(line);
        }
    }

    /// Hands the waiting lines to the logging plugins.
    pub fn flush_log(&self) -> Result<(), Unwind> {
        if self.log.borrow().is_empty() {
            return Ok(());
        }
        for line in self.log.take() {
            // What the session says has the client's words in it, more often than not.
            let text = Sv::tainted_bytes(&line.text);
            let plugin = line.plugin.as_ref().map(|plugin| plugin.as_bytes());
            self.host.log(line.level, line.hook, plugin, &[text])?;
        }
        Ok(())
    }
}
