//! Plugins whose variables cannot be exchanged between the sessions of a worker: why, and the mark
//! by which all processes of a generation know it.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Bytes of a mark's text.
const TEXT: usize = 120;
/// In a mark's state beside the reason: its text is there.
const WRITTEN: u32 = 1 << 8;

/// Why a plugin's variable cannot be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Unfit {
    Tied = 1,
    Magical = 2,
    TooLarge = 3,
    /// For another reason, which the text that comes with it says.
    Other = 4,
}

/// How the sessions of a worker share a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sharing {
    /// What it keeps is exchanged.
    Shared,
    /// No worker has a second session with it, as the settings want it.
    Isolated,
    /// The variables of its file are the worker's, as the settings want it.
    Keeps,
    /// As isolated: its variables cannot be exchanged, for this reason.
    OwnWorkers { reason: String },
}

impl Unfit {
    /// The words that follow a plugin's name. `variable` may be empty.
    pub fn reason(self, variable: &str) -> String {
        let what = match self {
            Unfit::Tied => "is tied",
            Unfit::Magical => "has magic of its own",
            Unfit::TooLarge => "is too large and changes",
            Unfit::Other if variable.is_empty() => "cannot be exchanged",
            Unfit::Other => return variable.to_owned(),
        };
        match variable {
            "" => format!("a variable {what}"),
            variable => format!("its variable {variable} {what}"),
        }
    }

    fn from_number(number: u8) -> Unfit {
        let all = [Unfit::Tied, Unfit::Magical, Unfit::TooLarge];
        let known = all.into_iter().find(|known| *known as u8 == number);
        known.unwrap_or(Unfit::Other)
    }
}

/// The line for the log; `kept`: the settings have it shared all the same.
pub fn unfit_line(plugin: &str, reason: &str, kept: bool) -> String {
    match kept {
        false => format!(
            "plugin {plugin}: {reason}, so it cannot be shared between sessions: its sessions get \
             workers of their own (plugin_settings: keep, isolate)"
        ),
        true => format!(
            "plugin {plugin}: {reason}; it stays shared between the sessions of a worker \
             (plugin_settings: keep)"
        ),
    }
}

/// What is known of one plugin. The first who comes writes it, once.
#[repr(C)]
pub(super) struct Mark {
    /// The reason, and whether the text is there; 0: there is no mark.
    state: AtomicU32,
    /// Up to the first 0.
    text: [AtomicU8; TEXT],
}

impl Mark {
    pub(super) fn none() -> Mark {
        Mark {
            state: AtomicU32::new(0),
            text: std::array::from_fn(|_| AtomicU8::new(0)),
        }
    }

