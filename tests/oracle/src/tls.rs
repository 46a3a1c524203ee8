//! TLS for a dialogue's client: a Perl relay (IO::Socket::SSL) between the suite and the server.
//!
//! It gets the client's socket as its standard input and output, does the handshake, says `TLS` or
//! why not, and passes bytes on. The certificate is not checked.

use camelpost_support::repository;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// The plain side of a relay; dropped, the relay ends.
pub struct Relay {
    child: Child,
}

impl Relay {
    pub fn over(socket: &TcpStream) -> std::io::Result<(Self, TcpStream)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        let (theirs, _) = listener.accept()?;
        ours.set_nodelay(true)?;
        let child = Command::new("perl")
            .arg(repository().join("tests/fixtures/tls-relay"))
            .stdin(Stdio::from(OwnedFd::from(socket.try_clone()?)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok((Self { child }, ours))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
