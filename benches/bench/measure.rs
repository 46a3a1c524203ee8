//! The work that is measured, and the samples it gives.

use std::time::Duration;

use crate::Result;
use crate::client::{self, Client};
use crate::daemon::{Daemon, Setup};
use crate::kind::Kind;
use crate::options::Options;
use crate::site::Site;

const SMALL: usize = 2 * 1024;
const LARGE: usize = 10 * 1024 * 1024;
const WARM_UP_CONNECTIONS: usize = 20;
const MESSAGES_PER_CONNECTION: usize = 10;

/// CPU milliseconds per unit of work, one sample a round.
#[derive(Default, Debug)]
pub struct Samples {
    pub connection: Vec<f64>,
    pub message: Vec<f64>,
    pub large: Vec<f64>,
    pub refused: Vec<f64>,
    pub refused_in_hook: Vec<f64>,
}

/// One server, started with each of the config directories of these rows.
pub struct Contestant {
    pub kind: Kind,
    open: Daemon,
    refusing: Daemon,
    refusing_in_hook: Daemon,
    pub samples: Samples,
}

impl Contestant {
    pub fn start(kind: Kind, site: &Site, options: &Options) -> Result<Self> {
        let setup = Setup::usual(options);
        let start = |config| Daemon::start(kind, site, config, &setup);
        Ok(Self {
            kind,
            open: start(&site.open)?,
            refusing: start(&site.refusing)?,
            refusing_in_hook: start(&site.refusing_in_hook)?,
            samples: Samples::default(),
        })
    }

    /// Ends its servers.
    pub fn stop(self) -> (Kind, Samples) {
        for daemon in [self.open, self.refusing, self.refusing_in_hook] {
            drop(daemon);
        }
        (self.kind, self.samples)
    }
}

pub struct Work {
    small: Vec<u8>,
    large: Vec<u8>,
    connections: usize,
    messages: usize,
    large_messages: usize,
    refused: usize,
}

impl Work {
    pub fn new(options: &Options) -> Self {
        Self {
            small: client::message(SMALL),
            large: client::message(LARGE),
            connections: options.connections,
            messages: options.messages,
            large_messages: options.large,
            refused: options.refused,
        }
    }

    /// What a server does only once is not part of the price of a message.
    pub fn warm_up(&self, contestant: &Contestant) -> Result<()> {
        for _ in 0..WARM_UP_CONNECTIONS {
            self.one_connection(&contestant.open)?;
            Client::be_refused(contestant.refusing.port)?;
            Client::be_refused(contestant.refusing_in_hook.port)?;
        }
        Ok(())
    }

    pub fn round(&self, contestant: &mut Contestant) -> Result<()> {
        let (open, samples) = (&contestant.open, &mut contestant.samples);
        self.turn(
            open,
            &contestant.refusing,
            &contestant.refusing_in_hook,
            samples,
        )
        .map_err(|error| open.explain(error))
    }

    fn turn(
        &self,
        open: &Daemon,
        refusing: &Daemon,
        refusing_in_hook: &Daemon,
        samples: &mut Samples,
    ) -> Result<()> {
        samples
            .connection
            .extend(cost(open, self.connections, || self.one_connection(open))?);
        let refused =
            |daemon: &Daemon| cost(daemon, self.refused, || Client::be_refused(daemon.port));
        samples.refused.extend(refused(refusing)?);
        samples.refused_in_hook.extend(refused(refusing_in_hook)?);

        let mut client = Client::connect(open.port)?;
        client.send_message(&self.small)?;
        let small = cost(open, self.messages, || client.send_message(&self.small))?;
        samples.message.extend(small);
        client.quit()?;

        // A connection of its own, so that a server which keeps what it has once
        // read is measured from the same start.
        let mut client = Client::connect(open.port)?;
        client.send_message(&self.small)?;
        let large = cost(open, self.large_messages, || {
            client.send_message(&self.large)
        })?;
        samples.large.extend(large);
        client.quit()
    }

    fn one_connection(&self, daemon: &Daemon) -> Result<()> {
        let mut client = Client::connect(daemon.port)?;
        client.send_message(&self.small)?;
        client.quit()
    }
}

/// CPU milliseconds of the server for each of `count` times `work`.
pub fn cost(
    daemon: &Daemon,
    count: usize,
    mut work: impl FnMut() -> Result<()>,
) -> Result<Option<f64>> {
    if count == 0 {
        return Ok(None);
    }
    let before = daemon.cpu_nanos()?;
    for _ in 0..count {
        work()?;
    }
    let used = daemon.cpu_nanos()?.saturating_sub(before);
    Ok(Some(used as f64 / 1e6 / count as f64))
}

/// The private memory in KiB of Camelpost's only worker after so many messages.
pub fn worker_memory(site: &Site, work: &Work, messages: usize) -> Result<u64> {
    let daemon = Daemon::start(Kind::Camelpost, site, &site.open, &Setup::with_workers(1))?;
    let mut sent = 0;
    while sent < messages {
        let mut client = Client::connect(daemon.port)?;
        for _ in 0..MESSAGES_PER_CONNECTION.min(messages - sent) {
            client
                .send_message(&work.small)
                .map_err(|error| daemon.explain(error))?;
            sent += 1;
        }
        client.quit()?;
        // Until the supervisor knows that the worker is idle, it would start another.
        std::thread::sleep(Duration::from_millis(5));
    }
    daemon.cpu_nanos()?;
    let kib = daemon.worker_private_kib()?;
    drop(daemon);
    Ok(kib)
}

pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted.get(middle - 1)? + upper) / 2.0)
}
