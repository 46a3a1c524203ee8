//! The lines above the tables: the service as a whole. Groups of words that stay together; how
//! they are broken into lines is `draw`'s.

use super::super::control_table::{limit, time};
use super::figures::{bytes, rate};
use super::state::State;
use crate::server::{Counters, Status, WorkerState};

/// A line's name and its groups.
pub(super) struct Total {
    pub name: &'static str,
    pub groups: Vec<String>,
}

pub(super) fn totals(state: &State) -> Vec<Total> {
    let Some(now) = &state.now else {
        return Vec::new();
    };
    let status = &now.status;
    let total = |name, groups| Total { name, groups };
    vec![
        total("camelpost", service(status)),
        total("clients", clients(state, status)),
        total("refused", refusals(state, status)),
        total("messages", messages(state, status)),
        total("workers", workers(status)),
    ]
}

fn service(status: &Status) -> Vec<String> {
    let mut groups = vec![
        status.program.clone(),
        format!("pid {}", status.pid),
        format!("up {}", time(status.uptime_seconds)),
        match status.generation {
            Some(number) => format!("generation {number}"),
            None => "no generation".to_owned(),
        },
    ];
    if status.loading {
        groups.push("LOADING".to_owned());
    }
    if status.stopping {
        groups.push("STOPPING".to_owned());
    }
    let addresses: Vec<String> = status.listening.iter().map(ToString::to_string).collect();
    groups.push(match addresses.as_slice() {
        [] => "listens on nothing".to_owned(),
        some => format!("listens on {}", some.join(", ")),
    });
    let counters = &status.counters;
    groups.push(format!(
        "loads {} ({} failed, {} zygotes lost)",
        counters.loads, counters.loads_failed, counters.zygote_ends
    ));
    groups
}

/// How often a second something was counted, over the chosen time.
fn per_second(state: &State, count: impl Fn(&Status) -> u64) -> String {
    let Some(now) = &state.now else {
        return rate(0.0);
    };
    let (count, seconds) = match state.since() {
        Some((time, before)) => (
            count(&now.status).saturating_sub(count(before)),
            time.as_secs_f64(),
        ),
        // The first second is not over yet.
        None => (count(&now.status), now.status.uptime_seconds.max(1) as f64),
    };
    rate(count as f64 / seconds)
}

fn refused(counters: &Counters) -> u64 {
    counters.refused_per_address + counters.refused_rate + counters.refused_stopping
}

fn clients(state: &State, status: &Status) -> Vec<String> {
    let counters = &status.counters;
    let per = |count: fn(&Counters) -> u64| per_second(state, |status| count(&status.counters));
    vec![
        format!(
            "{} accepted {}",
            counters.connections,
            per(|counters| counters.connections)
        ),
        format!(
            "{} open of {}",
            status.open_sessions,
            limit(status.limits.connections)
        ),
        format!("{} waiting", status.waiting_clients),
        format!(
            "refused {} {}: {} per address, {} rate, {} stopping",
            refused(counters),
            per(refused),
            counters.refused_per_address,
            counters.refused_rate,
            counters.refused_stopping
        ),
        format!(
            "sessions {} done, {} lost, {} cut off",
            counters.sessions_done, counters.sessions_lost, counters.sessions_cut_off
        ),
    ]
}

/// By the stage of the session, 4xx and 5xx together.
fn refusals(state: &State, status: &Status) -> Vec<String> {
    let of = |status: &Status, stage: &str| {
        let stages = status.refusals.iter();
        let here = stages.filter(|one| one.stage == stage);
        here.map(|one| one.temporary + one.permanent).sum::<u64>()
    };
    let stages = status.refusals.iter().map(|one| one.stage.as_str());
    stages
        .map(|stage| {
            let count = of(status, stage);
            let rate = per_second(state, |status| of(status, stage));
            format!("{count} {stage} {rate}")
        })
        .collect()
}

fn messages(state: &State, status: &Status) -> Vec<String> {
    let outcomes = status.queue_outcomes.iter();
    let mut groups: Vec<(&String, u64)> = outcomes.map(|(name, count)| (name, *count)).collect();
    // What is meant to happen comes first, then what happens most.
    groups.sort_by_key(|(name, count)| (*name != "queued", std::cmp::Reverse(*count)));
    let text = |(name, count): &(&String, u64)| {
        let of = |status: &Status| status.queue_outcomes.get(*name).copied().unwrap_or(0);
        format!("{count} {name} {}", per_second(state, of))
    };
    groups.iter().map(text).collect()
}

fn workers(status: &Status) -> Vec<String> {
    let in_state = |state| {
        let workers = status.workers.iter();
        workers.filter(|worker| worker.state == state).count()
    };
    let resident = status.workers.iter().filter_map(|one| one.resident_bytes);
    let counters = &status.counters;
    let retired = counters.worker_ends.get("retired").copied().unwrap_or(0);
    let all: u64 = counters.worker_ends.values().sum();
    let mut ends: Vec<String> = vec![format!("{retired} retired")];
    let badly = counters.worker_ends.iter().filter(|end| end.0 != "retired");
    ends.extend(badly.map(|(cause, count)| format!("{count} {cause}")));
    vec![
        format!(
            "{} ({} busy, {} idle, {} ending)",
            status.workers.len(),
            in_state(WorkerState::Busy),
            in_state(WorkerState::Idle),
            in_state(WorkerState::Ending)
        ),
        format!("resident {}", bytes(resident.sum())),
        format!(
            "forked {} ({} failed)",
            counters.workers_forked, counters.forks_failed
        ),
        format!("ended {all}: {}", ends.join(", ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{later, status};
    use super::super::heard::Heard;
    use super::*;
    use std::time::{Duration, Instant};

    fn all(state: &State) -> String {
        let line = |total: &Total| format!("{}: {}", total.name, total.groups.join(" | "));
        totals(state)
            .iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn totals_since_the_start_have_rates_over_the_whole_time() {
        let mut state = State::new();
        assert_eq!(all(&state), "");
        state.heard(Heard {
            at: Instant::now(),
            status: Ok(status()),
        });
        let all = all(&state);
        for part in [
            "up 1 min 40 s | generation 3 | listens on 127.0.0.1:2525 | loads 3 (1 failed",
            "1000 accepted 10.0/s | 2 open of 200 | 1 waiting",
            "refused 15 0.15/s: 10 per address, 5 rate, 0 stopping",
            "refused: 2 connect 0.02/s | 40 rcpt 0.40/s",
            "messages: 800 queued 8.00/s | 3 deferred 0.03/s | 2 refused 0.02/s",
            "workers: 2 (1 busy, 1 idle, 0 ending) | resident 12.3 MB | forked 7 (0 failed)",
            "ended 4: 3 retired, 1 signal 9",
        ] {
            assert!(all.contains(part), "no {part:?} in {all}");
        }
    }

    #[test]
    fn rates_of_an_interval_are_those_of_its_time() {
        let mut state = State::new();
        let at = Instant::now();
        let mut hear = |at, status| {
            state.heard(Heard {
                at,
                status: Ok(status),
            });
        };
        hear(at, status());
        hear(at + Duration::from_secs(2), later());
        let all = all(&state);
        for part in [
            "1200 accepted 100/s",
            "refused 35 10.0/s",
            "850 queued 25.0/s",
        ] {
            assert!(all.contains(part), "no {part:?} in {all}");
        }
    }
}
