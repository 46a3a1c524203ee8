//! Keys and what they mean. Does not do it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    NextView,
    PreviousView,
    /// By its number, from 0.
    View(usize),
    NextColumn,
    PreviousColumn,
    Reverse,
    Window,
    Pause,
    /// By so many rows.
    Move(isize),
    Page(isize),
    First,
    Last,
}

pub(super) fn action(key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('f') => Some(Action::Page(1)),
            KeyCode::Char('b') => Some(Action::Page(-1)),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Action::Quit,
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Action::NextView,
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => Action::PreviousView,
        KeyCode::Char(digit @ '1'..='9') => Action::View(digit as usize - '1' as usize),
        KeyCode::Char('s') => Action::NextColumn,
        KeyCode::Char('S') => Action::PreviousColumn,
        KeyCode::Char('r') => Action::Reverse,
        KeyCode::Char('i') => Action::Window,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('j') | KeyCode::Down => Action::Move(1),
        KeyCode::Char('k') | KeyCode::Up => Action::Move(-1),
        KeyCode::PageDown => Action::Page(1),
        KeyCode::PageUp => Action::Page(-1),
        KeyCode::Char('g') | KeyCode::Home => Action::First,
        KeyCode::Char('G') | KeyCode::End => Action::Last,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let plain = |code| action(KeyEvent::new(code, KeyModifiers::NONE));
        for (key, meaning) in [
            ('q', Action::Quit),
            ('2', Action::View(1)),
            ('s', Action::NextColumn),
            ('i', Action::Window),
            ('p', Action::Pause),
            ('j', Action::Move(1)),
            ('k', Action::Move(-1)),
        ] {
            assert_eq!(plain(KeyCode::Char(key)), Some(meaning), "{key}");
        }
        assert_eq!(plain(KeyCode::Tab), Some(Action::NextView));
        assert_eq!(plain(KeyCode::Char('z')), None);
        assert_eq!(plain(KeyCode::F(1)), None);
    }

    #[test]
    fn ctrl_c_quits_and_ctrl_with_another_key_is_not_that_key() {
        let held = |key| action(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL));
        assert_eq!(held('c'), Some(Action::Quit));
        assert_eq!(held('q'), None);
    }

    #[test]
    fn letting_go_of_a_key_means_nothing() {
        let mut key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        key.kind = KeyEventKind::Release;
        assert_eq!(action(key), None);
    }
}
