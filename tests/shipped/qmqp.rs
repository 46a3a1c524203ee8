//! A QMQP server on loopback that answers as it is told and keeps what it was given.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A QMQP server that takes one package after the other and answers each with the next of
/// `answers`. What it was given comes out of the channel.
pub fn sink(answers: Vec<&'static str>) -> (u16, Receiver<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (packages, given) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().expect("a client");
            let mut package = &netstring(&mut socket)[..];
            let mut parts = Vec::new();
            while !package.is_empty() {
                parts.push(netstring(&mut package));
            }
            let _ = socket.write_all(answer.as_bytes());
            if packages.send(parts).is_err() {
                return;
            }
        }
    });
    (port, given)
}

fn netstring(from: &mut impl Read) -> Vec<u8> {
    let mut byte = [0];
    let mut length = 0;
    loop {
        from.read_exact(&mut byte).expect("a netstring");
        match byte[0] {
            b':' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).expect("its text");
    from.read_exact(&mut byte).expect("its end");
    assert_eq!(byte, *b",");
    text
}
