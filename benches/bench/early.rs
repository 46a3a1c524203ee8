//! Debian's earlytalker, which waits a second in the connect hook, under clients that come at a steady
//! rate: how long they wait for the greeting, how many processes that takes, and whether those and
//! their memory go away again.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::Result;
use crate::client;
use crate::cpu::Tree;
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load::{self, Outcome, Talk, Times};
use crate::options::Options;
use crate::site::Site;

const SMALL: usize = 2 * 1024;
/// The figures of the last column are taken this long after the last client.
const AFTERWARDS: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Many more than can be open where clients are served in time.
const CONNECTIONS: usize = 2000;

struct Seen {
    greeted: Times,
    took: Duration,
    before: Footprint,
    most: Footprint,
    afterwards: Footprint,
}

#[derive(Clone, Copy)]
struct Footprint {
    processes: usize,
    kib: u64,
}

impl Footprint {
    fn of(tree: &mut Tree) -> Result<Self> {
        Ok(Self {
            processes: tree.pids()?.len(),
            kib: tree.pss_kib()?,
        })
    }

    fn shown(self) -> String {
        format!("{}, {:.0} MiB", self.processes, self.kib as f64 / 1024.0)
    }
}

/// Looks now and then, on a thread of its own, since reading memory takes the time of many
/// greetings; gives the most that it saw of each.
fn watch(root: u32, done: &AtomicBool) -> Footprint {
    let mut tree = Tree::of(root);
    let mut most = Footprint {
        processes: 0,
        kib: 0,
    };
    while !done.load(Ordering::Relaxed) {
        // It has not ended: somebody else would say so.
        if let Ok(now) = Footprint::of(&mut tree) {
            most.processes = most.processes.max(now.processes);
            most.kib = most.kib.max(now.kib);
        }
        thread::sleep(LOOK_EVERY);
    }
    most
}

pub fn section(site: &Site, kinds: &[Kind], options: &Options) -> Result<String> {
    let (rate, seconds) = (options.early_rate, options.early_seconds);
    let mut text = String::from(
        "| server | greeting, median ms | p99 | longest | until the last had quit, s | processes and \
         PSS before | most | 10 s afterwards |\n|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for &kind in kinds {
        if kind == Kind::Prefork {
            continue;
        }
        eprintln!(
            "bench: {rate} clients a second for {seconds} s behind earlytalker on {}",
            kind.name()
        );
        let seen = measure(site, kind, rate, seconds)?;
        let shown = |share| match seen.greeted.rank(share) {
            Some(time) => format!("{:.0}", time.as_secs_f64() * 1e3),
            None => String::from("–"),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.1} | {} | {} | {} |",
            kind.name(),
            shown(0.5),
            shown(0.99),
            shown(1.0),
            seen.took.as_secs_f64(),
            seen.before.shown(),
            seen.most.shown(),
            seen.afterwards.shown(),
        );
    }
    text += &format!(
        "\n{rate} clients a second for {seconds} s, at their times whether the others have been \
         served or not, each with one 2 KiB message; earlytalker waits 1 s before the greeting. \
         Camelpost with 32 workers.\n"
    );
    Ok(text)
}

fn measure(site: &Site, kind: Kind, rate: usize, seconds: usize) -> Result<Seen> {
    load::need_files(CONNECTIONS + 100)?;
    let mut setup = Setup::for_connections(CONNECTIONS);
    setup.workers = Some(32);
    let daemon = Daemon::start(kind, site, &site.early, &setup)?;
    let message: Arc<[u8]> = client::message(SMALL).into();
    let (port, root) = (daemon.port, daemon.pid());
    // The first client is served before the figures are taken.
    load::run(greeted(port, 0, message.clone())).map_err(|error| daemon.explain(error))?;
    let mut tree = Tree::of(root);
    let before = Footprint::of(&mut tree)?;
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (greeted, took, most) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(root, &done));
        let greeted = load::run(clients(port, rate, seconds, &message));
        let took = start.elapsed();
        done.store(true, Ordering::Relaxed);
        (greeted, took, watcher.join())
    });
    let greeted = greeted.map_err(|error| daemon.explain(error))?;
    let most = most.map_err(|_| "the thread that counts processes broke off")?;
    thread::sleep(AFTERWARDS);
    let afterwards = Footprint::of(&mut tree)?;
    drop(daemon);
    Ok(Seen {
        greeted,
        took,
        before,
        most,
        afterwards,
    })
}

/// One client after the other at its time, whether those before have been served or not.
async fn clients(port: u16, rate: usize, seconds: usize, message: &Arc<[u8]>) -> Outcome<Times> {
    let mut clients = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..rate * seconds {
        ticks.tick().await;
        clients.spawn(greeted(port, number, message.clone()));
    }
    let mut greeted = Times::default();
    while let Some(time) = clients.join_next().await {
        greeted.add(load::joined(time)?);
    }
    Ok(greeted)
}

/// A whole session; gives the time from connect() to the greeting.
async fn greeted(port: u16, number: usize, message: Arc<[u8]>) -> Outcome<Duration> {
    let start = Instant::now();
    let mut talk = Talk::open(port, number).await?;
    talk.greeting().await?;
    let time = start.elapsed();
    talk.hello().await?;
    talk.send_message(&message).await?;
    talk.quit().await?;
    Ok(time)
}
