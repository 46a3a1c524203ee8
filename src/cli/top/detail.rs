//! What `top` says about the chosen row beyond its table: a plugin's durations, a worker's sessions,
//! what runs for a session and how long it may.

use super::super::control_table::time;
use super::figures::{bars, duration};
use super::state::{State, View};
use super::tables;
use crate::server::{CallStatus, Status};

/// A title and lines.
pub(super) struct Detail {
    pub title: String,
    pub lines: Vec<String>,
}

pub(super) fn detail(state: &State, key: &str) -> Option<Detail> {
    let status = &state.now.as_ref()?.status;
    match state.view {
        View::Plugins => plugin(state, key),
        View::Workers => worker(status, key),
        View::Sessions => session(status, key),
    }
}

fn plugin(state: &State, key: &str) -> Option<Detail> {
    let figures = tables::plugins(state);
    let figures = figures.iter().find(|one| one.key() == key)?;
    let one = &figures.one;
    let durations = match bars(&one.durations) {
        Some((from, bars, to)) => format!("durations  {from} {bars} {to}"),
        None => "durations  none".to_owned(),
    };
    let verdicts = match figures.verdicts() {
        none if none.is_empty() => "none".to_owned(),
        some => some,
    };
    Some(Detail {
        title: key.to_owned(),
        lines: vec![
            durations,
            format!("verdicts   {verdicts}"),
            format!("failed     {} died, {} late", one.died, one.late),
        ],
    })
}

fn worker(status: &Status, key: &str) -> Option<Detail> {
    let worker = status
        .workers
        .iter()
        .find(|worker| worker.pid.to_string() == key)?;
    let mine = status.sessions.iter().flatten();
    let mine: Vec<String> = mine
        .filter(|session| session.worker == Some(worker.pid))
        .map(|session| {
            let tls = if session.tls { ", TLS" } else { "" };
            let age = time(session.age_seconds);
            format!("{} {} ({age}{tls})", session.session, session.client)
        })
        .collect();
    let sessions = match mine.as_slice() {
        [] => "none".to_owned(),
        some => some.join("  "),
    };
    let state = tables::state_name(worker.state);
    Some(Detail {
        title: format!("worker {key}, {state}"),
        lines: [format!("sessions  {sessions}")]
            .into_iter()
            .chain(calls(&worker.running.iter().collect::<Vec<_>>(), true))
            .collect(),
    })
}

fn session(status: &Status, key: &str) -> Option<Detail> {
    let session = status
        .sessions
        .iter()
        .flatten()
        .find(|session| session.session.to_string() == key)?;
    let running = tables::calls_by_session(status);
    let running = running.get(&session.session).map_or(&[][..], Vec::as_slice);
    Some(Detail {
        title: format!("session {key} of {}", session.client),
        lines: calls(running, false),
    })
}

/// The calls that run, the outermost first.
fn calls(running: &[&CallStatus], with_session: bool) -> Vec<String> {
    let text = |call: &&CallStatus| {
        let limit = match call.limit_seconds {
            Some(seconds) => format!(" of {}", time(seconds)),
            None => String::new(),
        };
        let session = match with_session {
            true => format!(" in session {}", call.session),
            false => String::new(),
        };
        format!(
            "runs      {} {} for {}{limit}{session}",
            call.plugin,
            call.hook,
            duration(call.milliseconds as f64 * 1e6)
        )
    };
    match running {
        [] => vec!["runs      nothing".to_owned()],
        some => some.iter().map(text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::status;
    use super::super::heard::Heard;
    use super::*;
    use std::time::Instant;

    fn lines(view: View, key: &str) -> Vec<String> {
        let mut state = State::new();
        state.view = view;
        state.heard(Heard {
            at: Instant::now(),
            status: Ok(status()),
        });
        detail(&state, key).map_or_else(Vec::new, |detail| detail.lines)
    }

    #[test]
    fn a_plugin_s_durations_and_verdicts_are_shown() {
        let lines = lines(View::Plugins, "dnsbl connect");
        assert_eq!(
            lines,
            [
                "durations  0 ns ██▁ any time",
                "verdicts   DECLINED 900  DENY 97",
                "failed     1 died, 2 late",
            ]
        );
    }

    #[test]
    fn a_worker_s_sessions_and_calls_are_shown() {
        assert_eq!(
            lines(View::Workers, "4720"),
            [
                "sessions  998 192.0.2.7 (2 s)  990 2001:db8::1 (1 min 0 s, TLS)",
                "runs      dnsbl connect for 1.50 s of 2 min 0 s in session 998",
                "runs      logging/warn logging for 2.00 ms in session 998",
            ]
        );
        let idle = ["sessions  none", "runs      nothing"];
        assert_eq!(lines(View::Workers, "4721"), idle);
    }

    #[test]
    fn a_session_s_calls_are_shown_and_a_row_that_is_gone_has_nothing() {
        assert_eq!(lines(View::Sessions, "998").len(), 2);
        assert_eq!(lines(View::Sessions, "990"), ["runs      nothing"]);
        for view in View::ALL {
            assert!(lines(view, "gone").is_empty());
        }
    }
}
