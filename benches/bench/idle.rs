//! What an idle connection costs in memory, and how long a new client waits meanwhile: thousands of
//! connections held after EHLO on one server, and one client after the other beside them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client;
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load::{self, Outcome, Talk, Times};
use crate::options::Options;
use crate::site::Site;

const SMALL: usize = 2 * 1024;
const WARM_UP_CONNECTIONS: usize = 20;
/// Clients that connect at the same time while the crowd comes in.
const AT_ONCE: usize = 32;
/// Processes that end and memory that is given back may take this long.
const SETTLING: Duration = Duration::from_millis(500);

/// What one server showed.
struct Idle {
    kind: Kind,
    connections: usize,
    processes: usize,
    kib_each: f64,
    kib_each_of_second_half: f64,
    greeted: Times,
    served: Times,
}

pub fn section(site: &Site, kinds: &[Kind], options: &Options) -> Result<String> {
    let mut text = String::from(
        "| connections held after EHLO | server | processes | PSS kB each | of the second half | \
         EHLO answered, median ms | p99 | longest | message taken, median ms | p99 | longest |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for &kind in kinds {
        let connections = match kind {
            kind if kind.is_original() => options.idle_original,
            _ => options.idle,
        };
        if connections < 2 {
            continue;
        }
        eprintln!("bench: {connections} idle connections of {}", kind.name());
        let seen = hold(site, kind, connections, options.tries)?;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} | {:.1} | {} | {} |",
            seen.connections,
            seen.kind.name(),
            seen.processes,
            seen.kib_each,
            seen.kib_each_of_second_half,
            ranks(&seen.greeted),
            ranks(&seen.served),
        );
    }
    text += &format!(
        "\nPSS of all processes of the server, what it had after {WARM_UP_CONNECTIONS} \
         connections taken off. The times are from connect() of {} further clients, one after the \
         other.\n",
        options.tries
    );
    Ok(text)
}

fn ranks(times: &Times) -> String {
    let shown = |share| match times.rank(share) {
        Some(time) => format!("{:.1}", time.as_secs_f64() * 1e3),
        None => String::from("–"),
    };
    format!("{} | {} | {}", shown(0.5), shown(0.99), shown(1.0))
}

fn hold(site: &Site, kind: Kind, connections: usize, tries: usize) -> Result<Idle> {
    load::need_files(connections + 100)?;
    // Clients of these tries come on top.
    let setup = Setup::for_connections(connections + 10);
    let daemon = Daemon::start(kind, site, &site.of(kind), &setup)?;
    let port = daemon.port;
    let message = client::message(SMALL);
    // Memory is read between the steps of the client, which waits meanwhile.
    let seen = load::run(async {
        for number in 0..WARM_UP_CONNECTIONS {
            load::session(port, number, &message).await?;
        }
        let before = settled(&daemon).await?;
        let half = connections / 2;
        let first = open(port, 0..half).await?;
        let between = settled(&daemon).await?;
        let second = open(port, half..connections).await?;
        let after = settled(&daemon).await?;
        let processes = daemon.processes().map_err(|error| error.to_string())?;
        let (mut greeted, mut served) = (Times::default(), Times::default());
        for number in 0..tries {
            let start = Instant::now();
            let mut talk = Talk::connect(port, number).await?;
            greeted.add(start.elapsed());
            talk.send_message(&message).await?;
            served.add(start.elapsed());
            talk.quit().await?;
        }
        drop((first, second));
        let each = |from: u64, to: u64, number: usize| (to as f64 - from as f64) / number as f64;
        Ok(Idle {
            kind,
            connections,
            processes,
            kib_each: each(before, after, connections),
            kib_each_of_second_half: each(between, after, connections - half),
            greeted,
            served,
        })
    });
    let seen = seen.map_err(|error| daemon.explain(error))?;
    drop(daemon);
    Ok(seen)
}

async fn open(port: u16, numbers: std::ops::Range<usize>) -> Outcome<Vec<Talk>> {
    load::for_each(numbers, AT_ONCE, |number| Talk::connect(port, number)).await
}

/// The server's memory once it has nothing to do.
async fn settled(daemon: &Daemon) -> Outcome<u64> {
    tokio::time::sleep(SETTLING).await;
    let quiet = daemon.cpu_nanos();
    let pss = quiet.and_then(|_| daemon.pss_kib());
    pss.map_err(|error| error.to_string())
}
