//! The service under load and under attack: many clients, workers killed at random, plugins that
//! misbehave in every way, a spool that runs full, reloads. At the end every acknowledged message has
//! been delivered once, and nothing is left over.
//!
//! `SOAK_SECONDS` says how long each load lasts (`make soak`: ten minutes), `SOAK_SEED` repeats the
//! choices of an earlier run.
#![allow(clippy::unwrap_used)]

mod chaos;
mod client;
mod daemon;
mod journal;
mod ledger;
mod plugins;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::chaos::Chaos;
use crate::client::World;
use crate::daemon::{Daemon, Footprint};
use crate::journal::Journal;
use crate::ledger::Fate;
use camelpost_support::random::Random;

const CLIENTS: usize = 60;
const SECONDS: u64 = 40;
/// The drain's own limit, and the processes' last words.
const ENDING: Duration = Duration::from_secs(30);
/// What the supervisor may have grown by.
const GROWTH_KIB: usize = 24 * 1024;
/// What it may hold beside what each worker takes.
const MORE_DESCRIPTORS: usize = 16;
const DESCRIPTORS_OF_A_WORKER: usize = 6;

/// One at a time: each takes all of the machine.
static ALONE: Mutex<()> = Mutex::new(());

/// Violations that are printed.
const SHOWN: usize = 50;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Signal,
    Command,
}

#[test]
fn nothing_acknowledged_is_lost_with_a_session_for_each_worker() {
    let options = ["--sessions-per-worker", "1", "--limit-connections", "50"];
    soak(&options, Ending::Signal);
}

#[test]
fn nothing_acknowledged_is_lost_where_sessions_share_workers() {
    soak(&["--workers", "4"], Ending::Command);
}

fn soak(options: &[&str], ending: Ending) {
    let _alone = ALONE.lock().unwrap_or_else(|error| error.into_inner());
    let seconds = number("SOAK_SECONDS").unwrap_or(SECONDS);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = number("SOAK_SEED").unwrap_or(clock.unwrap().subsec_nanos().into());
    let mut random = Random::new(seed);
    let mut daemon = Daemon::start(&[options, &["--drain-timeout", "10"]].concat());
    let spool_is = daemon.spool_is;
    eprintln!("SOAK_SEED={seed} SOAK_SECONDS={seconds} {options:?}, spool: {spool_is}");
    let world = Arc::new(World::new(daemon.address, random.within(0..1000)));
    let before = daemon.supervisor();

    let end = Instant::now() + Duration::from_secs(seconds);
    let ended = AtomicBool::new(false);
    let chaos = &Chaos {
        daemon: &daemon,
        world: &world,
        done: &ended,
    };
    thread::scope(|scope| {
        let [workers, reloads, spool, zygotes] = [(); 4].map(|()| random.branch());
        let threads = [
            scope.spawn(move || chaos.kill_workers(workers)),
            scope.spawn(move || chaos.reload(reloads)),
            scope.spawn(move || chaos.fill_spool(spool)),
            scope.spawn(move || chaos.kill_zygotes(zygotes)),
        ];
        let clients = scope.spawn(|| run_clients(&world, &mut random));
        thread::sleep(end.saturating_duration_since(Instant::now()));
        ended.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
        judge_supervisor(&daemon, &world, before);
        // No client comes any more; the sessions that are open are the drain's to end.
        world.stop.store(true, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(500));
        match ending {
            Ending::Signal => daemon.signal(Signal::TERM),
            Ending::Command => {
                let output = daemon.command(&["drain", "--limit", "10"]);
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr);
                    world.violated(format!("drain: {}", said.trim()));
                }
            }
        }
        clients.join().unwrap();
    });
    judge_end(&mut daemon, &world);
    judge_sink(&daemon, &world);
    report(&daemon, &world);
}

fn run_clients(world: &Arc<World>, random: &mut Random) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(client::client(world.clone(), random.branch()));
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    });
}

