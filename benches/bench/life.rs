//! Whether a worker grows slower or larger with age: what a session costs at the first, and at the
//! 1000th, 10 000th … session of one and the same worker.

use std::fmt::Write as _;

use crate::Result;
use crate::client;
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load;
use crate::options::Options;
use crate::site::Site;

const SMALL: usize = 2 * 1024;
/// Sessions that one figure is the mean of; those before are the way there.
const BLOCK: usize = 200;

pub fn section(site: &Site, options: &Options) -> Result<String> {
    let mut setup = Setup::with_workers(1);
    // By default it would be replaced on the way.
    setup.more = ["--sessions-per-life", "4000000000"]
        .map(String::from)
        .into();
    let daemon = Daemon::start(Kind::Camelpost, site, &site.open, &setup)?;
    let mut text = String::from(
        "| sessions of one worker | CPU ms each | private memory afterwards |\n|---|---:|---:|\n",
    );
    let mut served = 0;
    for last in stations(options.sessions) {
        eprintln!("bench: session {last} of one worker");
        let before = last.saturating_sub(BLOCK).max(served);
        serve(&daemon, served..before)?;
        let start = daemon.cpu_nanos()?;
        serve(&daemon, before..last)?;
        let used = daemon.cpu_nanos()?.saturating_sub(start);
        served = last;
        // Fails if there was more than one.
        let kib = daemon.worker_private_kib()?;
        let _ = writeln!(
            text,
            "| {} to {last} | {:.3} | {:.1} MiB |",
            before + 1,
            used as f64 / 1e6 / (last - before) as f64,
            kib as f64 / 1024.0
        );
    }
    text += "\nOne client after the other, each with one 2 KiB message; the worker's replacement is \
             off.\n";
    drop(daemon);
    Ok(text)
}

/// The first block, then the powers of ten from 1000 on, and the last session of all.
fn stations(last: usize) -> Vec<usize> {
    let powers = (3..).map(|exponent| 10_usize.saturating_pow(exponent));
    let mut stations = vec![BLOCK.min(last)];
    stations.extend(powers.take_while(|power| *power < last));
    if last > BLOCK {
        stations.push(last);
    }
    stations
}

fn serve(daemon: &Daemon, numbers: std::ops::Range<usize>) -> Result<()> {
    let message = client::message(SMALL);
    load::run(async {
        for number in numbers {
            load::session(daemon.port, number, &message).await?;
        }
        Ok(())
    })
    .map_err(|error| daemon.explain(error))
}
