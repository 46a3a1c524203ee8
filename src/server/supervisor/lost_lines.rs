//! A log that cannot be written, as on a full disk: mail goes on, and one line says so where the log is not. Counts
//! come from the workers' pages.

#![forbid(unsafe_code)]

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::Supervisor;
use crate::base::log::SERVICE;
use crate::base::stderr;
use crate::server::service::log_file::LogFile;

/// For so long every line has to have been written until the log is taken to work again.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct LosingLines {
    /// How many were lost when last looked at.
    seen: u64,
    /// How many of them the log tells of.
    told: u64,
    /// When the last ones were found lost, until the log works again.
    since: Option<Instant>,
    /// What stderr was before the log took its place.
    first: Option<OwnedFd>,
    is_first_kept: bool,
}

impl LosingLines {
    /// Stderr is about to become the log. That of a process that goes to the background belongs to who has started it.
    pub(super) fn keep_stderr(&mut self, detaches: bool) {
        if !self.is_first_kept {
            self.is_first_kept = true;
            let stderr = std::io::stderr();
            self.first = (!detaches)
                .then(|| rustix::io::fcntl_dupfd_cloexec(stderr.as_fd(), 3))
                .and_then(Result::ok);
        }
    }

    /// Where the log is not: stderr as it was, or syslog.
    fn tell_elsewhere(&self, text: &str) {
        let line = format!("camelpost: {text}\n");
        let told = self.first.as_ref().map(|stderr| {
            let stderr = stderr.try_clone()?;
            std::fs::File::from(stderr).write_all(line.as_bytes())
        });
        if !matches!(told, Some(Ok(())))
            && let Ok(syslog) = LogFile::Syslog.open()
        {
            // LOG_MAIL, LOG_ERR.
            let line = format!("<19>{line}");
            let _ = rustix::net::send(&syslog, line.as_bytes(), rustix::net::SendFlags::DONTWAIT);
        }
    }
}

impl Supervisor<'_> {
    /// Lines that could not be written since the service started.
    pub(super) fn lost_lines(&self) -> u64 {
        let pages = self.workers.iter();
        let lost = pages.map(|(_, worker)| worker.page().lost_lines().count());
        stderr::lost().count() + self.past.lost_lines + lost.sum::<u64>()
    }

    /// Says once that lines are being lost, and once that they no longer are.
    pub(super) fn look_for_lost_lines(&mut self) {
        let lost = self.lost_lines();
        let is_new = self.losing.since.is_none();
        if lost > self.losing.seen {
            self.losing.seen = lost;
            self.losing.since = Some(Instant::now());
            if is_new {
                let mut pages = self
                    .workers
                    .iter()
                    .map(|(_, worker)| worker.page().lost_lines());
                let why = pages
                    .find_map(|lines| lines.why())
                    .or_else(|| stderr::lost().why());
                let why = why.map_or_else(String::new, |why| {
                    format!(" ({})", crate::config::reason(&why))
                });
                let place = self.settings.service.log_file.as_ref();
                let place = place.and_then(LogFile::path);
                let place = place.map_or_else(String::new, |path| format!(" {}", path.display()));
                self.losing.tell_elsewhere(&format!(
                    "the log{place} cannot be written{why}: its lines are lost from now on, mail goes on; \
                     camelpost_log_lines_lost_total counts them"
                ));
            }
        } else if self
            .losing
            .since
            .is_some_and(|since| since.elapsed() >= QUIET)
        {
            let count = lost - self.losing.told;
            let of_this = stderr::lost().count();
            tracing::warn!(target: SERVICE, "{count} lines of the log were lost, it can be written again");
            let was_written = stderr::lost().count() == of_this;
            self.losing.seen = self.lost_lines();
            self.losing.since = (!was_written).then(Instant::now);
            if was_written {
                self.losing.told = self.losing.seen;
            }
        }
    }

    /// When to look whether the log can be written again.
    pub(super) fn look_for_lost_lines_at(&self) -> Option<Instant> {
        self.losing.since.map(|since| since + QUIET)
    }
}
