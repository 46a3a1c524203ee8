//! What TLS costs: a connection with STARTTLS and one message, and the memory of connections that are idle
//! behind STARTTLS.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Result;
use crate::client::{self, Client};
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::load;
use crate::options::Options;
use crate::site::Site;
use crate::turns::{Row, Unit, table};

const SMALL: usize = 2 * 1024;
const WARM_UP_CONNECTIONS: usize = 20;
/// Processes that end and memory that is given back may take this long.
const SETTLING: Duration = Duration::from_millis(500);

/// Those that can do it: prefork forks at STARTTLS no more than forkserver does, and costs the same.
pub fn section(site: &Site, kinds: &[Kind], options: &Options) -> Result<String> {
    let kinds: Vec<Kind> = kinds
        .iter()
        .copied()
        .filter(|kind| *kind != Kind::Prefork)
        .collect();
    let mut servers = Vec::new();
    for &kind in &kinds {
        servers.push(Daemon::start(
            kind,
            site,
            &site.tls(kind),
            &Setup::usual(options),
        )?);
    }
    let tls = client::tls()?;
    let message = client::message(SMALL);
    let one = |server: &Daemon| -> Result<Unit> {
        let (port, tls, message) = (server.port, tls.clone(), message.clone());
        Ok(Box::new(move || {
            let mut client = Client::secured(port, &tls)?;
            client.send_message(&message)?;
            client.quit()
        }))
    };
    let rows = [Row {
        title: "connection with STARTTLS and one 2 KiB message",
        count: options.secured,
        work: &one,
    }];
    let mut text = table(&servers, &rows, options.rounds, Kind::Camelpost)?;
    drop(servers);
    text += "\n| connections held behind STARTTLS | server | processes | PSS kB each |\n|---:|---|---:|---:|\n";
    for &kind in &kinds {
        let connections = match kind {
            Kind::Forkserver => options.idle_original.min(options.idle_secured),
            _ => options.idle_secured,
        };
        eprintln!(
            "bench: {connections} idle TLS connections of {}",
            kind.name()
        );
        let (processes, kib) = idle(site, kind, connections)?;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {connections} | {} | {processes} | {kib:.1} |",
            kind.name()
        );
    }
    text +=
        "\nOpenSSL on all sides, a certificate with an RSA key of 2048 bits, whole handshakes.\n";
    Ok(text)
}

/// Processes, and KiB for each connection.
fn idle(site: &Site, kind: Kind, connections: usize) -> Result<(usize, f64)> {
    load::need_files(connections + 100)?;
    let setup = Setup::for_connections(connections + 10);
    let server = Daemon::start(kind, site, &site.tls(kind), &setup)?;
    let tls = client::tls()?;
    let open = |count: usize| -> Result<Vec<Client>> {
        let all = (0..count).map(|_| Client::secured(server.port, &tls));
        all.collect::<Result<Vec<Client>>>()
            .map_err(|error| server.explain(error))
    };
    drop(open(WARM_UP_CONNECTIONS)?);
    let before = settled(&server)?;
    let held = open(connections)?;
    let after = settled(&server)?;
    let processes = server.processes()?;
    drop(held);
    Ok((
        processes,
        (after as f64 - before as f64) / connections.max(1) as f64,
    ))
}

fn settled(server: &Daemon) -> Result<u64> {
    std::thread::sleep(SETTLING);
    server.cpu_nanos()?;
    server.pss_kib()
}
