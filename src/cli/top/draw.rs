//! Paints what `state`, `totals`, `tables` and `detail` say, on a terminal of any size: what has no
//! room is left out.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::detail::{Detail, detail};
use super::figures::duration;
use super::state::{State, View, Window};
use super::tables::{Column, Grid, Row};
use super::totals::{Total, totals};

const NAME: Style = Style::new().fg(Color::Cyan);
const TITLE: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
const PROBLEM: Style = Style::new().fg(Color::Red).add_modifier(Modifier::REVERSED);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// The width of the names before the totals.
const NAMES: usize = 10;
/// Below this height the keys, and below that the chosen row's details, make room for the table.
const TALL: u16 = 14;
const DETAIL: u16 = 5;

const KEYS: &str = "q quit  Tab view  j/k move  s sort  r reverse  i interval/start  p pause";

pub(super) fn frame(frame: &mut Frame<'_>, state: &mut State) {
    let area = frame.area();
    paint(frame.buffer_mut(), area, state);
}

/// Takes lines from the top of what is left.
struct Room {
    left: Rect,
}

impl Room {
    fn line(&mut self) -> Rect {
        let height = self.left.height.min(1);
        let line = Rect {
            height,
            ..self.left
        };
        self.left.y += height;
        self.left.height -= height;
        line
    }

    fn bottom(&mut self, height: u16) -> Rect {
        let height = height.min(self.left.height);
        self.left.height -= height;
        Rect {
            y: self.left.y + self.left.height,
            height,
            ..self.left
        }
    }
}

fn paint(buffer: &mut Buffer, area: Rect, state: &mut State) {
    let mut room = Room { left: area };
    if let Some(problem) = &state.problem {
        let text = format!("{problem}; trying again");
        Line::styled(text, PROBLEM).render(room.line(), buffer);
    }
    // A table of a few rows is worth more than all totals.
    let most = usize::from(area.height / 3);
    for line in head(state, area.width).into_iter().take(most) {
        line.render(room.line(), buffer);
    }
    tabs(state).render(room.line(), buffer);
    if area.height >= TALL {
        Line::styled(KEYS, FAINT).render(room.bottom(1), buffer);
    }
    let grid = state.grid();
    let row = state.row(&grid);
    let chosen = grid.rows.get(row);
    if area.height >= TALL + DETAIL
        && let Some(detail) = chosen.and_then(|row| detail(state, &row.key))
    {
        paint_detail(buffer, room.bottom(DETAIL), &detail);
    }
    let shown = state.shown();
    let sorted = Some((shown.column, shown.reversed));
    let height = usize::from(room.left.height.saturating_sub(1));
    state.scroll(row, grid.rows.len(), height);
    let offset = state.shown().offset;
    table(buffer, room.left, &grid, sorted, offset, Some(row));
}

/// The totals, each broken into as many lines as it needs.
pub(super) fn head(state: &State, width: u16) -> Vec<Line<'static>> {
    totals(state)
        .iter()
        .flat_map(|total| flow(total, usize::from(width)))
        .collect()
}

fn flow(total: &Total, width: usize) -> Vec<Line<'static>> {
    let mut texts: Vec<String> = Vec::new();
    let mut text = String::new();
    for group in &total.groups {
        if !text.is_empty() && NAMES + text.len() + 2 + group.len() > width {
            texts.push(std::mem::take(&mut text));
        }
        if !text.is_empty() {
            text += "  ";
        }
        text += group;
    }
    texts.push(text);
    let names = std::iter::once(total.name).chain(std::iter::repeat(""));
    names
        .zip(texts)
        .map(|(name, text)| {
            let name = Span::styled(format!("{name:NAMES$}"), NAME);
            Line::from(vec![name, Span::raw(text)])
        })
        .collect()
}

fn tabs(state: &State) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, view) in View::ALL.into_iter().enumerate() {
        let style = match view == state.view {
            true => CHOSEN,
            false => Style::new(),
        };
        let title = format!(" {} {} ", number + 1, view.title());
        spans.push(Span::styled(title, style));
    }
    let window = match (state.window, state.since()) {
        (Window::Start, _) => " since the start".to_owned(),
        (Window::Interval, None) => " since the start, until the next look".to_owned(),
        (Window::Interval, Some((time, _))) => {
            format!(" of the last {}", duration(time.as_nanos() as f64))
        }
    };
    spans.push(Span::raw(window));
    if state.paused {
        spans.push(Span::styled("  PAUSED", TITLE));
    }
    Line::from(spans)
}

fn paint_detail(buffer: &mut Buffer, area: Rect, detail: &Detail) {
    let mut room = Room { left: area };
    let rest = usize::from(area.width).saturating_sub(detail.title.chars().count() + 4);
    let title = format!("── {} {}", detail.title, "─".repeat(rest));
    Line::styled(title, FAINT).render(room.line(), buffer);
    for line in detail.lines.iter().take(usize::from(room.left.height)) {
        Line::raw(line.clone()).render(room.line(), buffer);
    }
}

