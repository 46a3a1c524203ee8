//! The tables of `top`: their columns, what stands in them, their order. Does not paint them.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::super::control_table::time;
use super::figures::{bytes, classes_since, duration, quantile, quantile_text};
use super::state::{State, View};
use crate::server::{CallStatus, PluginStatus, Status, WorkerState};

pub(super) struct Column {
    pub title: &'static str,
    /// Numbers: at the right, and the greatest first.
    pub number: bool,
    /// No wider than this.
    pub most: u16,
}

const fn number(title: &'static str) -> Column {
    Column {
        title,
        number: true,
        most: 12,
    }
}

const fn text(title: &'static str, most: u16) -> Column {
    Column {
        title,
        number: false,
        most,
    }
}

const PLUGINS: &[Column] = &[
    text("PLUGIN", 28),
    text("HOOK", 20),
    number("SHARE"),
    number("TIME"),
    number("CALLS"),
    number("MEAN"),
    number("P50"),
    number("P99"),
    number("NOW"),
    number("FAILED"),
    text("VERDICTS", 200),
];

const WORKERS: &[Column] = &[
    number("WORKER"),
    number("GEN"),
    text("STATE", 6),
    number("SESSIONS"),
    number("SERVED"),
    number("AGE"),
    number("RESIDENT"),
    number("SINCE"),
    text("RUNS", 200),
];

const SESSIONS: &[Column] = &[
    number("SESSION"),
    number("WORKER"),
    text("TLS", 3),
    number("AGE"),
    text("CLIENT", 39),
    number("SINCE"),
    text("RUNS", 200),
];

pub(super) fn columns(view: View) -> &'static [Column] {
    match view {
        View::Plugins => PLUGINS,
        View::Workers => WORKERS,
        View::Sessions => SESSIONS,
    }
}

/// The column by which a view is sorted at first: plugins by their time, workers and sessions by
/// how long they have run what they run.
pub(super) fn usual_column(view: View) -> usize {
    let title = match view {
        View::Plugins => "TIME",
        View::Workers | View::Sessions => "SINCE",
    };
    let found = columns(view).iter().position(|one| one.title == title);
    found.unwrap_or(0)
}

/// Where no number is.
const NOTHING: f64 = -1.0;

/// What stands in a column of a row; rows are ordered by the number, then by the text.
pub(super) struct Cell {
    pub text: String,
    order: f64,
}

impl Cell {
    fn text(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            order: 0.0,
        }
    }

    fn number(order: f64, text: String) -> Cell {
        Cell { text, order }
    }

    fn count(count: u64) -> Cell {
        Cell::number(count as f64, count.to_string())
    }

    /// No number: after all numbers.
    fn none() -> Cell {
        Cell::number(NOTHING, "-".to_owned())
    }
}

pub(super) struct Row {
    /// Tells it apart from the others, in the next answer too.
    pub key: String,
    pub cells: Vec<Cell>,
}

pub(super) struct Grid {
    pub columns: &'static [Column],
    pub rows: Vec<Row>,
}

impl Grid {
    pub(super) fn sort(&mut self, column: usize, reversed: bool) {
        let Some(greatest_first) = self.columns.get(column).map(|column| column.number) else {
            return;
        };
        self.rows.sort_by(|one, other| {
            let (Some(a), Some(b)) = (one.cells.get(column), other.cells.get(column)) else {
                return Ordering::Equal;
            };
            let by_cell = a.order.total_cmp(&b.order);
            let by_cell = by_cell.then_with(|| match greatest_first {
                true => Ordering::Equal,
                false => a.text.cmp(&b.text),
            });
            let by_cell = match greatest_first != reversed {
                true => by_cell.reverse(),
                false => by_cell,
            };
            by_cell.then_with(|| one.key.cmp(&other.key))
        });
    }
}

pub(super) fn grid(state: &State) -> Grid {
    let rows = match (&state.now, state.view) {
        (None, _) => Vec::new(),
        (Some(now), View::Plugins) => plugins(state)
            .iter()
            .map(|one| plugin_row(one, &now.status))
            .collect(),
        (Some(now), View::Workers) => workers(&now.status),
        (Some(now), View::Sessions) => sessions(&now.status),
    };
    Grid {
        columns: columns(state.view),
        rows,
    }
}

/// What a plugin did in a hook, over the chosen time.
pub(super) struct PluginFigures {
    pub one: PluginStatus,
    /// Its part of the time of all.
    pub share: f64,
}

impl PluginFigures {
    pub(super) fn key(&self) -> String {
        format!("{} {}", self.one.plugin, self.one.hook)
    }

    pub(super) fn mean(&self) -> Option<f64> {
        let calls = self.one.calls;
        (calls > 0).then(|| self.one.nanoseconds as f64 / calls as f64)
    }

    /// The most frequent first.
    pub(super) fn verdicts(&self) -> String {
        let mut verdicts: Vec<_> = self.one.verdicts.iter().filter(|one| *one.1 > 0).collect();
        verdicts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let verdicts: Vec<String> = verdicts
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        verdicts.join("  ")
    }
}

