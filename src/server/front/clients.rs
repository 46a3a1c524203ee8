//! Clients as the supervisor sees them: how many come from one network, and the last words to
//! one whose session cannot go on.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;

use crate::server::process;

/// How long, and for how many bytes, a client that got its 421 is read from before its socket is
/// closed: closing with unread input would reset the connection and may take the reply with it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024;

/// One address; for IPv6 the /64, which is what one customer has at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::server) struct Network(IpAddr);

impl Network {
    pub(in crate::server) fn of(ip: IpAddr) -> Network {
        match ip {
            IpAddr::V4(_) => Network(ip),
            IpAddr::V6(v6) => Network(IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into())),
        }
    }
}

/// How many connections are open from each network.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Networks(Rc<RefCell<HashMap<Network, u32>>>);

/// One counted connection, until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Counted {
    networks: Networks,
    network: Network,
}

impl Networks {
    /// Counts one more, unless `limit` are open (0: any number).
    pub(in crate::server) fn enter(&self, ip: IpAddr, limit: u32) -> Option<Counted> {
        let network = Network::of(ip);
        let mut open = self.0.borrow_mut();
        let count = open.entry(network).or_insert(0);
        if limit > 0 && *count >= limit {
            return None;
        }
        *count += 1;
        Some(Counted {
            networks: self.clone(),
            network,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.networks.0.borrow_mut();
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// Writes a last reply without ever waiting for the client, and ends the connection.
pub(in crate::server) fn refuse(socket: &OwnedFd, reply: &str) {
    // A client that cannot be written to gets no reply; that is all the same to us.
    let _ = send(
        socket,
        reply.as_bytes(),
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    );
    let _ = shutdown(socket, Shutdown::Write);
}

/// Whether a client has closed its side and nothing that it said is still to be read: so no session of it
/// would have a command.
pub fn has_hung_up(socket: impl AsFd) -> bool {
    use rustix::io::Errno;
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match recv(socket, &mut [0; 1], peek) {
        Ok((got, _)) => got == 0,
        Err(error) => error != Errno::AGAIN && error != Errno::INTR,
    }
}

/// Reads away what a refused client still sends, for a short time. `held` is kept as long.
pub(in crate::server) async fn linger<T>(socket: OwnedFd, held: T) {
    let Ok(socket) = process::readiness(socket, Interest::READABLE) else {
        return;
    };
    let read_away = async {
        let mut left = LINGER_BYTES;
        let mut buffer = [0; 4096];
        while let Ok(mut ready) = socket.readable().await {
            let got = ready.try_io(|socket| {
                let (len, _) = recv(socket.get_ref(), &mut buffer, RecvFlags::DONTWAIT)?;
                Ok(len)
            });
            match got {
                Ok(Ok(len)) if len > 0 && len < left => left -= len,
                Ok(_) => break,
                Err(_would_block) => {}
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, read_away).await;
    drop(held);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_as_many_as_the_limit_and_again_when_one_ends() {
        let networks = Networks::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let first = networks.enter(ip, 2).unwrap();
        let _second = networks.enter(ip, 2).unwrap();
        assert!(networks.enter(ip, 2).is_none());
        assert!(networks.enter("192.0.2.2".parse().unwrap(), 2).is_some());
        drop(first);
        assert!(networks.enter(ip, 2).is_some());
        assert_eq!(networks.0.borrow().len(), 1);
    }

    #[test]
    fn addresses_of_one_ipv6_slash_64_count_together() {
        let networks = Networks::default();
        let _one = networks
            .enter("2001:db8:0:1::1".parse().unwrap(), 1)
            .unwrap();
        assert!(
            networks
                .enter("2001:db8:0:1:ffff::2".parse().unwrap(), 1)
                .is_none()
        );
        assert!(
            networks
                .enter("2001:db8:0:2::1".parse().unwrap(), 1)
                .is_some()
        );
    }

    #[test]
    fn who_has_closed_its_side_and_said_nothing_has_hung_up() {
        use std::io::Write;
        use std::os::unix::net::UnixStream;
        let pair = || UnixStream::pair().unwrap();
        let (ours, theirs) = pair();
        assert!(!has_hung_up(&ours));
        drop(theirs);
        assert!(has_hung_up(&ours));
        let (ours, mut theirs) = pair();
        theirs.write_all(b"QUIT\r\n").unwrap();
        drop(theirs);
        assert!(!has_hung_up(&ours), "it has said something");
    }

    #[test]
    fn zero_is_no_limit() {
        let networks = Networks::default();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let all: Vec<_> = (0..1000).map(|_| networks.enter(ip, 0)).collect();
        assert!(all.iter().all(Option::is_some));
    }
}