/// What the supervisor holds while clients are still there.
fn judge_supervisor(daemon: &Daemon, world: &World, before: Footprint) {
    let now = daemon.supervisor();
    let (workers, sessions) = match daemon.status() {
        Ok(status) => (
            status["workers"].as_array().map_or(0, Vec::len),
            status["open_sessions"].as_u64().unwrap_or(0) as usize,
        ),
        Err(error) => return world.violated(error),
    };
    eprintln!("supervisor: {before:?} before, {now:?} with {workers} workers, {sessions} sessions");
    let allowed =
        before.descriptors + MORE_DESCRIPTORS + CLIENTS + workers * DESCRIPTORS_OF_A_WORKER;
    if now.descriptors > allowed {
        world.violated(format!("{} descriptors in the supervisor", now.descriptors));
    }
    if now.kib > before.kib + GROWTH_KIB {
        world.violated(format!("the supervisor has grown to {} KiB", now.kib));
    }
}

/// What is there when the service has ended.
fn judge_end(daemon: &mut Daemon, world: &World) {
    match daemon.wait(ENDING) {
        Some(status) if status.success() => {}
        Some(status) => world.violated(format!("the daemon ended with {status}")),
        None => world.violated(format!("the daemon has not ended after {ENDING:?}")),
    }
    // Children of plugins may sleep for two seconds.
    let end = Instant::now() + ENDING;
    while !daemon.processes().is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
    }
    for process in daemon.processes() {
        world.violated(format!("process left: {process}"));
    }
    for file in daemon.spooled().unwrap() {
        world.violated(format!("file left in the spool: {file}"));
    }
    let log = daemon.log();
    for line in log.lines().filter(|line| line.contains("panicked at")) {
        world.violated(format!("in the log: {line}"));
    }
}

/// What was delivered, beside what the clients were told.
fn judge_sink(daemon: &Daemon, world: &World) {
    let mut delivered = Vec::new();
    for entry in fs::read_dir(daemon.path("sink")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".taken") {
            let id = name.split('.').next().unwrap().parse().unwrap();
            let text = fs::read_to_string(path).unwrap();
            // The server's own header line comes first.
            let own = text.find("X-Soak: ").unwrap_or(0);
            delivered.push((id, text[own..].to_owned()));
        }
    }
    let ledger = world.ledger.lock().unwrap();
    for wrong in ledger.audit(&delivered) {
        world.violated(wrong);
    }
    let journal = Journal::parse(&daemon.log());
    let delivered_ids = delivered.iter().map(|(id, _)| *id).collect();
    for wrong in journal.audit(&ledger, &delivered_ids) {
        world.violated(wrong);
    }
    eprintln!("log: {journal}");
    eprintln!("delivered: {}", delivered.len());
    for fate in [
        Fate::Acknowledged,
        Fate::InFlight,
        Fate::Refused,
        Fate::Unfinished,
    ] {
        eprintln!("{fate:?}: {}", ledger.count(fate));
    }
    if ledger.count(Fate::Acknowledged) == 0 {
        world.violated("no message was acknowledged at all".to_owned());
    }
}

fn report(daemon: &Daemon, world: &World) {
    for (what, times) in &*world.tally.lock().unwrap() {
        eprintln!("{times:7} {what}");
    }
    let violations = world.violations.lock().unwrap();
    if !violations.is_empty() {
        let log = daemon.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(200)..];
        match std::env::var("SOAK_LOG") {
            Ok(path) => fs::write(path, &log).unwrap(),
            Err(_) => eprintln!("{}", last.join("\n")),
        }
    }
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        violations[..violations.len().min(SHOWN)].join("\n")
    );
    for needed in ["killed: KILL", "spool filled", "reload by command"] {
        let there = world.tally.lock().unwrap().contains_key(needed);
        assert!(there || !daemon.has_small_file_system(), "never: {needed}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}
