//! A connection and what was read ahead on it: lines as they come, each waited for as long as the caller
//! says. It knows nothing of replies.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct Connection {
    pub socket: TcpStream,
    ahead: Vec<u8>,
}

/// What a wait for a line of the server ended with.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// With its line end, where the server did not close before.
    Line(Vec<u8>),
    Nothing,
    /// The server closed, or reset the connection, as it does with input that it has not read.
    Closed {
        reset: bool,
    },
}

impl Connection {
    pub fn new(socket: TcpStream) -> Connection {
        socket.set_nodelay(true).ok();
        Connection {
            socket,
            ahead: Vec::new(),
        }
    }

    /// Connects with a source address of the loopback net, for tests of per-address policy.
    pub fn from(source: Ipv4Addr, port: u16) -> io::Result<Connection> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Not for what other tests start meanwhile: it would keep the connection open when this is closed.
        let fd = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        bind(&fd, &SocketAddr::from((source, 0)))?;
        connect(&fd, &server)?;
        Ok(Connection::new(TcpStream::from(fd)))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Whether something was read and not yet heard.
    pub fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// The next line.
    pub fn hear(&mut self, wait: Duration) -> Heard {
        let until = Instant::now() + wait;
        loop {
            if let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n') {
                return Heard::Line(self.ahead.drain(..=end).collect());
            }
            match self.read_by(until) {
                Ok(0) if self.ahead.is_empty() => return Heard::Closed { reset: false },
                Ok(0) => return Heard::Line(std::mem::take(&mut self.ahead)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => return Heard::Nothing,
                Err(_) => return Heard::Closed { reset: true },
            }
        }
    }

    /// Reads ahead; `TimedOut` where nothing comes until then.
    fn read_by(&mut self, until: Instant) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(&mut buffer) {
                Ok(count) => {
                    self.ahead.extend_from_slice(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether nothing comes for a while.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        !self.is_ahead() && self.read_by(Instant::now() + time).is_err()
    }

    /// So many bytes as they come.
    pub fn bytes(&mut self, count: usize, wait: Duration) -> io::Result<Vec<u8>> {
        let until = Instant::now() + wait;
        while self.ahead.len() < count {
            if self.read_by(until)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Everything up to the end of the connection, each piece within the time; and how it ended.
    pub fn rest(&mut self, wait: Duration) -> (Vec<u8>, io::Result<()>) {
        loop {
            match self.read_by(Instant::now() + wait) {
                Ok(0) => return (std::mem::take(&mut self.ahead), Ok(())),
                Ok(_) => {}
                Err(error) => return (std::mem::take(&mut self.ahead), Err(error)),
            }
        }
    }
}
