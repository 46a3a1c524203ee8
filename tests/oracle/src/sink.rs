//! An SMTP server on loopback that takes what queue/smtp-forward sends, and writes it down.
//!
//! It refuses a sender, a recipient or a message that asks for it by name, and offers XCLIENT.

use crate::client::visible;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Sink {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&heard);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // One at a time: the dialogues are, too.
                serve(socket, &writer).ok();
            }
        });
        Ok(Self { port, heard })
    }

    /// What clients have said since the last call.
    pub fn harvest(&self) -> Vec<String> {
        let mut heard = self
            .heard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let lines: Vec<String> = std::mem::take(&mut *heard);
        if lines.is_empty() {
            return lines;
        }
        std::iter::once("-- at the sink".to_owned())
            .chain(lines)
            .collect()
    }
}

fn serve(socket: TcpStream, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut out = socket.try_clone()?;
    let mut input = BufReader::new(socket);
    out.write_all(b"220 sink.example.net ESMTP\r\n")?;
    let mut line = Vec::new();
    let (mut in_data, mut refuse) = (false, false);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = visible(line.strip_suffix(b"\r\n").unwrap_or(&line));
        if let Ok(mut heard) = heard.lock() {
            heard.push(format!("> {text}"));
        }
        if in_data {
            refuse |= text.starts_with("X-Sink: refuse");
            if line == b".\r\n" {
                in_data = false;
                let reply: &[u8] = if refuse {
                    b"554 refused\r\n"
                } else {
                    b"250 ok queued as 4711\r\n"
                };
                refuse = false;
                out.write_all(reply)?;
            }
            continue;
        }
        let verb = text
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-sink.example.net\r\n250 XCLIENT NAME ADDR PORT HELO PROTO\r\n",
            "XCLIENT" => b"220 sink.example.net ESMTP\r\n",
            "MAIL" | "RCPT" if text.contains("refused@") => b"550 refused\r\n",
            "DATA" => {
                in_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => {
                out.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => b"250 ok\r\n",
        };
        out.write_all(reply)?;
    }
}
