//! Native plugins alone, which need no interpreter: what a connection, a message and a refused recipient cost
//! beside Perl's plugins and beside Haraka, and the memory of idle connections.

use crate::Result;
use crate::client::{self, Client};
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::options::Options;
use crate::site::Site;
use crate::turns::{Row, Unit, table};

const SMALL: usize = 2 * 1024;
/// Recipients that are refused in a connection.
const REFUSED: usize = 10;

pub fn section(site: &Site, kinds: &[Kind], options: &Options) -> Result<String> {
    let mut servers = Vec::new();
    for &kind in kinds.iter().filter(|kind| **kind != Kind::Prefork) {
        servers.push(Daemon::start(
            kind,
            site,
            &site.of(kind),
            &Setup::usual(options),
        )?);
    }
    let message = client::message(SMALL);
    let connection = |server: &Daemon| -> Result<Unit> {
        let (port, message) = (server.port, message.clone());
        Ok(Box::new(move || {
            let mut client = Client::connect(port)?;
            client.send_message(&message)?;
            client.quit()
        }))
    };
    let in_open = |server: &Daemon| -> Result<Unit> {
        let mut client = Client::connect(server.port)?;
        let message = message.clone();
        Ok(Box::new(move || client.send_message(&message)))
    };
    let refused = |server: &Daemon| -> Result<Unit> {
        let port = server.port;
        Ok(Box::new(move || {
            // More at a time, and Camelpost takes the client for one that tries out names.
            let mut client = Client::connect(port)?;
            (0..REFUSED).try_for_each(|_| client.be_refused_a_recipient())?;
            client.quit()
        }))
    };
    let rows = [
        Row {
            title: "connection with one 2 KiB message",
            count: options.connections,
            work: &connection,
        },
        Row {
            title: "2 KiB message in an open connection",
            count: options.messages,
            work: &in_open,
        },
        Row {
            title: "connection with ten refused recipients",
            count: options.refused.div_ceil(REFUSED),
            work: &refused,
        },
    ];
    let mut text = table(&servers, &rows, options.rounds, Kind::Native)?;
    text += "\nnative: Camelpost without an interpreter, every plugin of the list a native one. haraka: one process, \
             plugins access, relay, helo.checks, headers, tls, rcpt_to.in_host_list and queue/discard.\n";
    Ok(text)
}
