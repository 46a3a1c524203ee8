//! A client's side of an SMTP session. What does not come within PATIENCE never comes.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::connection::{Connection, Heard};
use crate::{PATIENCE, wait_for};

pub struct Client(Connection);

impl Client {
    pub fn new(socket: TcpStream) -> Client {
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(Connection::new(socket))
    }

    /// Connects, and does not wait for the greeting.
    pub fn connect(address: impl Into<SocketAddr>) -> Client {
        Client::new(TcpStream::connect_timeout(&address.into(), PATIENCE).unwrap())
    }

    /// The same as soon as something listens at this port of 127.0.0.1.
    pub fn when_ready(port: u16) -> Client {
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        Client::new(wait_for("a daemon that listens", connect))
    }

    /// The same connection again, for another thread that only sends.
    pub fn second(&self) -> Client {
        Client::new(self.0.socket.try_clone().unwrap())
    }

    /// The next reply, its lines joined by line feeds; empty at the end of the connection, which a server
    /// that died may have reset.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        while let Heard::Line(line) = self.0.hear(PATIENCE) {
            reply += String::from_utf8_lossy(&line).trim_end();
            if line.get(3) != Some(&b'-') {
                break;
            }
            reply.push('\n');
        }
        reply
    }

    /// The next line with its end, and nothing where the server closes; a reset is a failure.
    pub fn line(&mut self) -> String {
        match self.0.hear(PATIENCE) {
            Heard::Line(line) => String::from_utf8_lossy(&line).into_owned(),
            Heard::Closed { reset: false } => String::new(),
            other => panic!("a line or the end expected: {other:?}"),
        }
    }

    /// Sends a line in one write and does not wait for the reply. That the server is gone shows at the next read.
    pub fn send_line(&mut self, line: &str) {
        let _ = self.0.send(format!("{line}\r\n").as_bytes());
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes.as_ref()).unwrap();
    }

    /// Sends what a server that is gone may not take.
    pub fn send_as_far_as_it_goes(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.send(bytes.as_ref()).is_ok()
    }

    /// Sends a line and gives the reply.
    pub fn say(&mut self, line: &str) -> String {
        self.send_line(line);
        self.reply()
    }

    /// Says a line and expects this code.
    pub fn expect(&mut self, line: &str, code: &str) -> String {
        let reply = self.say(line);
        assert!(reply.starts_with(code), "{line}: {reply}");
        reply
    }

    /// A message from the greeting to QUIT, which is acknowledged.
    pub fn deliver(mut self, forward_path: &str, message: &str) {
        let greeting = self.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        self.expect("EHLO client.example", "250");
        self.expect("MAIL FROM:<a@example.com>", "250");
        self.expect(&format!("RCPT TO:<{forward_path}>"), "250");
        self.expect("DATA", "354");
        self.send(message);
        self.expect(".", "250");
        self.expect("QUIT", "221");
    }

    /// Runs Perl code in a hook (needs `plugins::RUNNER`): what it gives.
    pub fn run(&mut self, perl: &str) -> String {
        let reply = self.say(&format!("RUN {perl}"));
        match reply.strip_prefix("250 ") {
            Some(value) => value.to_owned(),
            None => panic!("{perl}: {reply:?}"),
        }
    }

    /// The process that its session runs in: `$$` is the session's.
    pub fn worker(&mut self) -> String {
        self.run("readlink '/proc/self'")
    }

    /// So many bytes as they come.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.0.bytes(count, PATIENCE).unwrap()
    }

    /// Whether nothing comes for a while.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.0.is_silent_for(time)
    }

    /// Whether the server ends the connection, after nothing more.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.0.hear(PATIENCE), Heard::Closed { .. })
    }

    /// Nothing more will be sent.
    pub fn close_own_side(&mut self) {
        self.0.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Everything up to the end of the connection, however it ends.
    pub fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.0.rest(PATIENCE).0).into_owned()
    }

    /// The same, and an error where the connection was not closed as it should be.
    pub fn try_rest(&mut self) -> io::Result<String> {
        let (rest, end) = self.0.rest(PATIENCE);
        end.map(|()| String::from_utf8_lossy(&rest).into_owned())
    }

    pub fn local_address(&self) -> SocketAddr {
        self.0.socket.local_addr().unwrap()
    }
}

/// How long a daemon that listens may take to greet; it is asked again.
const SOON: Duration = Duration::from_secs(5);

/// The greeting at this port, or whatever else is said there first; the session is over when this returns.
pub fn greeting(port: u16) -> String {
    let Ok(mut connection) = Connection::from(Ipv4Addr::LOCALHOST, port) else {
        return String::new();
    };
    let Heard::Line(line) = connection.hear(SOON) else {
        return String::new();
    };
    // A server that has closed needs no QUIT.
    let _ = connection.send(b"QUIT\r\n");
    let _ = connection.rest(SOON);
    String::from_utf8_lossy(&line).trim_end().to_owned()
}
