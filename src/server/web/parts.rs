//! The tables of the page: plugins, verdicts, workers, sessions.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::super::control::{
    CallStatus, DurationClass, PluginStatus, SessionState, SessionStatus, WorkerState, WorkerStatus,
};
use super::page::span;
use crate::server::figures::{bytes, duration, quantile, quantile_text};

/// A number beside the largest of its kind.
pub(super) fn bar(number: u64, most: u64) -> Markup {
    let width = number.saturating_mul(100).div_ceil(most.max(1));
    html! {
        svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(width) height="10" {}
        }
    }
}

/// Those that took the most time first, as they come.
pub(super) fn plugins(plugins: &[PluginStatus]) -> Markup {
    let all: u64 = plugins
        .iter()
        .fold(0, |all, one| all.saturating_add(one.nanoseconds));
    let most = plugins.first().map_or(0, |one| one.nanoseconds);
    html! {
        section #plugins {
            h2 { "Plugins by cost, since the start" }
            @if plugins.is_empty() {
                p { "No plugin was called yet." }
            } @else {
                table {
                    thead {
                        tr {
                            th { "plugin" } th { "hook" } th.number { "share" } th {}
                            th.number { "calls" } th.number { "mean" } th.number { "p50" } th.number { "p99" }
                            th { "how long calls took" } th { "verdicts" }
                        }
                    }
                    tbody {
                        @for one in plugins.iter().filter(|one| one.calls > 0) {
                            (plugin(one, all, most))
                        }
                    }
                }
            }
        }
    }
}

fn plugin(one: &PluginStatus, all: u64, most: u64) -> Markup {
    let share = one.nanoseconds as f64 * 100.0 / all.max(1) as f64;
    let mean = one.nanoseconds as f64 / one.calls.max(1) as f64;
    let part = |part| quantile(&one.durations, part).map_or_else(String::new, quantile_text);
    let failed = [("died", one.died), ("late", one.late), ("ended", one.ended)];
    html! {
        tr {
            td { code { (one.plugin) } }
            td { (one.hook) }
            td.number { (format!("{share:.1}")) "%" }
            td.bar { (bar(one.nanoseconds, most)) }
            td.number { (one.calls) }
            td.number { (duration(mean)) }
            td.number { (part(0.5)) }
            td.number { (part(0.99)) }
            td.histogram { (histogram(&one.durations)) }
            td {
                @for (name, count) in &one.verdicts { (name) " " (count) " " }
                @for (name, count) in failed.iter().filter(|(_, count)| *count > 0) {
                    span.bad { (name) " " (count) } " "
                }
            }
        }
    }
}

/// From the first class with calls to the last; the scale is that of a logarithm, as one call of a thousand is
/// worth to be seen.
fn histogram(classes: &[DurationClass]) -> Markup {
    let first = classes.iter().position(|class| class.calls > 0);
    let last = classes.iter().rposition(|class| class.calls > 0);
    let (Some(first), Some(last)) = (first, last) else {
        return html! {};
    };
    let shown = classes.get(first..=last).unwrap_or_default();
    let high = |calls: u64| (calls as f64 + 1.0).ln();
    let most = shown
        .iter()
        .map(|class| high(class.calls))
        .fold(1.0, f64::max);
    let end = |class: &DurationClass| match class.below_nanoseconds {
        Some(end) => format!("below {}", duration(end as f64)),
        None => "longer".to_owned(),
    };
    html! {
        svg viewBox=(format!("0 0 {} 20", shown.len() * 8)) width=(shown.len() * 8) height="20" role="img"
            aria-label="how many calls took how long" {
            @for (place, class) in shown.iter().enumerate() {
                @let height = high(class.calls) * 20.0 / most;
                rect x=(place * 8) y=(format!("{:.1}", 20.0 - height)) width="7" height=(format!("{height:.1}")) {
                    title { (end(class)) ": " (class.calls) " calls" }
                }
            }
        }
        " " small { (shown.last().map(end).unwrap_or_default()) }
    }
}

/// What each hook came to, all plugins together.
pub(super) fn verdicts(plugins: &[PluginStatus]) -> Markup {
    let mut hooks: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for one in plugins {
        let sums = hooks.entry(&one.hook).or_default();
        for (verdict, count) in &one.verdicts {
            *sums.entry(verdict).or_default() += count;
        }
    }
    hooks.retain(|_, sums| !sums.is_empty());
    let names: BTreeSet<&str> = hooks
        .values()
        .flat_map(|sums| sums.keys().copied())
        .collect();
    html! {
        section #verdicts {
            h2 { "Verdicts by hook, since the start" }
            table {
                thead { tr { th { "hook" } @for name in &names { th.number { (name) } } } }
                tbody {
                    @for (hook, sums) in &hooks {
                        tr {
                            td { (hook) }
                            @for name in &names {
                                td.number { @if let Some(count) = sums.get(name) { (count) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn workers(workers: &[WorkerStatus]) -> Markup {
    html! {
        section #workers {
            h2 { "Workers" }
            table {
                thead {
                    tr {
                        th { "pid" } th { "state" } th.number { "sessions" } th.number { "served" } th.number { "age" }
                        th.number { "resident" } th { "runs" }
                    }
                }
                tbody {
                    @for one in workers {
                        tr {
                            td { (one.pid) }
                            td {
                                (match one.state {
                                    WorkerState::Idle => "idle",
                                    WorkerState::Busy => "busy",
                                    WorkerState::Ending => "ends",
                                })
                                @if one.for_one_session { ", for one session" }
                            }
                            td.number { (one.sessions) }
                            td.number { (one.served) }
                            td.number { (span(one.age_seconds)) }
                            td.number { @if let Some(resident) = one.resident_bytes { (bytes(resident)) } }
                            td { @for call in &one.running { (running(call)) } }
                        }
                    }
                }
            }
        }
    }
}

fn running(call: &CallStatus) -> Markup {
    html! {
        code { (call.plugin) } " " (call.hook) " for " (duration(call.milliseconds as f64 * 1e6)) " "
    }
}

/// The oldest first: those that hang are among them.
pub(super) fn sessions(sessions: &[SessionStatus], most: usize) -> Markup {
    let mut oldest: Vec<&SessionStatus> = sessions.iter().collect();
    oldest.sort_by_key(|one| std::cmp::Reverse(one.age_seconds));
    let hidden = oldest.len().saturating_sub(most);
    html! {
        section #sessions {
            h2 { "Sessions now: " (sessions.len()) }
            @if !sessions.is_empty() {
                table {
                    thead { tr { th { "number" } th { "client" } th.number { "age" } th { "TLS" } th { "worker" } th { "does" } } }
                    tbody {
                        @for one in oldest.iter().take(most) {
                            tr {
                                td { (one.session) }
                                td { code { (one.client) } }
                                td.number { (span(one.age_seconds)) }
                                td { @if one.tls { "yes" } }
                                td { @if let Some(pid) = one.worker { (pid) } }
                                td {
                                    (match one.state {
                                        SessionState::Unknown => "",
                                        SessionState::Begins => "begins",
                                        SessionState::Plugin => "runs a plugin",
                                        SessionState::Waits => "waits",
                                    })
                                }
                            }
                        }
                    }
                }
                @if hidden > 0 { p { "and " (hidden) " more" } }
            }
        }
    }
}
