//! The client of a dialogue: does its steps on a socket and writes down what was said.
//!
//! It judges nothing. The transcript has one line for each line that went over the wire.

use crate::dialogue::{Dialogue, Step};
use crate::tls::Relay;
use camelpost_support::connection::{Connection, Heard};
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a reply that must come may take.
const REPLY: Duration = Duration::from_secs(8);
/// How long to wait for a reply that may well not come.
const MAYBE: Duration = Duration::from_millis(300);
/// How long to wait for a line that came in the same place from the other server.
const LIKELY: Duration = Duration::from_millis(1500);
/// How long the server gets to notice that a client has vanished.
const VANISHED: Duration = Duration::from_millis(400);

const CLOSES: &str = "-- the server closes";

/// Holds one dialogue with the server at this port and returns its transcript. Where the other
/// server's, if there is one, has a line that may or may not come, this waits for it longer, so
/// that a busy machine makes no difference.
pub fn converse(dialogue: &Dialogue, port: u16, root: &Path, other: &[String]) -> Vec<String> {
    let mut party = Party {
        port,
        from: dialogue.from,
        said: Vec::new(),
        other,
        lines: HashMap::new(),
    };
    party.open("", dialogue.greeting);
    let mut current = String::new();
    for step in &dialogue.steps {
        if let Step::On(name) = step {
            party.said.push(format!("-- connection {name}"));
            current.clone_from(name);
            party.open(name, true);
            continue;
        }
        if let Step::Run(command) = step {
            party.said.extend(run(command, root));
            continue;
        }
        match change(step, root) {
            Some(Ok(())) => {}
            Some(Err(error)) => party.said.push(format!("-- {error}")),
            None => party.step(&current, step),
        }
    }
    party.leave();
    party.said
}

/// Runs a shell command where the daemon runs, and writes down what it says.
fn run(command: &str, root: &Path) -> Vec<String> {
    let mut said = vec![format!("-- RUN {command}")];
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(root)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output();
    match output {
        Ok(output) => {
            for text in [output.stdout, output.stderr] {
                let text = String::from_utf8_lossy(&text).into_owned();
                said.extend(text.lines().map(|line| format!("R: {line}")));
            }
        }
        Err(error) => said.push(format!("-- cannot run it: {error}")),
    }
    said
}

/// Does what a step does to the set's files, if it does anything.
fn change(step: &Step, root: &Path) -> Option<std::io::Result<()>> {
    match step {
        Step::Put { name, text } => Some(std::fs::write(root.join(name), text)),
        Step::Drop(name) => Some(std::fs::remove_file(root.join(name))),
        _ => None,
    }
}

struct Party<'a> {
    port: u16,
    from: Ipv4Addr,
    said: Vec<String>,
    other: &'a [String],
    lines: HashMap<String, Line>,
}

/// One connection and where its dialogue stands.
struct Line {
    connection: Connection,
    unsent: Vec<u8>,
    due: usize,
    challenge: String,
    over: bool,
    relay: Option<Relay>,
}

