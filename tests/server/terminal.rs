//! A terminal of the tests' own: what a program in it paints, and whether it leaves it as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::daemon::{until, wait};

/// With this argument the test program takes the terminal, and panics.
pub const PANIC: &str = "panic-on-the-terminal";

pub struct Terminal {
    pub child: Child,
    master: Option<Arc<File>>,
    /// Keeps the terminal's settings when the program has ended.
    end: OwnedFd,
    before: Termios,
    painted: Arc<Mutex<Vec<u8>>>,
}

const ROWS: u16 = 30;
const COLUMNS: u16 = 120;

impl Terminal {
    /// Runs this command in it.
    pub fn run(mut command: Command) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let master = master.unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let end = rustix::fs::open(&name, flags, Mode::empty()).unwrap();
        tcsetwinsize(&end, size(ROWS, COLUMNS)).unwrap();
        let before = tcgetattr(&end).unwrap();
        let again = || end.try_clone().unwrap();
        let child = command
            .env("TERM", "xterm-256color")
            .stdin(again())
            .stdout(again())
            .stderr(again())
            .spawn()
            .unwrap();
        let master = Arc::new(File::from(master));
        let painted = Arc::new(Mutex::new(Vec::new()));
        let (from, to) = (Arc::downgrade(&master), painted.clone());
        thread::spawn(move || {
            while let Some(master) = from.upgrade() {
                read_some(&master, &to);
            }
        });
        Terminal {
            child,
            master: Some(master),
            end,
            before,
            painted,
        }
    }

    pub fn press(&mut self, keys: &str) {
        let mut master: &File = self.master.as_ref().unwrap();
        master.write_all(keys.as_bytes()).unwrap();
    }

    /// Has another size from now on; 0 by 0 is what a terminal has that nobody has told.
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.end, size(rows, columns)).unwrap();
    }

    /// What was sent from here on is what counts for `seen`.
    pub fn forget(&self) {
        self.painted.lock().unwrap().clear();
    }

    /// As when its window is closed.
    pub fn hang_up(&mut self) {
        let master = Arc::downgrade(&self.master.take().unwrap());
        // The reader may have it for a moment yet.
        until("nobody has it", || master.strong_count() == 0);
    }

    /// Everything that was sent to it.
    pub fn sent(&self) -> String {
        String::from_utf8_lossy(&self.painted.lock().unwrap()).into_owned()
    }

    /// The lines that a person sees, as far as `top` needs it: text, moves, and clearing all.
    pub fn seen(&self) -> String {
        let mut screen = vec![vec![' '; COLUMNS.into()]; ROWS.into()];
        let (mut row, mut column) = (0, 0);
        let sent = self.sent();
        let mut rest = sent.chars();
        while let Some(next) = rest.next() {
            match next {
                '\x1b' => {
                    let mut parameters = String::new();
                    let last = rest.by_ref().skip_while(|one| *one == '[').find(|one| {
                        parameters.push(*one);
                        one.is_ascii_alphabetic()
                    });
                    parameters.pop();
                    let mut numbers = parameters.split(';').map(|one| one.parse().unwrap_or(1));
                    match last {
                        Some('H') => {
                            row = numbers.next().unwrap_or(1) - 1;
                            column = numbers.next().unwrap_or(1) - 1;
                        }
                        Some('J') => screen.iter_mut().for_each(|line| line.fill(' ')),
                        _ => {}
                    }
                }
                '\r' => column = 0,
                '\n' => row += 1,
                other => {
                    if let Some(place) = screen.get_mut(row).and_then(|line| line.get_mut(column)) {
                        *place = other;
                    }
                    column += 1;
                }
            }
        }
        let lines = screen.into_iter().map(String::from_iter);
        lines
            .map(|line: String| line.trim_end().to_owned() + "\n")
            .collect()
    }

    /// Waits until this is seen.
    pub fn shows(&self, text: &str) {
        // The panic of a wait in vain says only what was waited for.
        let seen = || self.seen().contains(text);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(text, seen)));
        assert!(outcome.is_ok(), "no {text:?} in\n{}", self.seen());
    }

    /// Waits for the program's end; everything is as before it then.
    pub fn is_given_back(&mut self) -> ExitStatus {
        let status = wait(&mut self.child);
        for undone in ["\x1b[?1049l", "\x1b[?25h"] {
            until("the terminal is told", || self.sent().contains(undone));
        }
        let now = tcgetattr(&self.end).unwrap();
        assert!(
            now.local_modes
                .contains(LocalModes::ECHO | LocalModes::ICANON)
        );
        assert_eq!(now.local_modes, self.before.local_modes);
        assert_eq!(now.input_modes, self.before.input_modes);
        assert_eq!(now.output_modes, self.before.output_modes);
        status
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// What comes within a moment.
fn read_some(mut master: &File, to: &Mutex<Vec<u8>>) {
    let mut wanted = [PollFd::new(master, PollFlags::IN)];
    let moment = Timespec {
        tv_sec: 0,
        tv_nsec: 5_000_000,
    };
    let mut buffer = [0; 4096];
    if poll(&mut wanted, Some(&moment)).is_ok_and(|ready| ready > 0)
        && let Ok(len) = master.read(&mut buffer)
    {
        to.lock().unwrap().extend_from_slice(&buffer[..len]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
