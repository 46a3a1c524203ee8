//! The way to spamd and back: a unix socket or TCP, and one request of its protocol. Does not know what the answer
//! means.

use std::net::{IpAddr, ToSocketAddrs};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::config::reason;
use crate::log::{LOGDEBUG, LOGERROR, LOGWARN};
use crate::plugin::{Cx, Failure};

const HOST: &str = "localhost";
const PORT: u16 = 783;
/// Bytes of an answer that are read; fields of a header are far below that.
const LONGEST: u64 = 1 << 20;

/// A connection to spamd.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection to where the line says that spamd is; none, and a line of the log, where it cannot be reached.
pub(super) async fn connect(
    cx: &Cx<'_>,
    socket: Option<&str>,
) -> Result<Option<Box<dyn Stream>>, Failure> {
    let path = socket.filter(|socket| socket.contains('/'));
    let connected = match path {
        Some(path) => by_path(cx, path).await,
        None => by_tcp(cx, socket).await?,
    };
    if connected.is_some() {
        cx.log(LOGDEBUG, "connected to spamd");
    }
    Ok(connected)
}

async fn by_path(cx: &Cx<'_>, path: &str) -> Option<Box<dyn Stream>> {
    let is_usual = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
    if !path.chars().all(is_usual) {
        cx.log(LOGERROR, "not a valid path");
        return None;
    }
    match UnixStream::connect(path).await {
        Ok(stream) => Some(Box::new(stream)),
        Err(error) => {
            let why = reason(&error);
            cx.log(
                LOGERROR,
                format!("Could not connect to spamd socket: {why}"),
            );
            None
        }
    }
}

async fn by_tcp(cx: &Cx<'_>, socket: Option<&str>) -> Result<Option<Box<dyn Stream>>, Failure> {
    let (host, port) = socket.and_then(host_and_port).unwrap_or((HOST, PORT));
    if port == 0 {
        cx.log(LOGERROR, "No spamd port, check your spamd_socket config.");
        return Ok(None);
    }
    let Some(ip) = address(cx, host).await? else {
        cx.log(LOGERROR, format!("Could not resolve host: {host}"));
        return Ok(None);
    };
    Ok(match TcpStream::connect((ip, port)).await {
        Ok(stream) => Some(Box::new(stream)),
        Err(error) => {
            let why = reason(&error);
            cx.log(LOGERROR, format!("Could not connect to spamd: {why}"));
            None
        }
    })
}

fn host_and_port(socket: &str) -> Option<(&str, u16)> {
    let (host, port) = socket.rsplit_once(':')?;
    let is_usual = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_host = !host.is_empty() && host.chars().all(is_usual);
    let port = port.parse().ok().filter(|_| !port.starts_with('+'));
    port.filter(|_| is_host).map(|port| (host, port))
}

/// The host's IPv4 address, as the system knows it.
async fn address(cx: &Cx<'_>, host: &str) -> Result<Option<IpAddr>, Failure> {
    if let Ok(ip) = host.parse() {
        return Ok(Some(ip));
    }
    let host = host.to_owned();
    cx.offload(move || {
        let found = (&*host, 0).to_socket_addrs().ok()?;
        found.map(|found| found.ip()).find(IpAddr::is_ipv4)
    })
    .await
}

/// Asks for the fields of a message, and gives what spamd says.
pub(super) async fn ask(
    cx: &Cx<'_>,
    mut spamd: Box<dyn Stream>,
    message: &[u8],
    user: &[u8],
) -> Vec<u8> {
    let length = message.len();
    let head = format!("HEADERS SPAMC/1.4\r\nContent-length: {length}\r\nUser: ");
    let request = [head.as_bytes(), user, b"\r\n\r\n", message].concat();
    if let Err(error) = spamd.write_all(&request).await {
        let why = reason(&error);
        cx.log(LOGWARN, format!("Could not print to spamd: {why}"));
    }
    cx.log(LOGDEBUG, "check_spam: finished sending to spamd");
    // What it says tells whether it has understood.
    let _ = spamd.shutdown().await;
    let mut answer = Vec::new();
    let _ = spamd.take(LONGEST).read_to_end(&mut answer).await;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_host_and_a_port() {
        assert_eq!(host_and_port("127.0.0.1:1"), Some(("127.0.0.1", 1)));
        assert_eq!(host_and_port("a-b.example:783"), Some(("a-b.example", 783)));
        for socket in ["a", "a:", ":1", "a b:1", "a:+1", "a:99999"] {
            assert_eq!(host_and_port(socket), None, "{socket}");
        }
    }
}
