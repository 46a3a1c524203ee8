//! What `ps` shows of a process: its command line is written over in its own memory, without a system call. Perl's
//! `$0` is another text, which this neither reads nor changes.

#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use super::process;

/// No title is longer.
const LONGEST: usize = 128;

/// Words for the command line of a process that is to have a title, so that there is room for it.
pub const ROOM: &str = "................................................................";

/// What the title of a process begins with that was forked for a session.
pub const SESSION_TITLE: &str = "camelpost: session ";

/// Gives this process its title. What does not fit is left out; where there is no such memory, nothing happens.
pub fn set_title(title: &str) {
    static MEMORY: OnceLock<Option<&'static [AtomicU8]>> = OnceLock::new();
    if let Some(memory) = MEMORY.get_or_init(take) {
        write(memory, title.as_bytes());
    }
}

/// The memory, after its words were noted for those who ask for them later; all of it is free then.
fn take() -> Option<&'static [AtomicU8]> {
    crate::base::arguments();
    crate::base::program_path();
    let memory = process::argument_memory()?;
    let (last, rest) = memory.split_last()?;
    rest.iter()
        .for_each(|byte| byte.store(0, Ordering::Relaxed));
    // The kernel shows all of the memory, zeros too, unless its last byte is none: then it is a title, and ends
    // with the first zero.
    last.store(b'.', Ordering::Relaxed);
    Some(rest)
}

fn write(memory: &[AtomicU8], title: &[u8]) {
    let Some((_end, room)) = memory.split_last() else {
        return;
    };
    let title = title.iter().copied().chain(std::iter::repeat(0));
    for (byte, new) in room.iter().take(LONGEST).zip(title) {
        byte.store(new, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(size: usize) -> Vec<AtomicU8> {
        (0..size).map(|_| AtomicU8::new(0)).collect()
    }

    fn text(memory: &[AtomicU8]) -> String {
        let bytes = memory.iter().map(|byte| byte.load(Ordering::Relaxed));
        let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_shorter_title_leaves_nothing_of_a_longer_one() {
        let memory = memory(40);
        write(&memory, b"camelpost: worker (10 sessions)");
        write(&memory, b"camelpost: worker");
        assert_eq!(text(&memory), "camelpost: worker");
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_end_stays() {
        let memory = memory(10);
        write(&memory, b"camelpost: worker");
        assert_eq!(text(&memory), "camelpost");
        write(&[], b"x");
    }
}
