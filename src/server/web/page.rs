//! The page as a whole: what the daemon is and whether all is well, then the parts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, html};

use super::super::control::{Status, WorkerState};
use super::{parts, refusals};

/// Sessions that are shown; a page with thousands would be read by nobody.
const SESSIONS: usize = 200;

pub(super) fn page(status: &Status) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Camelpost " (own_name(status)) }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
                noscript { meta http-equiv="refresh" content="5"; }
            }
            body {
                main {
                    (head(status))
                    (notices(status))
                    (counts(status))
                    @if let Some(recent) = &status.recent_refusals {
                        (refusals::last_hour(recent))
                    }
                    (parts::plugins(status.plugins.as_deref().unwrap_or_default()))
                    (parts::verdicts(status.plugins.as_deref().unwrap_or_default()))
                    @if let Some(recent) = &status.recent_refusals {
                        (refusals::last(recent))
                    }
                    (parts::workers(&status.workers))
                    (parts::sessions(status.sessions.as_deref().unwrap_or_default(), SESSIONS))
                }
            }
        }
    }
}

/// By which daemons are told apart in a browser's tabs.
fn own_name(status: &Status) -> String {
    let ports: Vec<String> = status.listening.iter().map(ToString::to_string).collect();
    ports.join(" ")
}

fn head(status: &Status) -> Markup {
    let loaded = status.loaded.as_ref();
    html! {
        header {
            h1 { "Camelpost " (status.program) }
            p.state {
                @match status.trouble() {
                    None => { span.good { "takes mail" } }
                    Some(why) => { span.bad { (why) } }
                }
                " on " (own_name(status))
                " · up " (span(status.uptime_seconds))
                " · pid " (status.pid)
                @if let Some(generation) = status.generation { " · generation " (generation) }
                " · as of " time #now { (clock(SystemTime::now())) } " UTC"
            }
            @if let Some(loaded) = loaded {
                p.state {
                    "config " code { (loaded.config) } " as qpsmtpd " (loaded.profile) ", " (loaded.plugins) " plugins"
                    @if let Some(perl) = &loaded.perl { ", perl " (perl) }
                    ", loaded " (ago(loaded.since)) " ago"
                }
            }
        }
    }
}

/// What somebody has to see to.
fn notices(status: &Status) -> Markup {
    html! {
        @if let Some(failed) = &status.failed_reload {
            p.notice { "The reload " (ago(failed.at)) " ago failed, what was loaded before serves: " (failed.reason) }
        }
        @if status.counters.log_lines_lost > 0 {
            p.notice { (status.counters.log_lines_lost) " lines of the log could not be written: is its disk full?" }
        }
        @for one in &status.quarantined {
            p.notice {
                code { (one.plugin) } " is in quarantine: it failed " (one.failures) " times in a row in " (one.hook)
                @match one.seconds_left {
                    Some(left) => { ", and is called again in " (span(left)) }
                    None => { ", and is called again after a reload" }
                }
            }
        }
    }
}

fn counts(status: &Status) -> Markup {
    let busy = status
        .workers
        .iter()
        .filter(|worker| worker.state == WorkerState::Busy);
    let outcome = |name: &str| status.queue_outcomes.get(name).copied().unwrap_or_default();
    let counters = &status.counters;
    let limited = counters.refused_per_address + counters.refused_rate + counters.refused_stopping;
    html! {
        section.counts {
            (count("sessions now", &status.open_sessions.to_string(), &match status.limits.connections {
                0 => "of any number".to_owned(),
                most => format!("of {most}"),
            }))
            (count("connections", &counters.connections.to_string(), &format!("{limited} turned away by limits")))
            (count("queued", &outcome("queued").to_string(), "messages"))
            (count("deferred", &outcome("deferred").to_string(), "messages"))
            (count("refused", &outcome("refused").to_string(), "messages"))
            (count("workers", &status.workers.len().to_string(), &format!("{} busy", busy.count())))
            (count("lost sessions", &counters.sessions_lost.to_string(), "with their worker"))
        }
    }
}

fn count(what: &str, number: &str, more: &str) -> Markup {
    html! {
        div { h2 { (what) } strong { (number) } small { (more) } }
    }
}

/// A length of time in its two largest units.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The time since a second since 1970.
pub(super) fn ago(second: u64) -> String {
    let since = SystemTime::now().duration_since(at(second));
    span(since.unwrap_or_default().as_secs())
}

/// The time of day of a second since 1970, in UTC.
pub(super) fn clock_of(second: u64) -> String {
    clock(at(second))
}

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second.min(u32::MAX.into()))
}

fn clock(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (7260, "2 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(clock_of(86_399), "23:59:59");
        assert_eq!(ago(u64::MAX), "0 s");
    }
}
