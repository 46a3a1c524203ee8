//! What `top` shows and how: the last answers, the view, its order, the chosen row. Changes by
//! answers and by what the user wants; knows neither the daemon nor the terminal.

use std::time::{Duration, Instant};

use super::heard::Heard;
use super::input::Action;
use super::tables::{self, Grid};
use crate::server::Status;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Plugins,
    Workers,
    Sessions,
}

impl View {
    pub(super) const ALL: [View; 3] = [View::Plugins, View::Workers, View::Sessions];

    pub(super) fn title(self) -> &'static str {
        match self {
            View::Plugins => "Plugins",
            View::Workers => "Workers",
            View::Sessions => "Sessions",
        }
    }
}

/// Over which time things are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// Between the last two answers.
    Interval,
    /// Since the daemon's start.
    Start,
}

/// An answer and when it came.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub at: Instant,
    pub status: Status,
}

/// How one view is shown.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// The column by which it is sorted.
    pub column: usize,
    /// Against the column's usual direction.
    pub reversed: bool,
    /// The chosen row's name; none: the first.
    chosen: Option<String>,
    /// Where that row was when it was last seen.
    row: usize,
    /// The first row on the screen.
    pub offset: usize,
}

#[derive(Debug)]
pub(super) struct State {
    pub view: View,
    pub window: Window,
    pub paused: bool,
    views: [Shown; 3],
    pub now: Option<Sample>,
    /// The answer before that, of the same daemon.
    pub before: Option<Sample>,
    /// Why there is no answer now.
    pub problem: Option<String>,
    /// Rows that were on the screen.
    pub page: usize,
}

impl State {
    pub(super) fn new() -> State {
        let shown = |view: View| Shown {
            column: tables::usual_column(view),
            reversed: false,
            chosen: None,
            row: 0,
            offset: 0,
        };
        State {
            view: View::Plugins,
            window: Window::Interval,
            paused: false,
            views: View::ALL.map(shown),
            now: None,
            before: None,
            problem: None,
            page: 0,
        }
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.views[self.view as usize]
    }

    pub(super) fn shown_mut(&mut self) -> &mut Shown {
        &mut self.views[self.view as usize]
    }

    /// Whether the list of sessions is seen.
    pub(super) fn shows_sessions(&self) -> bool {
        self.view != View::Plugins
    }

