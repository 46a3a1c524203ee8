//! The CPU time and memory of a process tree, from /proc.
//!
//! Live processes count in nanoseconds (schedstat of each thread), ended ones
//! through what their parents have gathered of them (cutime and cstime, whole
//! clock ticks). A process whose parent has ended still belongs to the tree if
//! it was in it before or is in the daemon's process group; one that ends and is
//! reaped outside the tree is lost, which no server here lets happen.

use std::collections::HashSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;

/// Two looks at a tree, this far apart, have to agree for it to be quiet.
const QUIET_FOR: Duration = Duration::from_millis(25);
/// What an idle server may use meanwhile (timers).
const QUIET_NANOS: u64 = 300_000;
const QUIET_DEADLINE: Duration = Duration::from_secs(30);

pub struct Tree {
    root: u32,
    /// Every process ever seen in the tree, with its start time: pids come again.
    members: HashSet<(u32, u64)>,
    nanos_per_tick: u64,
}

/// One process as /proc/PID/stat shows it.
struct Process {
    pid: u32,
    state: u8,
    parent: u32,
    group: u32,
    started: u64,
    own_ticks: u64,
    reaped_ticks: u64,
}

struct Snapshot {
    nanos: u64,
    processes: usize,
    busy: bool,
}

impl Tree {
    pub fn of(root: u32) -> Self {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        Self {
            root,
            members: HashSet::new(),
            nanos_per_tick: 1_000_000_000 / ticks,
        }
    }

    /// The CPU time used so far, in nanoseconds, once nothing runs any more.
    pub fn quiet_nanos(&mut self) -> Result<u64> {
        let deadline = Instant::now() + QUIET_DEADLINE;
        let mut before = self.snapshot()?;
        loop {
            sleep(QUIET_FOR);
            let now = self.snapshot()?;
            if !now.busy
                && now.processes == before.processes
                && now.nanos.saturating_sub(before.nanos) < QUIET_NANOS
            {
                return Ok(now.nanos);
            }
            if Instant::now() > deadline {
                return Err(format!("process {} did not come to rest", self.root).into());
            }
            before = now;
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let tree = self.processes()?;
        let mut snapshot = Snapshot {
            nanos: 0,
            processes: tree.len(),
            busy: false,
        };
        for process in &tree {
            let own = process.own_ticks * self.nanos_per_tick;
            // Threads that have ended are in the ticks only.
            snapshot.nanos += scheduled_nanos(process.pid).max(own);
            snapshot.nanos += process.reaped_ticks * self.nanos_per_tick;
            snapshot.busy |= process.state != b'S';
        }
        Ok(snapshot)
    }

    fn processes(&mut self) -> Result<Vec<Process>> {
        let mut rest: Vec<Process> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(read_stat)
            .collect();
        let mut tree: Vec<Process> = Vec::new();
        loop {
            let is_in = |process: &Process| {
                process.pid == self.root
                    || process.group == self.root
                    || self.members.contains(&(process.pid, process.started))
                    || tree.iter().any(|parent| parent.pid == process.parent)
            };
            let (found, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_in);
            rest = others;
            if found.is_empty() {
                break;
            }
            tree.extend(found);
        }
        self.members
            .extend(tree.iter().map(|process| (process.pid, process.started)));
        Ok(tree)
    }

    /// Every process of the tree that is there now.
    pub fn pids(&mut self) -> Result<Vec<u32>> {
        Ok(self
            .processes()?
            .iter()
            .map(|process| process.pid)
            .collect())
    }

    /// The private memory in KiB of the process that does the work: of those
    /// without children, the one that has used the most CPU.
    pub fn worker_private_kib(&mut self) -> Result<u64> {
        let tree = self.processes()?;
        let mut workers: Vec<_> = tree
            .iter()
            .filter(|process| tree.iter().all(|other| other.parent != process.pid))
            .collect();
        workers.sort_by_key(|process| std::cmp::Reverse(scheduled_nanos(process.pid)));
        let worker = workers.first().ok_or("no process is left")?;
        // The figure is of a worker that did all the work, or it says nothing.
        let all: u64 = workers
            .iter()
            .map(|process| scheduled_nanos(process.pid))
            .sum();
        if scheduled_nanos(worker.pid) * 100 < all * 95 {
            return Err("the messages were spread over several workers".into());
        }
        let path = format!("/proc/{}/smaps_rollup", worker.pid);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let kib = text
            .lines()
            .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .sum();
        Ok(kib)
    }

    /// How much memory the whole tree takes in KiB: a page that several processes share is counted
    /// once in all (PSS).
    pub fn pss_kib(&mut self) -> Result<u64> {
        let mut kib = 0;
        for process in self.processes()? {
            // One that has just ended takes none.
            if let Ok(text) = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid)) {
                let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
                let number =
                    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
                kib += number.unwrap_or(0);
            }
        }
        match kib {
            0 => Err(format!(
                "cannot read the memory of process {}: start the bench as root",
                self.root
            )
            .into()),
            kib => Ok(kib),
        }
    }
}

fn read_stat(pid: u32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, blanks as well.
    let rest = text.get(text.rfind(')')? + 2..)?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: number(1)? as u32,
        group: number(2)? as u32,
        own_ticks: number(11)? + number(12)?,
        reaped_ticks: number(13)? + number(14)?,
        started: number(19)?,
    })
}

fn scheduled_nanos(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}
