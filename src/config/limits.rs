//! What a client may have of a session, whatever the plugins say: each limit with the name of its
//! config file, its unit and its default. 0 in the file is no limit. Counts nothing itself.

use std::time::Duration;

use super::dir::ConfigDir;
use super::error::ConfigError;
use super::value::number;

const NUMBER: &str = "a number, 0 for any";
const BYTES: &str = "a number of bytes, 0 for any";
const SECONDS: &str = "a number of seconds, 0 for any time";

/// What one client may have of a session. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// `error_limit`, 20: commands that were refused since the last message that was taken.
    pub errors: Option<u64>,
    /// `junk_command_limit`, 100: commands that bring no message nearer, since the last one.
    pub junk_commands: Option<u64>,
    /// `command_limit`, 1000: commands but RCPT since the last message.
    pub commands: Option<u64>,
    /// `auth_failure_limit`, 10: failures of AUTH in a session.
    pub auth_failures: Option<u64>,
    /// `envelope_size_limit` in bytes, 80000: the paths of a message, which are kept in memory.
    pub envelope_size: Option<u64>,
    /// `header_size_limit` in bytes, 102400: the header of a message, which is kept in memory.
    pub header_size: Option<u64>,
    /// `header_line_limit`, 2000: the lines of that.
    pub header_lines: Option<u64>,
    /// `greeting_timeout` in seconds, 300: until HELO or EHLO.
    pub greeting_timeout: Option<Duration>,
    /// `session_timeout` in seconds, 3600: from one message that was taken, or the first command, to the
    /// next. What a message takes is not counted: that is `data_min_rate`'s.
    pub session_timeout: Option<Duration>,
}

impl Limits {
    /// Reads them as the service user.
    pub(super) fn load(config: &ConfigDir) -> Result<Limits, ConfigError> {
        let limit = |name, allowed, default| -> Result<Option<u64>, ConfigError> {
            let found = number(config, name, allowed)?.unwrap_or(default);
            Ok(Some(found).filter(|limit| *limit > 0))
        };
        let seconds = |name, default| {
            let found = limit(name, SECONDS, default)?;
            Ok(found.map(Duration::from_secs))
        };
        Ok(Limits {
            errors: limit("error_limit", NUMBER, 20)?,
            junk_commands: limit("junk_command_limit", NUMBER, 100)?,
            commands: limit("command_limit", NUMBER, 1000)?,
            auth_failures: limit("auth_failure_limit", NUMBER, 10)?,
            envelope_size: limit("envelope_size_limit", BYTES, 80_000)?,
            header_size: limit("header_size_limit", BYTES, 102_400)?,
            header_lines: limit("header_line_limit", NUMBER, 2000)?,
            greeting_timeout: seconds("greeting_timeout", 300)?,
            session_timeout: seconds("session_timeout", 3600)?,
        })
    }
}
