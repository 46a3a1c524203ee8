//! The memory of workers: one that has grown is replaced when its sessions have ended, a plugin's call
//! that grows without end is interrupted, and a worker that grows all the same is killed. What its clients
//! are told then is placement's.
//!
//! Counted is what a worker has taken for itself since its fork: its anonymous pages less those that
//! its zygote had. The kernel keeps these numbers; asking for them walks no page tables and waits for
//! no lock that a worker holds.

#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Supervisor;
use super::quarantine::culprit;
use super::watching::named;
use crate::server::process::INTERRUPT;
use crate::server::service::settings::MemoryLimits;
use crate::watch::Reason;

/// How often all workers are looked at, and how often those in which a plugin runs.
const ALL: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_millis(250);
/// How often while one is above half of the hard limit: what grows quickly is to be caught in time.
const CLOSE: Duration = Duration::from_millis(20);

/// What an open session may take, in bytes, without its worker counting as grown: docs/limits.md has it stay
/// below that, and it gives it back.
const A_SESSION: u64 = 1 << 20;

#[derive(Default)]
pub(super) struct Memory {
    /// What a fresh worker has, by generation.
    fresh: HashMap<u64, u64>,
    /// Workers of which the log has told that they are replaced.
    replaced: HashSet<u64>,
    killed: HashSet<u64>,
    seen: HashMap<u64, Seen>,
    /// Nothing has run since the last look.
    quiet: bool,
    next: Option<Instant>,
    next_of_all: Option<Instant>,
}

/// What was seen of a worker at the last look.
#[derive(Default, Clone, Copy)]
struct Seen {
    /// The call that ran, by its serial; 0: none.
    call: u64,
    /// What the worker had taken at the look before that call was first seen.
    before: u64,
    taken: u64,
    /// The log has told that the call is interrupted.
    told: bool,
}

impl Seen {
    /// Another look: this call runs, and the worker has taken so much. Says by how much the call has let
    /// it grow.
    fn again(&mut self, call: u64, taken: u64) -> u64 {
        if call != self.call {
            *self = Seen {
                call,
                before: self.taken,
                ..Seen::default()
            };
        }
        self.taken = taken;
        taken.saturating_sub(self.before)
    }
}

impl Memory {
    /// A worker was forked just now.
    pub(super) fn forked(&mut self, generation: u64, pid: i32) {
        if !self.fresh.contains_key(&generation)
            && let Some(bytes) = anonymous(pid)
        {
            self.fresh.insert(generation, bytes);
        }
    }

    /// When to look next; after the last session has ended once more, for what it has left.
    pub(super) fn wake_at(&mut self, sessions: bool) -> Option<Instant> {
        if sessions {
            self.quiet = false;
        }
        match self.quiet {
            false => Some(*self.next.get_or_insert_with(|| Instant::now() + BUSY)),
            true => None,
        }
    }
}

