//! Ports for the servers that tests start. Does not start any.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Nobody listens here; who holds a port on this address says that it is in use on 127.0.0.1.
const RESERVED: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);

/// A port on 127.0.0.1 that no other test gets, of this run or of one beside it, until this is dropped.
///
/// Below the range of outgoing connections. Asking the kernel for a free one gave two daemons the same,
/// and a dialogue was held with the wrong one; so did a count from the process id.
pub struct Port {
    pub number: u16,
    _reserved: TcpListener,
}

impl Port {
    pub fn free() -> std::io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = (std::process::id() % 150) as u16 * 100;
        loop {
            let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed) % 5_000) % 20_000;
            let number = 12_000 + offset;
            let bound = TcpListener::bind((RESERVED, number)).and_then(|reserved| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, number))?;
                Ok(reserved)
            });
            match bound {
                Ok(_reserved) => return Ok(Self { number, _reserved }),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A port that no other test gets while this process lives.
pub fn free_port() -> u16 {
    let port = Port::free().unwrap();
    let number = port.number;
    std::mem::forget(port);
    number
}