impl Party<'_> {
    fn open(&mut self, name: &str, greeting: bool) {
        if self.lines.contains_key(name) {
            return;
        }
        match Connection::from(self.from, self.port) {
            Ok(connection) => {
                let line = Line {
                    connection,
                    unsent: Vec::new(),
                    due: 0,
                    challenge: String::new(),
                    over: false,
                    relay: None,
                };
                self.lines.insert(name.to_owned(), line);
                if greeting {
                    self.reply(name, REPLY);
                }
            }
            Err(error) => self.said.push(format!("-- no connection: {error}")),
        }
    }

    fn step(&mut self, name: &str, step: &Step) {
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        if line.over && !matches!(step, Step::Sleep(_)) {
            return;
        }
        match step {
            Step::Pipeline(text) => {
                self.said.push(format!("C: {}", visible(text)));
                line.queue(text);
                line.due += 1;
            }
            Step::Send(text) => {
                self.said.push(format!("C: {}", visible(text)));
                line.queue(text);
                let due = line.due + 1;
                line.due = 0;
                line.flush();
                for _ in 0..due {
                    self.reply(name, REPLY);
                }
            }
            Step::SendMaybe(text) => {
                self.said.push(format!("C: {}", visible(text)));
                line.queue(text);
                line.flush();
                self.listen(name, MAYBE);
            }
            Step::Data(text) => {
                self.said.push(format!("C| {}", beginning(text)));
                line.queue(text);
            }
            Step::Raw(bytes) => {
                self.said.push(format!("C> {}", beginning(bytes)));
                line.unsent.extend_from_slice(bytes);
                line.flush();
            }
            Step::Read(count) => {
                line.flush();
                for _ in 0..*count {
                    self.reply(name, REPLY);
                }
            }
            Step::Listen(time) => {
                line.flush();
                self.listen(name, *time);
            }
            Step::Sleep(time) => {
                line.flush();
                std::thread::sleep(*time);
            }
            Step::Vanish => {
                line.flush();
                // A reset takes away what the server has not read, and lets it say no more.
                await_read(&line.connection.socket);
                std::thread::sleep(Duration::from_millis(150));
                rustix::net::sockopt::set_socket_linger(
                    &line.connection.socket,
                    Some(Duration::ZERO),
                )
                .ok();
                self.lines.remove(name);
                self.said.push("-- the client vanishes".to_owned());
                std::thread::sleep(VANISHED);
            }
            Step::HalfClose => {
                line.flush();
                line.connection
                    .socket
                    .shutdown(std::net::Shutdown::Write)
                    .ok();
                self.said
                    .push("-- the client closes its sending side".to_owned());
            }
            Step::Eof => {
                line.flush();
                while !self.lines.get(name).is_none_or(|l| l.over) {
                    if !self.reply(name, REPLY) {
                        break;
                    }
                }
            }
            Step::Tls => {
                line.flush();
                match Relay::over(&line.connection.socket) {
                    Ok((relay, socket)) => {
                        line.connection = Connection::new(socket);
                        line.relay = Some(relay);
                        self.reply(name, REPLY);
                    }
                    Err(error) => self.said.push(format!("-- no relay: {error}")),
                }
            }
            Step::Cram { user, password } => {
                let answer = cram(user, password, &line.challenge);
                self.said
                    .push(format!("C: (CRAM-MD5 answer of {user} with {password})"));
                line.queue(answer.as_bytes());
                line.flush();
                self.reply(name, REPLY);
            }
            Step::On(_) | Step::Run(_) | Step::Put { .. } | Step::Drop(_) => {}
        }
    }

    /// Reads one whole reply; false when there was none.
    fn reply(&mut self, name: &str, wait: Duration) -> bool {
        let Some(line) = self.lines.get_mut(name) else {
            return false;
        };
        if line.over {
            return false;
        }
        loop {
            match line.connection.hear(wait) {
                Heard::Line(text) => {
                    let shown = shown(&text);
                    if let Some(challenge) = shown.strip_prefix("334 ") {
                        line.challenge = challenge.to_owned();
                    }
                    self.said.push(format!("S: {shown}"));
                    if text.get(3) != Some(&b'-') {
                        return true;
                    }
                }
                Heard::Nothing => {
                    self.said.push("-- no reply".to_owned());
                    return false;
                }
                Heard::Closed { .. } => {
                    line.over = true;
                    self.said.push(CLOSES.to_owned());
                    return false;
                }
            }
        }
    }

    /// Writes down what comes within the time, be it nothing.
    fn listen(&mut self, name: &str, time: Duration) {
        let begun = Instant::now();
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        let mut silent = true;
        loop {
            let next = self.other.get(self.said.len());
            let likely = next.is_some_and(|next| next.starts_with("S: ") || next == CLOSES);
            let time = if likely { time.max(LIKELY) } else { time };
            match line.connection.hear(time.saturating_sub(begun.elapsed())) {
                Heard::Line(text) => {
                    silent = false;
                    self.said.push(format!("S: {}", shown(&text)));
                    // The last line of a reply ends the wait, for most are one line or nothing.
                    let more = self.other.get(self.said.len());
                    let more = more.is_some_and(|more| more.starts_with("S: "));
                    if text.get(3) != Some(&b'-') && !line.connection.is_ahead() && !more {
                        return;
                    }
                }
                Heard::Nothing => {
                    if silent {
                        self.said.push("-- no reply".to_owned());
                    }
                    return;
                }
                Heard::Closed { .. } => {
                    line.over = true;
                    self.said.push(CLOSES.to_owned());
                    return;
                }
            }
        }
    }

    /// Ends every connection politely, so that the server has finished when this returns.
    fn leave(&mut self) {
        let mut names: Vec<String> = self.lines.keys().cloned().collect();
        names.sort();
        for name in names {
            let Some(line) = self.lines.get_mut(&name) else {
                continue;
            };
            if line.over {
                continue;
            }
            line.flush();
            line.connection
                .socket
                .shutdown(std::net::Shutdown::Write)
                .ok();
            loop {
                match line.connection.hear(REPLY) {
                    Heard::Line(text) => self.said.push(format!("S: {}", shown(&text))),
                    Heard::Nothing => {
                        self.said.push("-- the server never closes".to_owned());
                        break;
                    }
                    Heard::Closed { .. } => {
                        self.said.push("-- end".to_owned());
                        break;
                    }
                }
            }
        }
    }
}

