//! One frame of `top` as plain text, of the width that a reader has: everything that counts, without
//! what only a terminal can do.

use std::io::{self, IsTerminal};
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

use super::draw;
use super::heard::Heard;
use super::state::{State, View};
use crate::server::Status;

/// Where nobody says how wide the reader's page is.
const WIDTH: u16 = 132;
const WIDEST: u16 = 500;
/// No table has more rows.
const ROWS: usize = 5000;

/// That of the terminal, else what COLUMNS says.
pub(super) fn width() -> u16 {
    let terminal = io::stdout().is_terminal();
    let size = terminal.then(ratatui::crossterm::terminal::size);
    if let Some(Ok((width @ 1.., _))) = size {
        return width.min(WIDEST);
    }
    let columns = std::env::var("COLUMNS").ok();
    let columns = columns.and_then(|columns| columns.parse().ok());
    columns
        .filter(|width| (1..=WIDEST).contains(width))
        .unwrap_or(WIDTH)
}

pub(super) fn text(status: Status, width: u16) -> String {
    let mut state = State::new();
    state.heard(Heard {
        at: Instant::now(),
        status: Ok(status),
    });
    let mut text = String::new();
    let head = draw::head(&state, width);
    text += &rendered(width, head.len(), |buffer, area| {
        for (line, row) in head.into_iter().zip(area.rows()) {
            line.render(row, buffer);
        }
    });
    for view in [View::Plugins, View::Workers] {
        state.view = view;
        let grid = state.grid();
        let height = grid.rows.len().min(ROWS) + 1;
        text.push('\n');
        text += &rendered(width, height, |buffer, area| {
            draw::table(buffer, area, &grid, None, 0, None);
        });
    }
    text
}

fn rendered(width: u16, height: usize, paint: impl FnOnce(&mut Buffer, Rect)) -> String {
    let height = u16::try_from(height).unwrap_or(u16::MAX);
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    paint(&mut buffer, area);
    let line = |y| -> String { (0..width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..height)
        .map(|y| line(y).trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::status;
    use super::*;

    #[test]
    fn the_frame_has_totals_plugins_and_workers_as_text() {
        let text = text(status(), 132);
        for part in [
            "camelpost 0.1.0  pid 4711",
            "1000 accepted 10.0/s",
            "\n\nPLUGIN ",
            "dnsbl         connect 60.0%",
            "\n\nWORKER ",
            "1.50 s logging/warn logging (+1)\n",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(text.lines().all(|line| line == line.trim_end()));
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_narrow_page_has_narrow_lines() {
        let text = text(status(), 40);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest.map(|width| width <= 40), Some(true), "{text}");
    }
}