pub(super) fn plugins(state: &State) -> Vec<PluginFigures> {
    let now = state.now.as_ref().map(|now| &now.status);
    let earlier: HashMap<(&str, &str), &PluginStatus> = state
        .since()
        .and_then(|(_, before)| before.plugins.as_ref())
        .into_iter()
        .flatten()
        .map(|one| ((one.plugin.as_str(), one.hook.as_str()), one))
        .collect();
    let list = now
        .and_then(|now| now.plugins.as_ref())
        .into_iter()
        .flatten();
    let list: Vec<PluginStatus> = list
        .map(
            |one| match earlier.get(&(one.plugin.as_str(), one.hook.as_str())) {
                Some(before) => difference(one, before),
                None => one.clone(),
            },
        )
        .collect();
    let all: u64 = list.iter().map(|one| one.nanoseconds).sum();
    list.into_iter()
        .map(|one| PluginFigures {
            share: one.nanoseconds as f64 / all.max(1) as f64,
            one,
        })
        .collect()
}

fn difference(now: &PluginStatus, before: &PluginStatus) -> PluginStatus {
    let earlier = |name: &String| before.verdicts.get(name).copied().unwrap_or(0);
    PluginStatus {
        plugin: now.plugin.clone(),
        hook: now.hook.clone(),
        calls: now.calls.saturating_sub(before.calls),
        died: now.died.saturating_sub(before.died),
        late: now.late.saturating_sub(before.late),
        ended: now.ended.saturating_sub(before.ended),
        nanoseconds: now.nanoseconds.saturating_sub(before.nanoseconds),
        verdicts: (now.verdicts.iter())
            .map(|(name, count)| (name.clone(), count.saturating_sub(earlier(name))))
            .collect(),
        durations: classes_since(&now.durations, &before.durations),
    }
}

fn plugin_row(figures: &PluginFigures, status: &Status) -> Row {
    let one = &figures.one;
    let quantile = |part| match quantile(&one.durations, part) {
        Some(found) => {
            let (super::figures::Quantile::About(order) | super::figures::Quantile::Over(order)) =
                found;
            Cell::number(order, quantile_text(found))
        }
        None => Cell::none(),
    };
    let running = status.workers.iter().flat_map(|worker| &worker.running);
    let running = running.filter(|call| call.plugin == one.plugin && call.hook == one.hook);
    Row {
        key: figures.key(),
        cells: vec![
            Cell::text(&one.plugin),
            Cell::text(&one.hook),
            Cell::number(figures.share, format!("{:.1}%", figures.share * 100.0)),
            Cell::number(one.nanoseconds as f64, duration(one.nanoseconds as f64)),
            Cell::count(one.calls),
            match figures.mean() {
                Some(mean) => Cell::number(mean, duration(mean)),
                None => Cell::none(),
            },
            quantile(0.5),
            quantile(0.99),
            Cell::count(running.count() as u64),
            Cell::count(one.died + one.late),
            Cell::text(figures.verdicts()),
        ],
    }
}

/// What runs in a worker or a session, and since when: the innermost call, which is what it is
/// really at.
fn runs(running: &[&CallStatus]) -> [Cell; 2] {
    let Some(last) = running.last() else {
        return [Cell::none(), Cell::text("-")];
    };
    let mut what = format!("{} {}", last.plugin, last.hook);
    if running.len() > 1 {
        what += &format!(" (+{})", running.len() - 1);
    }
    // How long it has been held up is what the outermost one says.
    let since = running.iter().map(|call| call.milliseconds).max();
    let since = since.unwrap_or(0) as f64;
    [Cell::number(since, duration(since * 1e6)), Cell::text(what)]
}

pub(super) fn state_name(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Idle => "idle",
        WorkerState::Busy => "busy",
        WorkerState::Ending => "ending",
    }
}

fn age(seconds: u64) -> Cell {
    Cell::number(seconds as f64, time(seconds))
}

fn workers(status: &Status) -> Vec<Row> {
    let row = |worker: &crate::server::WorkerStatus| {
        let [mut since, what] = runs(&worker.running.iter().collect::<Vec<_>>());
        // One that waits for a client is more than one that waits for nothing.
        if worker.running.is_empty() && worker.sessions > 0 {
            since.order = NOTHING / 2.0;
        }
        let pid = u64::try_from(worker.pid).unwrap_or(0);
        Row {
            key: worker.pid.to_string(),
            cells: vec![
                Cell::count(pid),
                Cell::count(worker.generation),
                Cell::text(state_name(worker.state)),
                Cell::count(worker.sessions),
                Cell::count(worker.served),
                age(worker.age_seconds),
                match worker.resident_bytes {
                    Some(resident) => Cell::number(resident as f64, bytes(resident)),
                    None => Cell::none(),
                },
                since,
                what,
            ],
        }
    };
    status.workers.iter().map(row).collect()
}