impl Supervisor<'_> {
    /// Looks at the workers, if it is time to.
    pub(super) fn watch_memory(&mut self) {
        let MemoryLimits { replace, kill } = self.settings.memory;
        let now = Instant::now();
        let memory = &mut self.memory;
        if memory.next.is_none_or(|next| next > now) {
            return;
        }
        memory.next = None;
        memory.quiet = self.sessions.is_empty();
        if replace == 0 && kill == 0 {
            return;
        }
        let all = memory.quiet || memory.next_of_all.is_none_or(|next| next <= now);
        if all {
            memory.next_of_all = Some(now + ALL);
            let (workers, generations) = (&self.workers, &self.generations);
            let lives = |number: &u64| workers.iter().any(|(other, _)| other == *number);
            memory.replaced.retain(lives);
            memory.killed.retain(lives);
            memory.seen.retain(|number, _| lives(number));
            let used = |number: &u64, _: &mut u64| {
                generations.contains_key(number) || workers.of(*number) > 0
            };
            memory.fresh.retain(used);
        }
        let mut grown = HashSet::new();
        for (number, worker) in self.workers.iter() {
            let running = worker.page().running();
            if !all && running.is_empty() {
                continue;
            }
            let Some(bytes) = anonymous(worker.pid) else {
                continue;
            };
            let fresh = memory.fresh.get(&worker.generation).copied();
            let taken = bytes.saturating_sub(fresh.unwrap_or(0));
            let (pid, megabytes) = (worker.pid, taken >> 20);
            let call = culprit(&running);
            let seen = memory.seen.entry(number).or_default();
            let grown_in_call = seen.again(call.map_or(0, |call| call.serial), taken);
            if kill > 0 && taken > kill && memory.killed.insert(number) {
                worker.signal(Signal::KILL);
                self.counters.memory_killed += 1;
                let who = match call {
                    Some(call) => {
                        let (plugin, hook) = named(&worker.names, call.place);
                        format!("plugin {plugin} running the {hook} hook in worker {pid}")
                    }
                    None => format!("worker {pid}"),
                };
                tracing::error!(
                    "{who} has taken {megabytes} MiB, more than the {} of --worker-memory-max, \
                     killing the worker",
                    kill >> 20
                );
            }
            if memory.killed.contains(&number) {
                continue;
            }
            if kill > 0 && taken > kill / 2 && !running.is_empty() {
                memory.next = Some(now + CLOSE);
            }
            // Its neighbours in the worker are to go on.
            if let Some(call) = call.filter(|call| !call.place.native)
                && kill > 0
                && taken > kill / 4 * 3
                && grown_in_call > taken / 2
            {
                if !std::mem::replace(&mut seen.told, true) {
                    self.counters.memory_interrupted += 1;
                    let (plugin, hook) = named(&worker.names, call.place);
                    tracing::error!(
                        "plugin {plugin} running the {hook} hook in worker {pid} has taken {} MiB, and \
                         the worker comes near to the {} of --worker-memory-max, interrupting it",
                        grown_in_call >> 20,
                        kill >> 20
                    );
                }
                worker.page().interrupt(call.serial, Reason::Memory);
                worker.signal(INTERRUPT);
            }
            let of_sessions = A_SESSION.saturating_mul(worker.sessions.len() as u64);
            if replace > 0
                && taken > replace.saturating_add(of_sessions)
                && memory.replaced.insert(number)
            {
                grown.insert(pid);
                self.counters.memory_replaced += 1;
                tracing::info!(
                    "worker {pid} has taken {megabytes} MiB, more than the {} of --worker-memory: \
                     it is replaced when its sessions have ended",
                    replace >> 20
                );
            }
        }
        if !grown.is_empty() {
            self.workers
                .dismiss_all(false, |worker| grown.contains(&worker.pid));
        }
    }
}

/// A process's resident pages that no file backs.
fn anonymous(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages = not_of_files(&statm)?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

/// The second number, resident, less the third, those of them that files back.
fn not_of_files(statm: &str) -> Option<u64> {
    let mut numbers = statm.split_whitespace().skip(1).map(str::parse::<u64>);
    let resident = numbers.next()?.ok()?;
    Some(resident.saturating_sub(numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn counted_is_what_no_file_backs() {
        assert_eq!(not_of_files("100 25 10 1 0 20 0\n"), Some(15));
        assert_eq!(not_of_files("100 25"), None);
        assert_eq!(not_of_files("a b c"), None);
    }

    /// Of a process in which nobody else takes and gives back.
    fn taken_by(megabytes: usize) -> u64 {
        let mut child = Command::new("perl")
            .args([
                "-e",
                "my $taken = 'x' x ($ARGV[0] << 20); $| = 1; print qq{ready\n}; <STDIN>",
            ])
            .arg(megabytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        let taken = anonymous(i32::try_from(child.id()).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        taken.unwrap()
    }

    #[test]
    fn what_a_process_takes_is_seen() {
        assert!(taken_by(64) > taken_by(0) + (48 << 20));
    }
}
