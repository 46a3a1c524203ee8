//! Clients that have hung up before it was their turn get no worker, so that thousands of them do not keep
//! the next client waiting. One now and then that finds a worker free is served as by the original: it
//! may have closed its own side only, and still read the greeting.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::{Client, Supervisor};
use crate::server::front::clients::has_hung_up;

/// How often those that wait further behind are looked at: each keeps a place of the connections that
/// may be open.
const LOOK_THROUGH: Duration = Duration::from_millis(250);

/// Of those that have hung up, one in so long a time is served all the same.
const NOW_AND_THEN: Duration = Duration::from_millis(100);

impl Supervisor<'_> {
    /// Lets go those at the front of the queue.
    pub(super) fn skip_hung_up(&mut self) {
        while let Some(client) = self.waiting.front()
            && is_gone(client)
        {
            let waited = client.waited || self.workers.idle() == 0;
            let lately = |at: Instant| at.elapsed() < NOW_AND_THEN;
            if !waited && !self.served_hung_up.is_some_and(lately) {
                self.served_hung_up = Some(Instant::now());
                return;
            }
            if let Some(client) = self.waiting.pop_front() {
                told(&client);
            }
        }
    }

    /// Lets go those that wait behind somebody else.
    pub(super) fn let_hung_up_go(&mut self) {
        if self.waiting.is_empty() || self.looked_through.elapsed() < LOOK_THROUGH {
            return;
        }
        self.looked_through = Instant::now();
        self.waiting.retain(|client| {
            let gone = is_gone(client);
            if gone {
                told(client);
            }
            !gone
        });
    }
}

fn is_gone(client: &Client) -> bool {
    has_hung_up(&client.connection.socket)
}

fn told(client: &Client) {
    let ip = client.connection.peer.ip();
    tracing::info!("{ip} hung up before its turn");
}
