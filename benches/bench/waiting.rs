//! Clients that wait in native/earlytalker: how many processes and how much memory they take, and how much later
//! than it should a further client gets its greeting.

use std::time::{Duration, Instant};

use crate::Result;
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load::{self, Outcome, Talk, Times};
use crate::options::Options;
use crate::site::{EARLY_SECONDS, Site};

const AT_ONCE: usize = 64;
/// Further clients, while the others wait.
const TRIES: usize = 100;
const SETTLING: Duration = Duration::from_millis(500);

pub fn section(site: &Site, options: &Options) -> Result<String> {
    let clients = options.waiting;
    eprintln!("bench: {clients} clients in native/earlytalker");
    load::need_files(clients + TRIES + 100)?;
    let setup = Setup::for_connections(clients + TRIES + 10);
    let daemon = Daemon::start(Kind::Native, site, &site.waiting, &setup)?;
    let port = daemon.port;
    let wait = Duration::from_secs(EARLY_SECONDS);
    let seen = load::run(async {
        let before = daemon.pss_kib().map_err(|error| error.to_string())?;
        let start = Instant::now();
        let open = load::for_each(0..clients, AT_ONCE, |number| Talk::open(port, number)).await?;
        let opened = start.elapsed();
        tokio::time::sleep(SETTLING).await;
        let pss = daemon.pss_kib().map_err(|error| error.to_string())?;
        let processes = daemon.processes().map_err(|error| error.to_string())?;
        let tries = load::for_each(0..TRIES, TRIES, |number| greeted(port, number)).await?;
        if start.elapsed() < wait {
            return Err(format!("the first were greeted before {wait:?} had passed"));
        }
        drop(open);
        Ok((opened, pss.saturating_sub(before), processes, tries))
    });
    let (opened, pss, processes, tries) = seen.map_err(|error| daemon.explain(error))?;
    let mut late = Times::default();
    for time in tries {
        late.add(time.saturating_sub(wait));
    }
    let shown = |share| late.rank(share).unwrap_or_default().as_secs_f64() * 1e3;
    Ok(format!(
        "| clients in native/earlytalker | connected in s | processes | PSS kB each | further clients: later than \
         {EARLY_SECONDS} s by, median ms | p99 | longest |\n|---:|---:|---:|---:|---:|---:|---:|\n\
         | {clients} | {:.1} | {processes} | {:.1} | {:.1} | {:.1} | {:.1} |\n",
        opened.as_secs_f64(),
        pss as f64 / clients.max(1) as f64,
        shown(0.5),
        shown(0.99),
        shown(1.0),
    ))
}

/// The time from connect() to the greeting.
async fn greeted(port: u16, number: usize) -> Outcome<Duration> {
    let start = Instant::now();
    let mut talk = Talk::open(port, number).await?;
    talk.greeting().await?;
    Ok(start.elapsed())
}