/// The calls that run for each session, the outermost first.
pub(super) fn calls_by_session(status: &Status) -> HashMap<u64, Vec<&CallStatus>> {
    let mut calls: HashMap<u64, Vec<&CallStatus>> = HashMap::new();
    for call in status.workers.iter().flat_map(|worker| &worker.running) {
        calls.entry(call.session).or_default().push(call);
    }
    calls
}

fn sessions(status: &Status) -> Vec<Row> {
    let calls = calls_by_session(status);
    let row = |session: &crate::server::SessionStatus| {
        let running = calls.get(&session.session).map_or(&[][..], Vec::as_slice);
        let [since, what] = runs(running);
        let worker = session.worker.and_then(|pid| u64::try_from(pid).ok());
        Row {
            key: session.session.to_string(),
            cells: vec![
                Cell::count(session.session),
                worker.map_or_else(Cell::none, Cell::count),
                Cell::text(if session.tls { "yes" } else { "no" }),
                age(session.age_seconds),
                Cell::text(session.client.to_string()),
                since,
                what,
            ],
        }
    };
    status.sessions.iter().flatten().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{later, status};
    use super::super::heard::Heard;
    use super::*;
    use std::time::{Duration, Instant};

    fn state(view: View) -> State {
        let mut state = State::new();
        state.view = view;
        state.heard(Heard {
            at: Instant::now(),
            status: Ok(status()),
        });
        state
    }

    fn texts(state: &State) -> Vec<Vec<String>> {
        let row = |row: Row| row.cells.into_iter().map(|cell| cell.text).collect();
        state.grid().rows.into_iter().map(row).collect()
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for view in View::ALL {
            let grid = state(view).grid();
            assert!(!grid.rows.is_empty());
            assert!(
                grid.rows
                    .iter()
                    .all(|row| row.cells.len() == grid.columns.len())
            );
        }
    }

    #[test]
    fn a_plugin_s_row_has_its_share_mean_quantiles_and_verdicts() {
        let rows = texts(&state(View::Plugins));
        assert_eq!(
            rows[0],
            [
                "dnsbl",
                "connect",
                "60.0%",
                "6.00 s",
                "1000",
                "6.00 ms",
                "4.19 ms",
                "8.39 ms",
                "1",
                "3",
                "DECLINED 900  DENY 97",
            ]
        );
    }

    #[test]
    fn of_an_interval_only_what_it_added_counts() {
        let mut state = state(View::Plugins);
        state.heard(Heard {
            at: Instant::now() + Duration::from_secs(2),
            status: Ok(later()),
        });
        let rows = texts(&state);
        let figures = ["dnsbl", "connect", "100.0%", "500 ms", "100", "5.00 ms"];
        assert_eq!(rows[0][..6], figures);
        assert_eq!(rows[0][9..], ["0", "DENY 100"]);
        // What has not been called has no mean.
        assert_eq!(rows[1][4..8], ["0", "-", "-", "-"]);
    }

    #[test]
    fn a_worker_s_row_has_its_memory_and_what_it_runs_the_longest_first() {
        let rows = texts(&state(View::Workers));
        let busy = [
            "4720",
            "3",
            "busy",
            "2",
            "400",
            "1 min 35 s",
            "12.3 MB",
            "1.50 s",
            "logging/warn logging (+1)",
        ];
        assert_eq!(rows[0], busy);
        assert_eq!(rows[1][6..], ["-", "-", "-"]);
    }

    #[test]
    fn a_worker_that_has_a_session_comes_before_one_that_has_none() {
        let mut status = status();
        status.workers[0].running.clear();
        status.workers[1].pid = 9;
        let mut state = State::new();
        state.view = View::Workers;
        state.heard(Heard {
            at: Instant::now(),
            status: Ok(status),
        });
        assert_eq!(texts(&state)[0][0], "4720");
    }

    #[test]
    fn a_session_s_row_has_its_client_and_what_runs_for_it() {
        let rows = texts(&state(View::Sessions));
        let first = ["998", "4720", "no", "2 s", "192.0.2.7", "1.50 s"];
        assert_eq!(rows[0][..6], first);
        let second = ["990", "4720", "yes", "1 min 0 s", "2001:db8::1", "-", "-"];
        assert_eq!(rows[1], second);
    }

    #[test]
    fn numbers_come_greatest_first_and_names_in_their_order() {
        let mut grid = state(View::Workers).grid();
        let keys =
            |grid: &Grid| -> Vec<String> { grid.rows.iter().map(|row| row.key.clone()).collect() };
        grid.sort(0, false);
        assert_eq!(keys(&grid), ["4721", "4720"]);
        grid.sort(0, true);
        assert_eq!(keys(&grid), ["4720", "4721"]);
        let state_column = 2;
        grid.sort(state_column, false);
        assert_eq!(keys(&grid), ["4720", "4721"]);
        grid.sort(99, false);
        assert_eq!(keys(&grid), ["4720", "4721"]);
    }
}
