//! What is done to the daemon while clients talk to it: workers and zygotes killed, the spool filled,
//! config and plugins loaded anew. Each on a thread of its own.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::client::World;
use crate::daemon::{Daemon, plugin_lines};
use camelpost_support::random::Random;

/// What all of it needs.
pub struct Chaos<'a> {
    pub daemon: &'a Daemon,
    pub world: &'a World,
    pub done: &'a AtomicBool,
}

impl Chaos<'_> {
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits; gives whether it should go on.
    fn pause(&self, random: &mut Random, milliseconds: std::ops::Range<usize>) -> bool {
        let end = Instant::now() + Duration::from_millis(random.within(milliseconds) as u64);
        while Instant::now() < end {
            if self.is_done() {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        !self.is_done()
    }

    /// Kills a worker now and then, in one way or another.
    pub fn kill_workers(&self, mut random: Random) {
        while self.pause(&mut random, 100..800) {
            let status = match self.daemon.status() {
                Ok(status) => status,
                Err(error) => {
                    self.world.violated(error);
                    continue;
                }
            };
            let workers = status["workers"].as_array();
            let pids: Vec<i32> = workers.into_iter().flatten().filter_map(pid_of).collect();
            if pids.is_empty() {
                self.world.saw("no worker to kill");
                continue;
            }
            let Some(pid) = Pid::from_raw(*random.of(&pids)) else {
                continue;
            };
            match random.within(0..10) {
                0..4 => self.hit(pid, Signal::KILL, "killed: KILL"),
                4..6 => self.hit(pid, Signal::SEGV, "killed: SEGV"),
                6 => self.hit(pid, Signal::ABORT, "killed: ABRT"),
                more => {
                    self.hit(pid, Signal::STOP, "stopped");
                    self.pause(&mut random, 300..2000);
                    match more {
                        7 => self.hit(pid, Signal::CONT, "stopped, continued"),
                        _ => self.hit(pid, Signal::KILL, "stopped, killed"),
                    }
                }
            }
        }
    }

    /// It may have ended by itself since it was listed.
    fn hit(&self, pid: Pid, signal: Signal, what: &str) {
        if kill_process(pid, signal).is_ok() {
            self.world.saw(what);
        }
    }

    /// Loads anew, by signal and by command, and sometimes what cannot be loaded.
    pub fn reload(&self, mut random: Random) {
        let plugins = self.daemon.path("config/plugins");
        let right = plugin_lines(self.daemon.dir.path());
        while self.pause(&mut random, 1000..4000) {
            match random.within(0..3) {
                0 => {
                    self.daemon.signal(Signal::HUP);
                    self.world.saw("reload by signal");
                }
                1 => self.reload_by_command(true),
                _ => {
                    fs::write(&plugins, format!("{right}soak_missing\n")).unwrap();
                    self.reload_by_command(false);
                    fs::write(&plugins, &right).unwrap();
                }
            }
        }
    }

    fn reload_by_command(&self, right: bool) {
        let output = self.daemon.command(&["reload"]);
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match (output.status.code(), right) {
            (Some(0), true) => self.world.saw("reload by command"),
            (Some(1), false) if said.contains("soak_missing") => {
                self.world.saw("reload of what is wrong");
            }
            (Some(1), _) if said.contains("already loading") => {
                self.world.saw("reload during another");
            }
            // The zygote that loaded was hit.
            (Some(1), _) => self.world.saw(format!("reload failed: {said}")),
            (status, _) => self.world.violated(format!("reload: {status:?}: {said}")),
        }
    }

    /// Takes the spool's space away for a while.
    pub fn fill_spool(&self, mut random: Random) {
        while self.daemon.has_small_file_system() && self.pause(&mut random, 1000..4000) {
            self.daemon.fill().unwrap();
            self.world.saw("spool filled");
            self.pause(&mut random, 500..3000);
            self.daemon.empty().unwrap();
        }
    }

    /// Kills what holds the plugins, rarely.
    pub fn kill_zygotes(&self, mut random: Random) {
        while self.pause(&mut random, 8000..15_000) {
            let zygotes = self.daemon.zygotes();
            if let Some(pid) = zygotes.first().and_then(|pid| Pid::from_raw(*pid)) {
                self.hit(pid, Signal::KILL, "zygote killed");
            }
        }
    }
}

fn pid_of(worker: &Value) -> Option<i32> {
    i32::try_from(worker["pid"].as_i64()?).ok()
}
