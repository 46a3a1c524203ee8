//! A status in Prometheus' text format, version 0.0.4.

#![forbid(unsafe_code)]

use std::fmt::{Display, Write};

use super::super::control::{PluginStatus, SharingKind, SharingStatus, Status, WorkerState};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics that are being written.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric: its type and what it says.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, value)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A metric with one number.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A metric with one label.
    fn by(&mut self, name: &str, kind: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.metric(name, kind, help);
        for (word, value) in values {
            self.sample(name, &[(label, word)], value);
        }
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Everything that the supervisor knows by itself.
pub(super) fn metrics(status: &Status) -> String {
    let mut page = Page::default();
    page.metric("camelpost_build_info", "gauge", "The program's version.");
    page.sample("camelpost_build_info", &[("version", &status.program)], 1);
    page.one(
        "camelpost_uptime_seconds",
        "gauge",
        "Time since the daemon's start.",
        status.uptime_seconds,
    );
    page.one(
        "camelpost_log_lines_lost_total",
        "counter",
        "Lines of the log that could not be written.",
        status.counters.log_lines_lost,
    );
    clients(&mut page, status);
    refusals(&mut page, status);
    queue(&mut page, status);
    workers(&mut page, status);
    loads(&mut page, status);
    quarantine(&mut page, status);
    own_workers(&mut page, status.sharing.as_deref().unwrap_or_default());
    plugins(&mut page, status.plugins.as_deref().unwrap_or_default());
    page.0
}

fn clients(page: &mut Page, status: &Status) {
    let counters = &status.counters;
    page.one(
        "camelpost_connections_total",
        "counter",
        "Connections accepted.",
        counters.connections,
    );
    page.by(
        "camelpost_connections_refused_total",
        "counter",
        "Connections that got a 421 instead of a session, by the reason.",
        "reason",
        &[
            ("per_address", counters.refused_per_address),
            ("rate", counters.refused_rate),
            ("stopping", counters.refused_stopping),
        ],
    );
    page.one(
        "camelpost_connections_limit",
        "gauge",
        "Connections that may be open at a time; 0 for any number.",
        status.limits.connections,
    );
    page.one(
        "camelpost_sessions_open",
        "gauge",
        "Sessions that a worker has.",
        status.open_sessions,
    );
    page.one(
        "camelpost_clients_waiting",
        "gauge",
        "Clients that are connected and wait for a worker.",
        status.waiting_clients,
    );
    page.by(
        "camelpost_sessions_total",
        "counter",
        "Sessions that have ended: by themselves, with their worker, with the service.",
        "outcome",
        &[
            ("done", counters.sessions_done),
            ("worker_died", counters.sessions_lost),
            ("cut_off", counters.sessions_cut_off),
        ],
    );
}

fn refusals(page: &mut Page, status: &Status) {
    let name = "camelpost_refusals_total";
    let help = "Replies of 4xx and 5xx by the stage of the session.";
    page.metric(name, "counter", help);
    for one in &status.refusals {
        for (class, count) in [("4xx", one.temporary), ("5xx", one.permanent)] {
            let labels = [("stage", one.stage.as_str()), ("class", class)];
            page.sample(name, &labels, count);
        }
    }
}

fn queue(page: &mut Page, status: &Status) {
    let outcomes: Vec<(&str, u64)> = (status.queue_outcomes.iter())
        .map(|(outcome, count)| (outcome.as_str(), *count))
        .collect();
    page.by(
        "camelpost_queue_outcomes_total",
        "counter",
        "Messages by what became of them; none: no plugin took it, done: a plugin has answered.",
        "outcome",
        &outcomes,
    );
}

fn workers(page: &mut Page, status: &Status) {
    let count = |state| {
        status
            .workers
            .iter()
            .filter(|one| one.state == state)
            .count() as u64
    };
    page.by(
        "camelpost_workers",
        "gauge",
        "Worker processes.",
        "state",
        &[
            ("idle", count(WorkerState::Idle)),
            ("busy", count(WorkerState::Busy)),
            ("ending", count(WorkerState::Ending)),
        ],
    );
    let resident = || status.workers.iter().filter_map(|one| one.resident_bytes);
    page.one(
        "camelpost_workers_resident_bytes",
        "gauge",
        "Resident memory of all workers; pages that they share count once for each.",
        resident().sum::<u64>(),
    );
    page.one(
        "camelpost_worker_resident_bytes_max",
        "gauge",
        "Resident memory of the largest worker.",
        resident().max().unwrap_or(0),
    );
    let counters = &status.counters;
    page.one(
        "camelpost_workers_forked_total",
        "counter",
        "Workers that were started.",
        counters.workers_forked,
    );
    page.one(
        "camelpost_worker_forks_failed_total",
        "counter",
        "Workers that could not be started.",
        counters.forks_failed,
    );
    page.by(
        "camelpost_workers_over_memory_total",
        "counter",
        "Workers that have taken more memory than they may.",
        "outcome",
        &[
            ("replaced", counters.memory_replaced),
            ("interrupted", counters.memory_interrupted),
            ("killed", counters.memory_killed),
        ],
    );
    let ends = "camelpost_worker_ends_total";
    page.metric(
        ends,
        "counter",
        "Ends of workers by cause: retired, status N, signal N, unknown.",
    );
    // The one cause that is sure to come, so that the metric is there from the start.
    if !counters.worker_ends.contains_key("retired") {
        page.sample(ends, &[("cause", "retired")], 0);
    }
    for (cause, count) in &counters.worker_ends {
        page.sample(ends, &[("cause", cause)], count);
    }
}

fn loads(page: &mut Page, status: &Status) {
    let counters = &status.counters;
    page.one(
        "camelpost_generation",
        "gauge",
        "Which load of config and plugins serves new sessions; 0 for none.",
        status.generation.unwrap_or(0),
    );
    page.by(
        "camelpost_loads_total",
        "counter",
        "Loads of config and plugins, the first among them.",
        "outcome",
        &[
            ("loaded", counters.loads),
            ("failed", counters.loads_failed),
        ],
    );
    page.one(
        "camelpost_last_load_failed",
        "gauge",
        "1 while the last load of config and plugins is one that has failed.",
        u8::from(status.failed_reload.is_some()),
    );
    page.one(
        "camelpost_load_timestamp_seconds",
        "gauge",
        "When the load began that serves, in seconds since 1970; 0 for none.",
        status.loaded.as_ref().map_or(0, |load| load.since),
    );
    page.one(
        "camelpost_zygote_deaths_total",
        "counter",
        "Ends of the process that holds what was loaded, without being told to.",
        counters.zygote_ends,
    );
}

fn quarantine(page: &mut Page, status: &Status) {
    page.one(
        "camelpost_plugin_quarantines_total",
        "counter",
        "How often a plugin was put into quarantine.",
        status.counters.quarantines,
    );
    let name = "camelpost_plugin_quarantined";
    page.metric(name, "gauge", "Plugins that are not called, each with 1.");
    for one in &status.quarantined {
        let generation = one.generation.to_string();
        let labels = [
            ("plugin", one.plugin.as_str()),
            ("hook", one.hook.as_str()),
            ("generation", generation.as_str()),
        ];
        page.sample(name, &labels, 1);
    }
}

fn own_workers(page: &mut Page, sharing: &[SharingStatus]) {
    let name = "camelpost_plugin_own_workers";
    let help = "Plugins whose sessions have workers of their own, each with 1; unfit: as its \
                variables cannot be exchanged.";
    page.metric(name, "gauge", help);
    for one in sharing {
        let cause = match one.sharing {
            SharingKind::Isolated => "settings",
            SharingKind::OwnWorkers => "unfit",
            SharingKind::Shared | SharingKind::Keeps => continue,
        };
        let generation = one.generation.to_string();
        let labels = [
            ("plugin", one.plugin.as_str()),
            ("cause", cause),
            ("generation", generation.as_str()),
        ];
        page.sample(name, &labels, 1);
    }
}

fn plugins(page: &mut Page, plugins: &[PluginStatus]) {
    let failed = "camelpost_plugin_calls_failed_total";
    page.metric(
        failed,
        "counter",
        "Plugin calls that died, whose time was over, and that have ended their process.",
    );
    for one in plugins {
        for (how, count) in [("died", one.died), ("late", one.late), ("ended", one.ended)] {
            let labels = [
                ("plugin", one.plugin.as_str()),
                ("hook", one.hook.as_str()),
                ("how", how),
            ];
            page.sample(failed, &labels, count);
        }
    }
    let verdicts = "camelpost_plugin_verdicts_total";
    page.metric(verdicts, "counter", "What plugin calls have answered.");
    for one in plugins {
        for (verdict, count) in &one.verdicts {
            let labels = [
                ("plugin", one.plugin.as_str()),
                ("hook", one.hook.as_str()),
                ("verdict", verdict.as_str()),
            ];
            page.sample(verdicts, &labels, count);
        }
    }
    let name = "camelpost_plugin_call_seconds";
    page.metric(name, "histogram", "Plugin calls by how long they took.");
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    for one in plugins {
        let labels = [("plugin", one.plugin.as_str()), ("hook", one.hook.as_str())];
        let bucket = format!("{name}_bucket");
        let mut at = |le: &str, calls: u64| {
            page.sample(&bucket, &[labels[0], labels[1], ("le", le)], calls);
        };
        let mut calls = 0;
        for (class, duration) in one.durations.iter().enumerate() {
            calls += duration.calls;
            // Every other class: factors of four are fine enough, and half as many series.
            if let Some(below) = duration.below_nanoseconds
                && class % 2 == 0
            {
                at(&seconds(below).to_string(), calls);
            }
        }
        // Read while a worker counts, the classes and the count may differ by a call.
        at("+Inf", calls);
        page.sample(&format!("{name}_sum"), &labels, seconds(one.nanoseconds));
        page.sample(&format!("{name}_count"), &labels, calls);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::control::DurationClass;
    use super::*;

    #[test]
    fn a_histogram_counts_each_call_in_every_bucket_above_it() {
        let mut page = Page::default();
        let class = |below_nanoseconds, calls| DurationClass {
            below_nanoseconds,
            calls,
        };
        let one = PluginStatus {
            plugin: "dnsbl".into(),
            hook: "connect".into(),
            calls: 6,
            died: 1,
            late: 2,
            ended: 3,
            nanoseconds: 1_500_000_000,
            verdicts: [("DENY".to_owned(), 3)].into(),
            durations: vec![
                class(Some(1024), 1),
                class(Some(2048), 2),
                class(Some(4096), 0),
                class(None, 3),
            ],
        };
        plugins(&mut page, &[one]);
        let of = "plugin=\"dnsbl\",hook=\"connect\"";
        for line in [
            format!("camelpost_plugin_verdicts_total{{{of},verdict=\"DENY\"}} 3"),
            format!("camelpost_plugin_calls_failed_total{{{of},how=\"late\"}} 2"),
            format!("camelpost_plugin_calls_failed_total{{{of},how=\"ended\"}} 3"),
            format!("camelpost_plugin_call_seconds_bucket{{{of},le=\"0.000001024\"}} 1"),
            format!("camelpost_plugin_call_seconds_bucket{{{of},le=\"0.000004096\"}} 3"),
            format!("camelpost_plugin_call_seconds_bucket{{{of},le=\"+Inf\"}} 6"),
            format!("camelpost_plugin_call_seconds_sum{{{of}}} 1.5"),
            format!("camelpost_plugin_call_seconds_count{{{of}}} 6"),
        ] {
            assert!(
                page.0.lines().any(|one| one == line),
                "no {line} in {}",
                page.0
            );
        }
    }

    #[test]
    fn plugins_with_workers_of_their_own_are_there_with_the_cause() {
        let mut page = Page::default();
        let all = [
            ("a", SharingKind::Shared),
            ("b", SharingKind::Isolated),
            ("c", SharingKind::Keeps),
            ("d", SharingKind::OwnWorkers),
        ];
        let all = all.map(|(plugin, sharing)| SharingStatus {
            generation: 2,
            plugin: plugin.to_owned(),
            sharing,
            reason: None,
        });
        own_workers(&mut page, &all);
        let samples: Vec<&str> = page
            .0
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let expected = [("b", "settings"), ("d", "unfit")].map(|(plugin, cause)| {
            format!(
                "camelpost_plugin_own_workers{{plugin=\"{plugin}\",cause=\"{cause}\",\
                 generation=\"2\"}} 1"
            )
        });
        assert_eq!(samples, expected);
    }

    #[test]
    fn a_label_s_value_cannot_leave_its_quotes() {
        let mut page = Page::default();
        page.sample("x", &[("a", "\"\\\n"), ("b", "c")], 1.5);
        assert_eq!(page.0, "x{a=\"\\\"\\\\\\n\",b=\"c\"} 1.5\n");
    }
}