/// A table's lines from row `offset` on; `sorted`: by which column, and whether the other way
/// round.
pub(super) fn table(
    buffer: &mut Buffer,
    area: Rect,
    grid: &Grid,
    sorted: Option<(usize, bool)>,
    offset: usize,
    chosen: Option<usize>,
) {
    let places = places(grid, sorted, area.width);
    let mut room = Room { left: area };
    let titles = grid.columns.iter().enumerate().map(|(at, column)| {
        let title = title(at, column, sorted);
        (title, column.number)
    });
    row(buffer, room.line(), &places, titles, TITLE);
    let height = usize::from(room.left.height);
    for (at, one) in grid.rows.iter().enumerate().skip(offset).take(height) {
        let style = match chosen == Some(at) {
            true => CHOSEN,
            false => Style::new(),
        };
        row(buffer, room.line(), &places, cells(grid, one), style);
    }
}

fn cells<'a>(grid: &Grid, row: &'a Row) -> impl Iterator<Item = (String, bool)> + use<'a> {
    row.cells
        .iter()
        .zip(grid.columns)
        .map(|(cell, column)| (cell.text.clone(), column.number))
}

/// The column by which the table is sorted has an arrow.
fn title(at: usize, column: &Column, sorted: Option<(usize, bool)>) -> String {
    match sorted {
        Some((by, reversed)) if by == at => {
            let down = column.number != reversed;
            format!("{}{}", column.title, if down { '▼' } else { '▲' })
        }
        _ => column.title.to_owned(),
    }
}

/// Where each column begins and how wide it is, as far as there is room; the last has what is left.
fn places(grid: &Grid, sorted: Option<(usize, bool)>, width: u16) -> Vec<(u16, u16)> {
    let mut places = Vec::new();
    let mut begin = 0u16;
    for (at, column) in grid.columns.iter().enumerate() {
        let cells = grid.rows.iter().filter_map(|row| row.cells.get(at));
        let widest = cells.map(|cell| cell.text.chars().count()).max();
        let title = title(at, column, sorted).chars().count();
        let wanted = u16::try_from(widest.unwrap_or(0)).unwrap_or(u16::MAX);
        let title = u16::try_from(title).unwrap_or(u16::MAX);
        let wanted = wanted.min(column.most).max(title);
        let room = width.saturating_sub(begin);
        let last = at + 1 == grid.columns.len();
        // Half a number is a wrong one.
        if room == 0 || (wanted > room && column.number) {
            break;
        }
        let own = if last { room } else { wanted.min(room) };
        places.push((begin, own));
        begin = begin.saturating_add(own).saturating_add(1);
    }
    places
}

