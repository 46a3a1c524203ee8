//! How long a connection with one message takes where a hundred clients come at a time, each with one connection
//! after the other and a pause between them, so that the machine has time for all: the client's time, from
//! connect() to the server's close.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::client;
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load::{self, Outcome, Times};
use crate::options::Options;
use crate::site::Site;

const SMALL: usize = 2 * 1024;
const AT_ONCE: usize = 100;
/// Between two connections of a client; the clients begin at equal distances within it.
const PAUSE: Duration = Duration::from_secs(1);

pub fn section(site: &Site, kinds: &[Kind], options: &Options) -> Result<String> {
    load::need_files(AT_ONCE + 100)?;
    let mut text = String::from(
        "| server | median ms | p99 | longest | connections a second |\n|---|---:|---:|---:|---:|\n",
    );
    let message: Arc<[u8]> = client::message(SMALL).into();
    for &kind in kinds.iter().filter(|kind| **kind != Kind::Prefork) {
        eprintln!("bench: {AT_ONCE} clients at a time on {}", kind.name());
        let setup = Setup::for_connections(AT_ONCE + 10);
        let daemon = Daemon::start(kind, site, &site.of(kind), &setup)?;
        let port = daemon.port;
        let sessions = |each: usize| {
            let message = message.clone();
            load::run(load::for_each(0..AT_ONCE, AT_ONCE, move |number| {
                client_of(port, number, each, message.clone())
            }))
        };
        sessions(1).map_err(|error| daemon.explain(error))?;
        let start = Instant::now();
        let each = options.latency.div_ceil(AT_ONCE);
        let all = sessions(each).map_err(|error| daemon.explain(error))?;
        let all: Vec<Duration> = all.into_iter().flatten().collect();
        let took = start.elapsed();
        let rate = all.len() as f64 / took.as_secs_f64();
        let mut times = Times::default();
        all.into_iter().for_each(|time| times.add(time));
        let shown = |share| match times.rank(share) {
            Some(time) => format!("{:.1}", time.as_secs_f64() * 1e3),
            None => String::from("–"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {rate:.0} |",
            kind.name(),
            shown(0.5),
            shown(0.99),
            shown(1.0)
        );
    }
    text += &format!(
        "\n{AT_ONCE} clients on the same machine, each with a pause of {PAUSE:?} between two connections; {} \
         connections in all.\n",
        options.latency
    );
    Ok(text)
}

/// One client: its connections, one after the other, and how long each took.
async fn client_of(
    port: u16,
    number: usize,
    connections: usize,
    message: Arc<[u8]>,
) -> Outcome<Vec<Duration>> {
    let offset = PAUSE * u32::try_from(number).unwrap_or(0) / AT_ONCE as u32;
    tokio::time::sleep(offset).await;
    let mut times = Vec::new();
    for _ in 0..connections {
        let start = Instant::now();
        load::session(port, number, &message).await?;
        times.push(start.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times)
}