    /// One that is there already stays as it is. What does not fit of the text is left out.
    pub(super) fn write(&self, why: Unfit, text: &str) {
        let state = u32::from(why as u8);
        let claimed = self
            .state
            .compare_exchange(0, state, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err() {
            return;
        }
        let fits = (0..=text.len().min(TEXT)).rfind(|end| text.is_char_boundary(*end));
        let bytes = &text.as_bytes()[..fits.unwrap_or(0)];
        for (place, byte) in self.text.iter().zip(bytes) {
            place.store(*byte, Ordering::Relaxed);
        }
        self.state.store(state | WRITTEN, Ordering::Release);
    }

    /// The reason in words. Plugins run in the processes that write here: nothing is certain of
    /// the bytes. `None`: there is no mark.
    pub(super) fn read(&self) -> Option<String> {
        let state = self.state.load(Ordering::Acquire);
        if state == 0 {
            return None;
        }
        let bytes: Vec<u8> = match state & WRITTEN {
            0 => Vec::new(),
            _ => {
                let bytes = self.text.iter().map(|byte| byte.load(Ordering::Relaxed));
                bytes.take_while(|byte| *byte != 0).collect()
            }
        };
        let text: String = String::from_utf8_lossy(&bytes)
            .chars()
            .map(|c| if is_plain(c) { c } else { '?' })
            .collect();
        Some(Unfit::from_number(state.to_le_bytes()[0]).reason(&text))
    }
}

/// Whether a character does nothing but show: no control, nothing that turns a line's direction.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Which of the plugins have a mark that counts, all in one place, as each call of a plugin looks.
#[repr(C)]
pub(super) struct Unshared<const WORDS: usize> {
    /// How often a bit was set.
    changes: AtomicU32,
    bits: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Unshared<WORDS> {
    pub(super) fn none() -> Unshared<WORDS> {
        Unshared {
            changes: AtomicU32::new(0),
            bits: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(super) fn set(&self, plugin: u16) {
        let bit = 1 << (plugin % 64);
        if let Some(word) = self.bits.get(usize::from(plugin / 64))
            && word.fetch_or(bit, Ordering::Release) & bit == 0
        {
            self.note();
        }
    }

    pub(super) fn has(&self, plugin: u16) -> bool {
        let word = self.bits.get(usize::from(plugin / 64));
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (plugin % 64) & 1 == 1)
    }

    /// Something is to be looked at.
    pub(super) fn note(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_stays_and_says_why() {
        let mark = Mark::none();
        assert_eq!(mark.read(), None);
        mark.write(Unfit::Tied, "%parts");
        mark.write(Unfit::TooLarge, "@other");
        assert_eq!(mark.read().unwrap(), "its variable %parts is tied");
    }

    #[test]
    fn a_text_that_is_too_long_ends_between_two_characters() {
        let mark = Mark::none();
        mark.write(Unfit::Other, &("x".to_owned() + &"ä".repeat(TEXT)));
        let read = mark.read().unwrap();
        assert_eq!(read, "x".to_owned() + &"ä".repeat(TEXT / 2 - 1));
    }

    #[test]
    fn a_mark_whose_text_is_not_there_yet_has_its_reason() {
        let mark = Mark::none();
        mark.state.store(Unfit::TooLarge as u32, Ordering::Relaxed);
        mark.text[0].store(b'x', Ordering::Relaxed);
        let read = mark.read().unwrap();
        assert_eq!(read, "a variable is too large and changes");
    }

    #[test]
    fn whatever_bytes_are_there_can_be_shown() {
        for (bytes, shown) in [
            (&b"\x1b[2J\n\x07%x"[..], "?[2J??%x"),
            (b"%\xff\xfe", "%\u{fffd}\u{fffd}"),
            ("%\u{202e}x".as_bytes(), "%?x"),
        ] {
            let mark = Mark::none();
            for (place, byte) in mark.text.iter().zip(bytes) {
                place.store(*byte, Ordering::Relaxed);
            }
            mark.state.store(200 | WRITTEN, Ordering::Relaxed);
            assert_eq!(mark.read().unwrap(), shown);
        }
        let mark = Mark::none();
        mark.state.store(u32::MAX, Ordering::Relaxed);
        for place in &mark.text {
            place.store(0xc3, Ordering::Relaxed);
        }
        assert_eq!(mark.read().unwrap().chars().count(), TEXT);
    }

    #[test]
    fn marks_of_processes_at_the_same_time_do_not_mix() {
        for _ in 0..200 {
            let mark = Mark::none();
            std::thread::scope(|scope| {
                scope.spawn(|| mark.write(Unfit::Tied, &"a".repeat(TEXT)));
                scope.spawn(|| mark.write(Unfit::Magical, &"b".repeat(TEXT)));
            });
            let one = Unfit::Tied.reason(&"a".repeat(TEXT));
            let other = Unfit::Magical.reason(&"b".repeat(TEXT));
            let read = mark.read().unwrap();
            assert!(read == one || read == other, "{read}");
        }
    }

    #[test]
    fn a_bit_that_is_set_is_a_change_once() {
        let unshared: Unshared<2> = Unshared::none();
        for plugin in [0, 127, 127, 128, u16::MAX] {
            unshared.set(plugin);
        }
        assert_eq!(unshared.changes(), 2);
        let set = (0..200).filter(|plugin| unshared.has(*plugin));
        assert_eq!(set.collect::<Vec<u16>>(), [0, 127]);
    }
}
