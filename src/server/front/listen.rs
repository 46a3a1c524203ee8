//! Listening sockets: addresses as the command line gives them, bind early, listen late, accept
//! within the limit on open connections.

#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::process;

/// Connections that the kernel completes before they are accepted.
pub(in crate::server) const BACKLOG: u16 = 4096;

/// An address to listen on; without a port, each `--port` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress {
    pub ip: IpAddr,
    pub port: Option<u16>,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(ListenAddress {
                ip: address.ip(),
                port: Some(address.port()),
            });
        }
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        match inner.unwrap_or(text).parse() {
            Ok(ip) => Ok(ListenAddress { ip, port: None }),
            Err(_) => Err(format!(
                "`{text}` is not an IP address with or without a port, such as 192.0.2.1, \
                 192.0.2.1:25 or [2001:db8::1]:25"
            )),
        }
    }
}

/// A socket that is bound and does not listen yet.
#[derive(Debug)]
pub(in crate::server) struct Bound {
    socket: OwnedFd,
    address: SocketAddr,
    /// The service manager has it too, and will start a process for whoever waits there.
    is_kept: bool,
}

/// Binds every address with every port that it does not name itself; without addresses, all of
/// this machine.
pub(in crate::server) fn bind_all(
    addresses: &[ListenAddress],
    ports: &[u16],
) -> Result<Vec<Bound>, String> {
    let any = [ListenAddress {
        ip: any_address(),
        port: None,
    }];
    let addresses = if addresses.is_empty() {
        &any
    } else {
        addresses
    };
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        match address.port {
            Some(port) => all.push(SocketAddr::new(address.ip, port)),
            None => all.extend(ports.iter().map(|port| SocketAddr::new(address.ip, *port))),
        }
    }
    let mut seen = Vec::new();
    all.retain(|address| {
        let new = !seen.contains(address);
        seen.push(*address);
        new
    });
    let any_v4 = |port| all.contains(&SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    all.iter()
        .map(|address| {
            let socket = bind(*address, any_v4(address.port()))
                .map_err(|error| explain(*address, &error))?;
            // Port 0 takes a free one, which the log should name.
            let address = local_address(&socket).unwrap_or(*address);
            Ok(Bound {
                socket,
                address,
                is_kept: false,
            })
        })
        .collect()
}

/// `[::]` takes IPv4 too; a machine without IPv6 has only `0.0.0.0`.
fn any_address() -> IpAddr {
    match rustix::net::socket(AddressFamily::INET6, SocketType::STREAM, None) {
        Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

fn bind(address: SocketAddr, v4_has_its_own: bool) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if family == AddressFamily::INET6 {
        sockopt::set_ipv6_v6only(&socket, v4_has_its_own)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn explain(address: SocketAddr, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken: stop the program that listens there, or choose another --port"
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied: a port below 1024 needs root at the start, or choose another --port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: check --listen-address"
        }
        _ => {
            return format!(
                "cannot listen on {address}: {}",
                crate::config::reason(error)
            );
        }
    };
    format!("cannot listen on {address}: {hint}")
}

/// A client's connection, not yet a session. It counts toward the limit until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Connection {
    /// In blocking mode, as Perl and the programs of plugins need it.
    pub(in crate::server) socket: OwnedFd,
    pub(in crate::server) peer: SocketAddr,
    pub(in crate::server) local: SocketAddr,
    pub(in crate::server) permit: OwnedSemaphorePermit,
}

/// A socket that listens.
pub(in crate::server) struct Listener {
    socket: AsyncFd<OwnedFd>,
    pub(in crate::server) address: SocketAddr,
    is_kept: bool,
}

impl Bound {
    /// A TCP socket that was bound elsewhere.
    pub(in crate::server) fn adopt(socket: OwnedFd) -> Option<Bound> {
        let address = local_address(&socket)?;
        Some(Bound {
            socket,
            address,
            is_kept: false,
        })
    }

    /// The same for a socket that the service manager goes on listening on.
    pub(in crate::server) fn kept(self) -> Bound {
        Bound {
            is_kept: true,
            ..self
        }
    }

