//! Asks the daemon, again and again, in a thread of its own: an answer that takes its time keeps
//! nobody from quitting. A daemon that is gone is looked for until there is one again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::super::control::ControlOption;
use super::heard::{Event, Farewell, Heard};
use crate::server::{Command, Outcome, Status, ask};

/// How soon a daemon that is gone is looked for again.
const AGAIN: Duration = Duration::from_millis(300);

pub(super) struct Feed {
    place: ControlOption,
    /// Where the daemon was last time.
    path: Option<PathBuf>,
    interval: Duration,
}

/// The feed while it runs.
pub(super) struct Started(Arc<AtomicBool>);

impl Started {
    /// Whether the list of sessions is to be asked for: it may be long.
    pub(super) fn want_sessions(&self, wanted: bool) {
        self.0.store(wanted, Ordering::Relaxed);
    }
}

impl Feed {
    pub(super) fn new(place: &ControlOption, interval: Duration) -> Feed {
        Feed {
            place: place.clone(),
            path: None,
            interval,
        }
    }

    pub(super) fn look(&mut self, sessions: bool) -> Heard {
        let known = self.path.take();
        let mut status = self.ask_at(known.clone(), sessions);
        // After an upgrade the daemon may be another process, with another socket.
        if known.is_some() && status.is_err() {
            status = self.ask_at(None, sessions);
        }
        Heard {
            at: Instant::now(),
            status,
        }
    }

    fn ask_at(&mut self, path: Option<PathBuf>, sessions: bool) -> Result<Status, String> {
        let path = path.map_or_else(|| self.place.find(), Ok)?;
        let command = Command::Status {
            sessions,
            plugins: true,
            files: false,
            refusals: false,
        };
        match ask(&path, command)? {
            Outcome::Status(status) => {
                self.path = Some(path);
                Ok(*status)
            }
            Outcome::Failed { error } => Err(error),
            _ => Err("the daemon answered another question".to_owned()),
        }
    }

    /// Sends what is heard from now on, the next answer after one interval.
    pub(super) fn start(mut self, events: Sender<Event>) -> Started {
        let wants = Arc::new(AtomicBool::new(false));
        let sessions = wants.clone();
        thread::spawn(move || {
            let _farewell = Farewell(events.clone(), "the daemon is no more asked");
            let mut wait = self.interval;
            loop {
                thread::sleep(wait);
                let heard = self.look(sessions.load(Ordering::Relaxed));
                wait = match heard.status {
                    Ok(_) => self.interval,
                    Err(_) => self.interval.min(AGAIN),
                };
                if events.send(Event::Heard(Box::new(heard))).is_err() {
                    return;
                }
            }
        });
        Started(wants)
    }
}
