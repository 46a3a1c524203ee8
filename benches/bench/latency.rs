//! How long a connection with one message takes where many clients come at a time, each as soon as the one
//! before has gone: the client's time, from connect() to the server's close.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use crate::Result;
use crate::client;
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load::{self, Times};
use crate::options::Options;
use crate::site::Site;

const SMALL: usize = 2 * 1024;
const AT_ONCE: usize = 100;

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
        let sessions = |count: usize| {
            let message = message.clone();
            load::run(load::for_each(0..count, AT_ONCE, move |number| {
                let message = message.clone();
                async move {
                    let start = Instant::now();
                    load::session(port, number, &message).await?;
                    Ok(start.elapsed())
                }
            }))
        };
        sessions(AT_ONCE * 2).map_err(|error| daemon.explain(error))?;
        let start = Instant::now();
        let all = sessions(options.latency).map_err(|error| daemon.explain(error))?;
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
        "\n{AT_ONCE} clients at a time on the same machine, {} connections each server. The clients take \
         one CPU of it.\n",
        options.latency
    );
    Ok(text)
}