    pub(in crate::server) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen; needs a runtime.
    pub(in crate::server) fn listen(self) -> Result<Listener, String> {
        let (address, is_kept) = (self.address, self.is_kept);
        rustix::net::listen(&self.socket, BACKLOG.into())
            .map_err(io::Error::from)
            .and_then(|()| process::readiness(self.socket, Interest::READABLE))
            .map(|socket| Listener {
                socket,
                address,
                is_kept,
            })
            .map_err(|error| explain(address, &error))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

impl Listener {
    /// A client that waits in the kernel and that nobody will take when this socket is closed. To
    /// be called once nothing else accepts.
    pub(in crate::server) fn take_waiting(&self) -> Option<OwnedFd> {
        if self.is_kept {
            return None;
        }
        loop {
            let taken = rustix::net::accept_with(self.socket.get_ref(), SocketFlags::CLOEXEC);
            match taken.map_err(io::Error::from) {
                Ok(socket) => return Some(socket),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    }

    /// The next connection. Takes none while the limit is reached: they wait in the kernel.
    pub(in crate::server) async fn accept(&self, places: &Rc<Places>) -> Connection {
        loop {
            let Ok(mut ready) = self.socket.readable().await else {
                // The runtime is going down.
                return std::future::pending().await;
            };
            let permit = places.take().await;
            let taken = ready.try_io(|socket| {
                let (socket, peer) =
                    rustix::net::acceptfrom_with(socket.get_ref(), SocketFlags::CLOEXEC)?;
                Ok((socket, peer))
            });
            match taken {
                Ok(Ok((socket, peer))) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    // Without a peer's address the client is gone already.
                    if let (Some(peer), Some(local)) = (peer, local_address(&socket)) {
                        return Connection {
                            socket,
                            peer: canonical(peer),
                            local,
                            permit,
                        };
                    }
                }
                Ok(Err(error)) => {
                    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
                    if !matches!(
                        error.kind(),
                        ConnectionAborted | ConnectionReset | Interrupted
                    ) {
                        // Out of descriptors or memory: trying again at once would only spin.
                        tracing::error!("accept on {}: {error}", self.address);
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Err(_would_block) => {}
            }
        }
    }
}

fn local_address(socket: &OwnedFd) -> Option<SocketAddr> {
    let address = SocketAddr::try_from(rustix::net::getsockname(socket).ok()?).ok()?;
    Some(canonical(address))
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The places for open connections.
pub(in crate::server) struct Places {
    limit: u32,
    free: std::sync::Arc<Semaphore>,
}

impl Places {
    /// `limit` 0: any number.
    pub(in crate::server) fn new(limit: u32) -> Places {
        let places = match limit {
            0 => Semaphore::MAX_PERMITS,
            limit => usize::try_from(limit)
                .unwrap_or(usize::MAX)
                .min(Semaphore::MAX_PERMITS),
        };
        Places {
            limit,
            free: std::sync::Arc::new(Semaphore::new(places)),
        }
    }

    /// Whether so many listeners may soon wait for one: each takes a place before its next client
    /// comes.
    pub(in crate::server) fn are_few(&self, listeners: usize) -> bool {
        self.free.available_permits() <= listeners
    }

    async fn take(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = self.free.clone().try_acquire_owned() {
                return permit;
            }
            let limit = self.limit;
            tracing::info!(target: crate::base::log::SERVICE, "Too many connections: {limit} >= {limit}.  Waiting one second.");
            let wait = Duration::from_secs(1);
            // A place that becomes free is taken at once; the line comes again each second.
            if let Ok(Ok(permit)) =
                tokio::time::timeout(wait, self.free.clone().acquire_owned()).await
            {
                return permit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_port() {
        let parse = |text: &str| text.parse::<ListenAddress>();
        let v6: IpAddr = "::1".parse().unwrap();
        assert_eq!(parse("::1"), Ok(ListenAddress { ip: v6, port: None }));
        assert_eq!(parse("[::1]"), Ok(ListenAddress { ip: v6, port: None }));
        assert_eq!(
            parse("[::1]:25"),
            Ok(ListenAddress {
                ip: v6,
                port: Some(25)
            })
        );
        assert_eq!(parse("127.0.0.1:25").unwrap().port, Some(25));
        assert!(
            parse("localhost")
                .unwrap_err()
                .contains("is not an IP address")
        );
    }

    #[test]
    fn each_address_is_bound_once_with_each_port() {
        let ip: IpAddr = "127.0.0.1".parse().unwrap();
        let free = bind_all(&[ListenAddress { ip, port: Some(0) }], &[]).unwrap();
        let port = free[0].address.port();
        drop(free);
        let twice = ListenAddress { ip, port: None };
        let bound = bind_all(&[twice, twice], &[port, port]).unwrap();
        assert_eq!(bound.len(), 1);
    }

    #[test]
    fn a_taken_port_is_explained() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let wanted = ListenAddress {
            ip: address.ip(),
            port: Some(address.port()),
        };
        let problem = bind_all(&[wanted], &[]).unwrap_err();
        assert!(problem.starts_with(&format!("cannot listen on {address}: the port is taken")));
    }
}
