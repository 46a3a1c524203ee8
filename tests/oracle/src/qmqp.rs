//! A QMQP server on loopback for `@QMQP@`: the first recipient's local part says what it answers.
//!
//! It writes down what it was given. It knows the protocol no further than netstrings.

use crate::client::visible;
use crate::dialogue::ConfigSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Qmqp {
    heard: Arc<Mutex<Vec<String>>>,
}

/// A server for a set that asks for one, whose port takes the place of `@QMQP@`.
pub fn for_set(set: &mut ConfigSet) -> std::io::Result<Option<Qmqp>> {
    if !set.files.iter().any(|(_, text)| text.contains("@QMQP@")) {
        return Ok(None);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port().to_string();
    for (_, text) in &mut set.files {
        *text = text.replace("@QMQP@", &port);
    }
    let heard = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&heard);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            serve(socket, &writer).ok();
        }
    });
    Ok(Some(Qmqp { heard }))
}

impl Qmqp {
    /// What clients have handed over since the last call.
    pub fn harvest(&self) -> Vec<String> {
        let heard = self.heard.lock();
        let mut heard = heard.unwrap_or_else(std::sync::PoisonError::into_inner);
        let lines: Vec<String> = std::mem::take(&mut *heard);
        match lines.is_empty() {
            true => lines,
            false => [vec!["-- at the QMQP server".to_owned()], lines].concat(),
        }
    }
}

fn serve(mut socket: TcpStream, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let package = netstring(&mut socket)?;
    let mut rest = &package[..];
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(netstring(&mut rest)?);
    }
    let recipient = parts.get(2).map(|part| visible(part)).unwrap_or_default();
    if let Ok(mut heard) = heard.lock() {
        for (index, part) in parts.iter().enumerate() {
            let name = ["message", "sender"].get(index).unwrap_or(&"recipient");
            for line in part.split(|byte| *byte == b'\n') {
                heard.push(format!("> {name}: {}", visible(line)));
            }
        }
    }
    let answer: &[u8] = match recipient.split('@').next().unwrap_or_default() {
        "k" => b"9:Kok 12345,",
        "bare-k" => b"1:K,",
        "z" => b"6:Zlater,",
        "d" => b"8:Dno mail,",
        "x" => b"3:Xno,",
        "garbage" => b"no netstring at all",
        "empty" => b"0:,",
        "no-comma" => b"3:Kok;",
        "short" => b"30:Kok,",
        _ => b"",
    };
    socket.write_all(answer)
}

fn netstring(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let wrong = || std::io::Error::other("no netstring");
    let mut byte = [0];
    let mut length = 0;
    loop {
        from.read_exact(&mut byte)?;
        match byte[0] {
            b':' => break,
            digit @ b'0'..=b'9' => length = length * 10 + usize::from(digit - b'0'),
            _ => return Err(wrong()),
        }
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    from.read_exact(&mut byte)?;
    match byte {
        [b','] => Ok(text),
        _ => Err(wrong()),
    }
}