fn row(
    buffer: &mut Buffer,
    area: Rect,
    places: &[(u16, u16)],
    cells: impl Iterator<Item = (String, bool)>,
    style: Style,
) {
    if area.height == 0 {
        return;
    }
    buffer.set_style(area, style);
    for ((begin, width), (text, number)) in places.iter().zip(cells) {
        let place = Rect {
            x: area.x + begin,
            width: *width,
            ..area
        };
        let line = Line::styled(text, style);
        let line = if number { line.right_aligned() } else { line };
        line.render(place, buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{later, status};
    use super::super::heard::Heard;
    use super::super::input::Action;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::{Duration, Instant};

    fn state() -> State {
        let mut state = State::new();
        let at = Instant::now();
        for (at, status) in [(at, status()), (at + Duration::from_secs(2), later())] {
            let status = Ok(status);
            state.heard(Heard { at, status });
        }
        state
    }

    fn drawn(state: &mut State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|one| frame(one, state)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
        let lines: Vec<String> = (0..height).map(|y| line(y).trim_end().to_owned()).collect();
        lines.join("\n")
    }

    fn line<'a>(drawn: &'a str, start: &str) -> &'a str {
        let found = drawn.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line begins with {start:?} in\n{drawn}"))
    }

    #[test]
    fn a_usual_terminal_shows_totals_ranked_plugins_details_and_keys() {
        let drawn = drawn(&mut state(), 100, 24);
        assert!(line(&drawn, "camelpost").contains("pid 4711  up 1 min 42 s  generation 3"));
        assert!(line(&drawn, "clients").contains("1200 accepted 100/s  2 open of 200"));
        assert!(line(&drawn, "messages").contains("850 queued 25.0/s"));
        let tabs = line(&drawn, " 1 Plugins");
        assert!(tabs.ends_with("3 Sessions  of the last 2.00 s"), "{tabs}");
        let titles = line(&drawn, "PLUGIN");
        assert!(titles.contains(" TIME▼ ") && titles.ends_with("VERDICTS"));
        let first = line(&drawn, "dnsbl ");
        assert!(
            first.contains(" 100.0% 500 ms ") && first.contains("DENY 100"),
            "{first}"
        );
        assert!(line(&drawn, "durations").contains('█'));
        assert!(drawn.ends_with(KEYS), "{drawn}");
    }

    #[test]
    fn columns_stand_below_their_titles() {
        let drawn = drawn(&mut state(), 100, 24);
        let titles = line(&drawn, "PLUGIN");
        let first = line(&drawn, "dnsbl ");
        let end = |text: &str, of: &str| text[..text.find(of).unwrap()].chars().count();
        assert_eq!(end(titles, "TIME▼") + 5, end(first, "500 ms") + 6);
        assert_eq!(end(titles, "HOOK"), end(first, "connect"));
    }

    #[test]
    fn other_views_have_their_tables() {
        let mut state = state();
        state.act(Action::NextView);
        let workers = drawn(&mut state, 100, 24);
        assert!(line(&workers, "  4720").ends_with("1.50 s logging/warn logging (+1)"));
        assert!(workers.contains("── worker 4720, busy ───"));
        state.act(Action::NextView);
        let sessions = drawn(&mut state, 100, 24);
        assert!(sessions.contains("2001:db8::1"), "{sessions}");
    }

    #[test]
    fn no_terminal_is_too_small() {
        let long = "x".repeat(300);
        for problem in [None, Some(long)] {
            for view in 0..3 {
                let mut state = state();
                state.problem.clone_from(&problem);
                state.act(Action::View(view));
                state.act(Action::Last);
                for width in (0..12).chain([20, 40, 80, 300]) {
                    for height in (0..24).chain([60]) {
                        drawn(&mut state, width, height);
                        state.act(Action::Page(1));
                        state.act(Action::Move(-1));
                    }
                }
            }
        }
        drawn(&mut State::new(), 80, 24);
    }

    #[test]
    fn a_small_terminal_has_a_row_before_all_totals() {
        let drawn = drawn(&mut state(), 40, 6);
        assert!(line(&drawn, "dnsbl").contains("connect"));
        assert!(!drawn.contains(KEYS));
    }

    #[test]
    fn a_number_that_has_no_room_is_left_out_whole() {
        let grid = state().grid();
        let widest = |at: usize| grid.rows.iter().map(|row| row.cells[at].text.len()).max();
        for width in 0..120 {
            for (at, (begin, own)) in places(&grid, None, width).into_iter().enumerate() {
                assert!(begin + own <= width);
                let whole = usize::from(own) >= widest(at).unwrap();
                assert!(whole || !grid.columns[at].number, "column {at} of {width}");
            }
        }
    }

    #[test]
    fn a_daemon_that_is_gone_is_named_in_the_first_line() {
        let mut state = state();
        state.problem = Some("no running daemon at the control socket /x".to_owned());
        let drawn = drawn(&mut state, 100, 24);
        let first = "no running daemon at the control socket /x; trying again";
        assert_eq!(drawn.lines().next(), Some(first));
        // What was seen last stays.
        assert!(drawn.contains("dnsbl"));
    }

    #[test]
    fn a_pause_and_a_reversed_order_are_seen() {
        let mut state = state();
        state.act(Action::Pause);
        state.act(Action::Reverse);
        let drawn = drawn(&mut state, 100, 24);
        assert!(drawn.contains("PAUSED") && drawn.contains("TIME▲"));
    }

    #[test]
    fn the_chosen_row_is_on_the_screen_however_many_there_are() {
        let mut state = state();
        let mut many = later();
        let plugins = many.plugins.as_mut().unwrap();
        for number in 0..100 {
            let mut one = plugins[0].clone();
            one.plugin = format!("plugin{number}");
            plugins.push(one);
        }
        let at = Instant::now() + Duration::from_secs(4);
        state.heard(Heard {
            at,
            status: Ok(many),
        });
        state.act(Action::Last);
        let grid = state.grid();
        let last = grid.rows.last().unwrap().cells[0].text.clone();
        assert!(line(&drawn(&mut state, 80, 12), &last).starts_with(&last));
    }

    #[test]
    fn what_a_plugin_s_name_says_to_the_terminal_is_not_passed_on() {
        let mut state = state();
        let mut bad = later();
        bad.plugins.as_mut().unwrap()[0].plugin = "\x1b[2Jx\n\u{7}".to_owned();
        state.heard(Heard {
            at: Instant::now() + Duration::from_secs(4),
            status: Ok(bad),
        });
        let drawn = drawn(&mut state, 100, 24);
        assert!(!drawn.contains('\x1b') && !drawn.contains('\u{7}'));
    }
}