impl Line {
    fn queue(&mut self, text: &[u8]) {
        self.unsent.extend_from_slice(text);
        self.unsent.extend_from_slice(b"\r\n");
    }

    /// A server that has closed shows at the next read, so errors are not reported here.
    fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.unsent);
        self.connection.send(&bytes).ok();
    }
}

/// The base64 answer to a challenge, from the Perl module that the package itself depends on.
fn cram(user: &str, password: &str, challenge: &str) -> String {
    let script = r#"use MIME::Base64; use Digest::HMAC_MD5 "hmac_md5_hex";
        my ($u, $p, $c) = @ARGV;
        print encode_base64("$u " . hmac_md5_hex(decode_base64($c), $p), "");"#;
    let output = Command::new("perl")
        .args(["-e", script, user, password, challenge])
        .output();
    output
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default()
}

/// What the client sent is in the dialogue: of much the transcript has the beginning.
fn beginning(bytes: &[u8]) -> String {
    match bytes.get(..400) {
        Some(start) => format!("{} (and so on, {} bytes)", visible(start), bytes.len()),
        None => visible(bytes),
    }
}

/// A line of the server; the line end shows only where it is not CR LF.
fn shown(text: &[u8]) -> String {
    match text.strip_suffix(b"\r\n") {
        Some(line) => visible(line),
        None => match text.strip_suffix(b"\n") {
            Some(line) => format!("{} (ends in a bare LF)", visible(line)),
            None => format!("{} (no line end)", visible(text)),
        },
    }
}

/// Bytes as text: what is not printable ASCII as an escape, and long repetitions shortened.
pub fn visible(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        let run = bytes[index..].iter().take_while(|&&b| b == byte).count();
        let one = match byte {
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => (byte as char).to_string(),
            b'\r' => "\\r".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\t' => "\\t".to_owned(),
            _ => format!("\\x{byte:02x}"),
        };
        if run > 40 {
            out.push_str(&format!("\\{{{run}:{one}}}"));
            index += run;
        } else {
            out.push_str(&one);
            index += 1;
        }
    }
    out
}

/// Returns when the server has read what was sent through this socket, or two seconds later.
fn await_read(socket: &TcpStream) {
    let (Ok(here), Ok(there)) = (socket.local_addr(), socket.peer_addr()) else {
        return;
    };
    // The server's end of it in /proc/net/tcp: addresses in hexadecimal, then the state, then the
    // bytes that are in its queues, `TO_SEND:TO_READ`.
    let waits = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let ends_with = |word: Option<&str>, port: u16| {
            word.is_some_and(|word| word.ends_with(&format!(":{port:04X}")))
        };
        let is_it = ends_with(words.next(), there.port()) && ends_with(words.next(), here.port());
        is_it
            && words
                .nth(1)
                .is_some_and(|queues| !queues.ends_with(":00000000"))
    };
    for _ in 0..200 {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let tables = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
        if !tables.iter().flat_map(|table| table.lines()).any(waits) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
