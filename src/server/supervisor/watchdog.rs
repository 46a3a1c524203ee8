//! The watchdog: a plugin call that is over its time is interrupted, and when that does not help
//! its worker is killed. What the session makes of it is the worker's, or placement's when there
//! is no worker any more.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Supervisor;
use super::watching::named;
use crate::server::process::INTERRUPT;
use crate::watch::{Reason, Running, now};

/// How often the pages are looked at. An interrupt is repeated as often: a signal that comes just
/// before a system call does not end it.
const LOOK: Duration = Duration::from_millis(250);
/// How long an interrupted call may go on before its worker is killed.
const LAST: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Watchdog {
    next: Option<Instant>,
    /// The call of each worker, by its serial, of which the log tells already.
    told: HashMap<u64, (u64, Told)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Interrupted,
    Killed,
}

impl Watchdog {
    /// When to look next; not at all where no session is open.
    pub(super) fn wake_at(&mut self, sessions: bool) -> Option<Instant> {
        match sessions {
            true => Some(*self.next.get_or_insert_with(|| Instant::now() + LOOK)),
            false => None,
        }
    }
}

impl Supervisor<'_> {
    /// Looks at what runs, if it is time to.
    pub(super) fn watch_calls(&mut self) {
        if self.watchdog.next.is_none_or(|next| next > Instant::now()) {
            return;
        }
        self.watchdog.next = None;
        self.look_for_long();
        self.look_for_lost_lines();
        let (now, workers) = (now(), &self.workers);
        let told = &mut self.watchdog.told;
        let mut without_session = false;
        told.retain(|worker, _| workers.iter().any(|(number, _)| number == *worker));
        for (number, worker) in workers.iter() {
            // The outermost one: with it end all that it has called.
            let overdue = |call: &Running| Some((*call, call.overdue(now)?));
            let running = worker.page().running();
            let perl = |call: &&Running| !call.place.native;
            // A native plugin's ends by itself, as soon as no Perl code keeps it from that.
            let found = match running.iter().any(|call| perl(&call)) {
                true => running.iter().filter(perl).find_map(overdue),
                false => running.iter().find_map(overdue),
            };
            let Some((call, over)) = found else {
                continue;
            };
            let kill = over >= LAST;
            let now_told = match kill {
                true => Told::Killed,
                false => Told::Interrupted,
            };
            let tells = kill || !call.place.native;
            let told_now = Some((call.serial, now_told));
            if tells && told.insert(number, (call.serial, now_told)) != told_now {
                let (plugin, hook) = named(&worker.names, call.place);
                let (pid, age) = (worker.pid, call.age(now).as_secs());
                // The worker may have been given a session meanwhile.
                without_session |= call.session == 0;
                match now_told {
                    Told::Interrupted => tracing::error!(
                        "plugin {plugin} running the {hook} hook in worker {pid} is not done after \
                         {age} s, interrupting it"
                    ),
                    Told::Killed => tracing::error!(
                        "plugin {plugin} running the {hook} hook in worker {pid} is not done after \
                         {age} s and does not let itself be interrupted, killing the worker"
                    ),
                }
            }
            // Only now: what the worker says of it comes after.
            if kill {
                worker.signal(Signal::KILL);
            } else if !call.place.native {
                worker.page().interrupt(call.serial, Reason::Time);
                worker.signal(INTERRUPT);
            }
        }
        // A logging plugin that hangs with a line of the service would with the line about that.
        if without_session {
            self.relay.hangs();
        }
    }
}
