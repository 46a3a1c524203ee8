//! Listening sockets that a service manager has made (sd_listen_fds(3)), in place of those of the
//! command line, which may name them too but no others.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::fcntl_getfd;
use rustix::net::{SocketType, sockopt};

use super::listen::{Bound, ListenAddress};
use crate::server::process;

/// Variables that are for this process and none that it starts.
pub(in crate::server) const VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Takes the sockets that the environment speaks of; none if it speaks of none, or not to this
/// process. To be called once, before other descriptors are opened. The error is one line.
pub(in crate::server) fn take() -> Result<Vec<Bound>, String> {
    let variable = |name: &str| std::env::var(name).ok();
    let me = std::process::id().to_string();
    if variable("LISTEN_PID").as_deref() != Some(me.as_str()) {
        return Ok(Vec::new());
    }
    let Some(count) = variable("LISTEN_FDS") else {
        return Ok(Vec::new());
    };
    let Some(count) = count.parse::<u16>().ok().map(usize::from) else {
        return Err(format!(
            "LISTEN_FDS={count} is not a number of descriptors; what the service manager passes \
             cannot be used"
        ));
    };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let descriptors = process::inherited(count).map_err(|number| {
        format!("LISTEN_FDS={count}, but descriptor {number} is not open: check the .socket unit")
    })?;
    let mut all = Vec::with_capacity(descriptors.len());
    for (number, descriptor) in (process::FIRST_INHERITED..).zip(descriptors) {
        let bound = adopt(descriptor).map_err(|found| {
            let name = names.next().unwrap_or("unknown");
            format!(
                "descriptor {number} ({name}) from the service manager is {found}: the .socket \
                 unit may have ListenStream= with an address or a port, nothing else, and \
                 Accept=no"
            )
        })?;
        names.next();
        all.push(bound.kept());
    }
    Ok(all)
}

/// A socket that was bound by someone else; the error says what it is instead.
pub(in crate::server) fn adopt(descriptor: OwnedFd) -> Result<Bound, String> {
    match sockopt::socket_type(&descriptor) {
        Err(_) => return Err("not a socket".to_owned()),
        Ok(SocketType::STREAM) => {}
        Ok(_) => return Err("not a stream socket".to_owned()),
    }
    if rustix::net::getpeername(&descriptor).is_ok() {
        return Err("a connection".to_owned());
    }
    let flags = fcntl_getfd(&descriptor).map_err(|error| error.to_string())?;
    rustix::io::fcntl_setfd(&descriptor, flags | rustix::io::FdFlags::CLOEXEC)
        .and_then(|()| rustix::fs::fcntl_getfl(&descriptor))
        .and_then(|flags| {
            rustix::fs::fcntl_setfl(&descriptor, flags | rustix::fs::OFlags::NONBLOCK)
        })
        .map_err(|error| error.to_string())?;
    Bound::adopt(descriptor).ok_or_else(|| "not a TCP socket".to_owned())
}

/// Whether the command line asks for what was passed. What it does not say, it leaves open.
pub(in crate::server) fn agree(
    passed: &[Bound],
    addresses: &[ListenAddress],
    ports: &[u16],
) -> Result<(), String> {
    let names = |wanted: &ListenAddress, passed: SocketAddr| {
        wanted.ip.to_canonical() == passed.ip()
            && match wanted.port {
                Some(port) => port == passed.port(),
                None => ports.is_empty() || ports.contains(&passed.port()),
            }
    };
    let stray = passed.iter().map(Bound::address).find(|address| {
        let by_address =
            addresses.is_empty() || addresses.iter().any(|wanted| names(wanted, *address));
        let by_port = !addresses.is_empty() || ports.is_empty() || ports.contains(&address.port());
        !(by_address && by_port)
    });
    let missing = addresses
        .iter()
        .find(|wanted| !passed.iter().any(|bound| names(wanted, bound.address())))
        .map(|wanted| match wanted.port {
            Some(port) => SocketAddr::new(wanted.ip, port).to_string(),
            None => wanted.ip.to_string(),
        });
    let missing = missing.or_else(|| {
        let bound = |port: &&u16| passed.iter().any(|bound| bound.address().port() == **port);
        let port = ports
            .iter()
            .find(|port| addresses.is_empty() && !bound(port))?;
        Some(format!("port {port}"))
    });
    let found = match (stray, missing) {
        (None, None) => return Ok(()),
        (_, Some(missing)) => format!("no socket for {missing}"),
        (Some(stray), None) => format!("one for {stray}"),
    };
    Err(format!(
        "the service manager passes listening sockets, {found}, and the command line says \
         otherwise: leave out --listen-address and --port, or make the .socket unit agree"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(addresses: &[&str]) -> Vec<Bound> {
        let listening = |address: &&str| {
            let socket = std::net::TcpListener::bind(address).unwrap();
            adopt(socket.into()).unwrap()
        };
        addresses.iter().map(listening).collect()
    }

    #[test]
    fn a_command_line_that_says_nothing_or_the_same_agrees() {
        let passed = passed(&["127.0.0.1:0", "127.0.0.2:0"]);
        let [one, two] = [0, 1].map(|n| passed[n].address());
        let wanted = |address: SocketAddr| ListenAddress {
            ip: address.ip(),
            port: Some(address.port()),
        };
        assert_eq!(agree(&passed, &[], &[]), Ok(()));
        assert_eq!(agree(&passed, &[wanted(one), wanted(two)], &[]), Ok(()));
        assert_eq!(agree(&passed, &[], &[one.port(), two.port()]), Ok(()));
        let any_port = |address: SocketAddr| ListenAddress {
            ip: address.ip(),
            port: None,
        };
        assert_eq!(agree(&passed, &[any_port(one), any_port(two)], &[]), Ok(()));
    }

    #[test]
    fn a_command_line_that_names_more_or_less_or_others_contradicts() {
        // The kernel may choose the same port for both.
        let passed = std::iter::repeat_with(|| passed(&["127.0.0.1:0", "127.0.0.2:0"]))
            .find(|both| both[0].address().port() != both[1].address().port())
            .unwrap();
        let port = passed[0].address().port();
        let v4 = |ip: &str, port| ListenAddress {
            ip: ip.parse().unwrap(),
            port,
        };
        let contradictions: [(&[ListenAddress], &[u16], String); 4] = [
            (
                &[v4("127.0.0.1", None)],
                &[],
                passed[1].address().to_string(),
            ),
            (&[v4("127.0.0.3", Some(25))], &[], "127.0.0.3:25".to_owned()),
            (&[], &[port], passed[1].address().to_string()),
            (&[], &[1], "port 1".to_owned()),
        ];
        for (addresses, ports, names) in contradictions {
            let line = agree(&passed, addresses, ports).unwrap_err();
            assert!(
                line.contains(&names) && line.contains("--listen-address"),
                "{line}"
            );
            assert!(!line.contains('\n'));
        }
    }

    #[test]
    fn what_is_no_listening_tcp_socket_is_named() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(adopt(file.into()).unwrap_err(), "not a socket");
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(adopt(udp.into()).unwrap_err(), "not a stream socket");
        let dir = tempfile::tempdir().unwrap();
        let unix = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        assert_eq!(adopt(unix.into()).unwrap_err(), "not a TCP socket");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(adopt(client.into()).unwrap_err(), "a connection");
    }
}
