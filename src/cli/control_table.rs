//! A daemon's status as people read it.

use std::fmt::Write;

use crate::base::{Zone, moment};
use crate::server::{ChangedFiles, SessionState, SharingKind, SharingStatus, Status, WorkerState};

/// The whole text, with a newline at its end.
pub(super) fn table(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, status);
    text
}

fn write_all(text: &mut String, status: &Status) -> std::fmt::Result {
    let counters = &status.counters;
    let limits = &status.limits;
    let generation = match status.generation {
        Some(number) => format!("generation {number}"),
        None => "no generation".to_owned(),
    };
    let state = match (status.stopping, status.loading) {
        (true, _) => ", stopping",
        (false, true) => ", loading",
        (false, false) => "",
    };
    writeln!(
        text,
        "camelpost {}, pid {}, up {}, {generation}{state}",
        status.program,
        status.pid,
        time(status.uptime_seconds)
    )?;
    let addresses: Vec<String> = status.listening.iter().map(ToString::to_string).collect();
    match addresses.as_slice() {
        [] => writeln!(text, "listening   on nothing")?,
        some => writeln!(text, "listening   on {}", some.join(", "))?,
    }
    loads(text, status)?;
    writeln!(
        text,
        "sessions    {} open, {} waiting for a worker; at most {}, {} from one address",
        status.open_sessions,
        status.waiting_clients,
        limit(limits.connections),
        limit(limits.connections_per_address)
    )?;
    writeln!(
        text,
        "served      {} connections: {} sessions done, {} lost with their worker, {} cut off; \
         refused: {} per address, {} for their rate, {} stopping",
        counters.connections,
        counters.sessions_done,
        counters.sessions_lost,
        counters.sessions_cut_off,
        counters.refused_per_address,
        counters.refused_rate,
        counters.refused_stopping
    )?;
    writeln!(text, "refused     {}", refusals(status))?;
    let queue: Vec<String> = status
        .queue_outcomes
        .iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    writeln!(text, "messages    {}", queue.join(", "))?;
    let ends: Vec<String> = counters
        .worker_ends
        .iter()
        .map(|(cause, count)| format!("{cause}: {count}"))
        .collect();
    let ends = match ends.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    writeln!(
        text,
        "workers     {} ({} kept, {} spare); forked: {}, failed: {}; ended: {ends}; \
         over their memory: {} replaced, {} interrupted, {} killed",
        status.workers.len(),
        limits.workers,
        limits.spare_workers,
        counters.workers_forked,
        counters.forks_failed,
        counters.memory_replaced,
        counters.memory_interrupted,
        counters.memory_killed
    )?;
    writeln!(
        text,
        "loads       {}, failed: {}; ends of a zygote: {}",
        counters.loads, counters.loads_failed, counters.zygote_ends
    )?;
    for one in &status.quarantined {
        let time = match one.seconds_left {
            Some(seconds) => format!("for {}", time(seconds)),
            None => "until a reload".to_owned(),
        };
        writeln!(
            text,
            "quarantine  {} is not called {time}: it failed {} times in a row in {}{}",
            one.plugin,
            one.failures,
            one.hook,
            match status.generation == Some(one.generation) {
                true => String::new(),
                false => format!(" (generation {})", one.generation),
            }
        )?;
    }
    if !status.workers.is_empty() {
        writeln!(
            text,
            "\n{:>9} {:>10} {:6} {:>8} {:>8} {:>12} {:>10} RUNS",
            "WORKER", "GENERATION", "STATE", "SESSIONS", "SERVED", "AGE", "RESIDENT"
        )?;
    }
    for worker in &status.workers {
        let state = match worker.state {
            WorkerState::Idle => "idle",
            WorkerState::Busy => "busy",
            WorkerState::Ending => "ending",
        };
        let resident = match worker.resident_bytes {
            Some(bytes) => format!("{:.1} MB", bytes as f64 / 1e6),
            None => "-".to_owned(),
        };
        // The innermost call is what it is really at.
        let runs = match worker.running.last() {
            Some(call) => format!("{} {} {} ms", call.plugin, call.hook, call.milliseconds),
            None => "-".to_owned(),
        };
        writeln!(
            text,
            "{:>9} {:>10} {state:6} {:>8} {:>8} {:>12} {resident:>10} {runs}",
            worker.pid,
            worker.generation,
            worker.sessions,
            worker.served,
            time(worker.age_seconds)
        )?;
    }
    for (number, session) in status.sessions.iter().flatten().enumerate() {
        if number == 0 {
            writeln!(
                text,
                "\n{:>10} {:>9} {:3} {:>12} {:<39} STATE",
                "SESSION", "WORKER", "TLS", "AGE", "CLIENT"
            )?;
        }
        let mut calls = status.workers.iter().flat_map(|worker| &worker.running);
        let call = calls.rfind(|call| call.session == session.session);
        let state = match (session.state, call) {
            (SessionState::Plugin, Some(call)) => format!("{} {}", call.plugin, call.hook),
            (SessionState::Plugin, None) => "plugin".to_owned(),
            (SessionState::Begins, _) => "begins".to_owned(),
            (SessionState::Waits, _) => "waits".to_owned(),
            (SessionState::Unknown, _) => "-".to_owned(),
        };
        writeln!(
            text,
            "{:>10} {:>9} {:3} {:>12} {:<39} {state}",
            session.session,
            session
                .worker
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            if session.tls { "yes" } else { "no" },
            time(session.age_seconds),
            session.client.to_string()
        )?;
    }
    for (number, one) in status.plugins.iter().flatten().enumerate() {
        if number == 0 {
            writeln!(
                text,
                "\n{:>12} {:>10} {:>12} {:>6} {:>6} {:>6} HOOK PLUGIN VERDICTS",
                "SECONDS", "CALLS", "MEAN", "DIED", "LATE", "ENDED"
            )?;
        }
        let verdicts: Vec<String> = one
            .verdicts
            .iter()
            .map(|(name, count)| format!(" {name}:{count}"))
            .collect();
        let mean = one.nanoseconds.checked_div(one.calls).unwrap_or(0);
        writeln!(
            text,
            "{:>12.3} {:>10} {:>9.3} ms {:>6} {:>6} {:>6} {} {}{}",
            one.nanoseconds as f64 / 1e9,
            one.calls,
            mean as f64 / 1e6,
            one.died,
            one.late,
            one.ended,
            one.hook,
            one.plugin,
            verdicts.concat()
        )?;
    }
    for (number, one) in status.sharing.iter().flatten().enumerate() {
        if number == 0 {
            writeln!(text, "\n{:>10} {:24} SHARING", "GENERATION", "PLUGIN")?;
        }
        writeln!(
            text,
            "{:>10} {:24} {}",
            one.generation,
            one.plugin,
            sharing(one)
        )?;
    }
    Ok(())
}