    pub(super) fn heard(&mut self, heard: Heard) {
        match heard.status {
            Ok(_) if self.paused => self.problem = None,
            Ok(status) => {
                self.problem = None;
                let before = self.now.take();
                // Counts of another process are not to be compared.
                self.before = before.filter(|before| {
                    before.status.pid == status.pid
                        && before.status.uptime_seconds <= status.uptime_seconds
                });
                let at = heard.at;
                self.now = Some(Sample { at, status });
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// The time between the two answers, and the earlier one; none where everything since the
    /// daemon's start counts.
    pub(super) fn since(&self) -> Option<(Duration, &Status)> {
        let (now, before) = (self.now.as_ref()?, self.before.as_ref()?);
        let time = now.at.saturating_duration_since(before.at);
        (self.window == Window::Interval && !time.is_zero()).then_some((time, &before.status))
    }

    /// What the view has to show, in its order.
    pub(super) fn grid(&self) -> Grid {
        let mut grid = tables::grid(self);
        let shown = self.shown();
        grid.sort(shown.column, shown.reversed);
        grid
    }

    /// The chosen row of the view as it is now.
    pub(super) fn row(&self, grid: &Grid) -> usize {
        let shown = self.shown();
        let of_name = |name: &String| grid.rows.iter().position(|row| row.key == *name);
        let row = shown.chosen.as_ref().and_then(of_name);
        row.unwrap_or(shown.row)
            .min(grid.rows.len().saturating_sub(1))
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Quit => {}
            Action::NextView => self.view = View::ALL[(self.view as usize + 1) % View::ALL.len()],
            Action::PreviousView => {
                self.view = View::ALL[(self.view as usize + View::ALL.len() - 1) % View::ALL.len()];
            }
            Action::View(number) => {
                self.view = View::ALL.get(number).copied().unwrap_or(self.view);
            }
            Action::NextColumn => self.sort_by(1),
            Action::PreviousColumn => self.sort_by(tables::columns(self.view).len() - 1),
            Action::Reverse => {
                let shown = self.shown_mut();
                shown.reversed = !shown.reversed;
            }
            Action::Window => {
                self.window = match self.window {
                    Window::Interval => Window::Start,
                    Window::Start => Window::Interval,
                }
            }
            Action::Pause => self.paused = !self.paused,
            Action::Move(by) => self.go(|row, _| row.saturating_add_signed(by)),
            Action::Page(by) => {
                let by = by.saturating_mul(self.page.max(1) as isize);
                self.go(|row, _| row.saturating_add_signed(by));
            }
            Action::First => self.go(|_, _| 0),
            Action::Last => self.go(|_, last| last),
        }
    }

    fn sort_by(&mut self, further: usize) {
        let columns = tables::columns(self.view).len();
        let shown = self.shown_mut();
        shown.column = (shown.column + further) % columns;
        shown.reversed = false;
    }

    fn go(&mut self, to: impl FnOnce(usize, usize) -> usize) {
        let grid = self.grid();
        let last = grid.rows.len().saturating_sub(1);
        let row = to(self.row(&grid), last).min(last);
        let shown = self.shown_mut();
        shown.row = row;
        // The first row is whichever comes first.
        shown.chosen = grid
            .rows
            .get(row)
            .filter(|_| row > 0)
            .map(|row| row.key.clone());
    }

    /// Moves the rows on the screen so that the chosen one is among them.
    pub(super) fn scroll(&mut self, row: usize, rows: usize, height: usize) {
        self.page = height;
        let shown = self.shown_mut();
        let lowest = rows.saturating_sub(height);
        let first = (row + 1).saturating_sub(height);
        shown.offset = shown
            .offset
            .clamp(first, first.max(row))
            .min(lowest.max(first));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{later, status};
    use super::*;

    fn heard(at: Instant, status: Result<Status, String>) -> Heard {
        Heard { at, status }
    }

    fn state() -> State {
        let mut state = State::new();
        state.heard(heard(Instant::now(), Ok(status())));
        state
    }

    fn names(state: &State) -> Vec<String> {
        state.grid().rows.into_iter().map(|row| row.key).collect()
    }

    #[test]
    fn the_first_answer_counts_since_the_start_and_the_second_since_the_first() {
        let mut state = state();
        assert!(state.since().is_none());
        let at = state.now.as_ref().unwrap().at + Duration::from_secs(2);
        state.heard(heard(at, Ok(later())));
        let (time, before) = state.since().unwrap();
        assert_eq!((time, before), (Duration::from_secs(2), &status()));
        state.act(Action::Window);
        assert!(state.since().is_none());
    }

    #[test]
    fn a_daemon_that_is_gone_leaves_what_was_seen_and_another_one_begins_anew() {
        let mut state = state();
        let at = state.now.as_ref().unwrap().at + Duration::from_secs(2);
        state.heard(heard(at, Err("no running daemon".to_owned())));
        assert_eq!(state.problem.as_deref(), Some("no running daemon"));
        assert!(state.now.is_some());
        let other = Status { pid: 1, ..status() };
        state.heard(heard(at, Ok(other)));
        assert_eq!(state.problem, None);
        assert!(state.before.is_none() && state.now.as_ref().unwrap().status.pid == 1);
    }

    #[test]
    fn a_pause_keeps_what_is_seen_and_afterwards_the_interval_is_the_pause() {
        let mut state = state();
        let at = state.now.as_ref().unwrap().at;
        state.act(Action::Pause);
        state.heard(heard(at + Duration::from_secs(2), Ok(later())));
        assert_eq!(state.now.as_ref().unwrap().status, status());
        state.act(Action::Pause);
        state.heard(heard(at + Duration::from_secs(4), Ok(later())));
        assert_eq!(state.since().unwrap().0, Duration::from_secs(4));
    }

    #[test]
    fn views_and_columns_go_round() {
        let mut state = state();
        for view in [View::Workers, View::Sessions, View::Plugins] {
            state.act(Action::NextView);
            assert_eq!(state.view, view);
        }
        state.act(Action::PreviousView);
        assert_eq!(state.view, View::Sessions);
        state.act(Action::View(0));
        state.act(Action::View(7));
        assert_eq!(state.view, View::Plugins);
        let column = state.shown().column;
        for _ in tables::columns(View::Plugins) {
            state.act(Action::NextColumn);
        }
        assert_eq!(state.shown().column, column);
        state.act(Action::NextColumn);
        state.act(Action::PreviousColumn);
        assert_eq!(state.shown().column, column);
    }

    #[test]
    fn plugins_are_ranked_by_time_until_told_otherwise() {
        let mut state = state();
        let ranked = names(&state);
        assert_eq!(
            ranked,
            ["dnsbl connect", "queue/maildir queue", "rcpt_ok rcpt"]
        );
        state.act(Action::Reverse);
        assert_eq!(names(&state)[0], "rcpt_ok rcpt");
        state.shown_mut().column = 0;
        state.shown_mut().reversed = false;
        assert_eq!(names(&state)[2], "rcpt_ok rcpt");
    }

    #[test]
    fn the_chosen_row_stays_chosen_where_the_order_changes() {
        let mut state = state();
        state.act(Action::Move(1));
        assert_eq!(state.row(&state.grid()), 1);
        state.act(Action::Move(1));
        state.act(Action::Reverse);
        let grid = state.grid();
        assert_eq!(
            (state.row(&grid), grid.rows[0].key.as_str()),
            (0, "rcpt_ok rcpt")
        );
    }

    #[test]
    fn moves_end_at_the_first_and_the_last_row() {
        let mut state = state();
        for (action, row) in [
            (Action::Move(-1), 0),
            (Action::Move(99), 2),
            (Action::Page(isize::MAX), 2),
            (Action::Page(-1), 1),
            (Action::First, 0),
            (Action::Last, 2),
        ] {
            state.act(action);
            assert_eq!(state.row(&state.grid()), row, "{action:?}");
        }
        let mut empty = State::new();
        for action in [Action::Move(1), Action::Last, Action::Page(1)] {
            empty.act(action);
            assert_eq!(empty.row(&empty.grid()), 0);
        }
    }

    #[test]
    fn the_rows_on_the_screen_follow_the_chosen_one() {
        let mut state = state();
        for (row, rows, height, offset) in [
            (0, 10, 4, 0),
            (4, 10, 4, 1),
            (3, 10, 4, 1),
            (0, 10, 4, 0),
            (9, 10, 4, 6),
            (9, 10, 20, 0),
            (5, 10, 0, 6),
            (0, 0, 4, 0),
        ] {
            state.scroll(row, rows, height);
            assert_eq!(state.shown().offset, offset, "{row} of {rows} in {height}");
        }
    }
}
