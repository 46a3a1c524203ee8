//! What a connection costs with 10, 100 and 1000 of them at a time: all connect, then all send their
//! message, then all quit, so that each waits for the others with its session open.

use std::sync::Arc;

use crate::Result;
use crate::client;
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load::{self, Outcome, Talk};
use crate::measure::median;
use crate::options::Options;
use crate::site::Site;

const SMALL: usize = 2 * 1024;
/// Connections that are made at the same time; all of the crowd are open afterwards.
const CONNECTING: usize = 64;
/// Of one sample, at least: a small crowd comes several times.
const CONNECTIONS: usize = 200;
/// The forkserver takes half a minute of CPU for three samples of a thousand.
const ROUNDS: usize = 3;

pub fn section(site: &Site, kinds: &[Kind], options: &Options) -> Result<String> {
    let most = options.crowd.iter().copied().max().unwrap_or(0);
    load::need_files(most + 100)?;
    let setup = Setup::for_connections(most + 10);
    let mut servers = Vec::new();
    for &kind in kinds {
        // It has a process for each child, busy or not, from the start: another thing.
        if kind != Kind::Prefork {
            servers.push(Daemon::start(kind, site, &site.open, &setup)?);
        }
    }
    let message: Arc<[u8]> = client::message(SMALL).into();
    // By crowd, then by server.
    let mut samples = vec![vec![Vec::new(); servers.len()]; options.crowd.len()];
    for (crowd, samples) in options.crowd.iter().zip(&mut samples) {
        eprintln!("bench: {crowd} connections at a time");
        for daemon in &servers {
            // What is forked once is not part of the price.
            wave(daemon, *crowd, &message)?;
        }
        for _ in 0..ROUNDS {
            for (daemon, samples) in servers.iter().zip(samples.iter_mut()) {
                samples.push(cost(daemon, *crowd, &message)?);
            }
        }
    }

    let mut text = String::from("| CPU ms per connection with one 2 KiB message |");
    let mut rule = String::from("|---|");
    for daemon in &servers {
        text += &format!(" {} |", daemon.kind().name());
        rule += "---:|";
    }
    text += &format!("\n{rule}\n");
    for (crowd, samples) in options.crowd.iter().zip(&samples) {
        text += &format!("| {crowd} at a time |");
        for samples in samples {
            text += &match median(samples) {
                Some(value) => format!(" {value:.2} |"),
                None => String::from(" – |"),
            };
        }
        text.push('\n');
    }
    text += &format!(
        "\nMedians of {ROUNDS} samples in turns, after one crowd to warm up. All of a crowd are \
         connected before the first sends its message, and none quits before the last has sent it.\n"
    );
    for daemon in servers {
        drop(daemon);
    }
    Ok(text)
}

fn cost(daemon: &Daemon, crowd: usize, message: &Arc<[u8]>) -> Result<f64> {
    let waves = CONNECTIONS.div_ceil(crowd).max(1);
    let before = daemon.cpu_nanos()?;
    for _ in 0..waves {
        wave(daemon, crowd, message)?;
    }
    let used = daemon.cpu_nanos()?.saturating_sub(before);
    Ok(used as f64 / 1e6 / (waves * crowd) as f64)
}

fn wave(daemon: &Daemon, crowd: usize, message: &Arc<[u8]>) -> Result<()> {
    let port = daemon.port;
    load::run(async {
        let open = load::for_each(0..crowd, CONNECTING, |number| Talk::connect(port, number));
        let open = open.await?;
        let sent = load::for_each(open, crowd, |talk| send(talk, message.clone()));
        let sent = sent.await?;
        load::for_each(sent, crowd, Talk::quit).await
    })
    .map_err(|error| daemon.explain(error))?;
    Ok(())
}

async fn send(mut talk: Talk, message: Arc<[u8]>) -> Outcome<Talk> {
    talk.send_message(&message).await?;
    Ok(talk)
}