/// What is loaded, what has changed since, and why a reload has failed.
fn loads(text: &mut String, status: &Status) -> std::fmt::Result {
    let zone = Zone::local();
    if let Some(load) = &status.loaded {
        let perl = match &load.perl {
            Some(version) => format!("perl {version}"),
            None => "without perl".to_owned(),
        };
        writeln!(
            text,
            "config      {}, as qpsmtpd {}, {perl}, {} plugins, loaded {}",
            load.config,
            load.profile,
            load.plugins,
            moment(load.since, &zone)
        )?;
        if let Some(changed) = load.changed.as_ref().filter(|changed| changed.count > 0) {
            writeln!(text, "changed     since then: {}", names(changed))?;
        }
    }
    match &status.failed_reload {
        Some(failed) => writeln!(
            text,
            "FAILED      reload at {}, what was loaded stays: {}",
            moment(failed.at, &zone),
            failed.reason
        ),
        None => Ok(()),
    }
}

fn names(changed: &ChangedFiles) -> String {
    let named = changed.names.join(", ");
    match changed.count.saturating_sub(changed.names.len() as u64) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What was refused, by stage: those where nothing was are left out.
pub(super) fn refusals(status: &Status) -> String {
    let stages = status.refusals.iter();
    let stages = stages.filter(|one| one.temporary + one.permanent > 0);
    let stages: Vec<String> = stages
        .map(|one| {
            format!(
                "{} {} (4xx), {} (5xx)",
                one.stage, one.temporary, one.permanent
            )
        })
        .collect();
    match stages.as_slice() {
        [] => "nothing".to_owned(),
        some => some.join("; "),
    }
}

fn sharing(one: &SharingStatus) -> String {
    let reason = one.reason.as_deref().unwrap_or("?");
    match one.sharing {
        SharingKind::Shared => "shared".to_owned(),
        SharingKind::Isolated => "isolated (plugin_settings)".to_owned(),
        SharingKind::Keeps => "keeps its variables".to_owned(),
        SharingKind::OwnWorkers => {
            let reason = reason.strip_prefix("its ").unwrap_or(reason);
            format!("own workers: {reason}")
        }
    }
}

pub(super) fn limit(limit: u32) -> String {
    match limit {
        0 => "any number".to_owned(),
        limit => limit.to_string(),
    }
}

pub(super) fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units_at_most() {
        assert_eq!(time(59), "59 s");
        assert_eq!(time(61), "1 min 1 s");
        assert_eq!(time(3 * 3600 + 125), "3 h 2 min");
        assert_eq!(time(2 * 86400 + 3600), "2 d 1 h");
    }
}
