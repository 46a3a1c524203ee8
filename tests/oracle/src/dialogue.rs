//! The text format of a config set and its dialogues: reads it, and says where it is wrong.
//!
//! It knows nothing of daemons and sockets. The format is described in `tests/dialogues/README.md`.

use std::net::Ipv4Addr;
use std::time::Duration;

/// One file of `tests/dialogues`: a configuration and the dialogues held with it.
#[derive(Debug, Default, Clone)]
pub struct ConfigSet {
    pub name: String,
    pub options: Vec<String>,
    pub env: Vec<(String, String)>,
    pub files: Vec<(String, String)>,
    pub collect: Vec<String>,
    pub log: bool,
    /// What is logged before the first session is compared, too, as the dialogue `start`.
    pub log_of_start: bool,
    /// Neither daemon starts with this configuration; what they say then is compared.
    pub never_starts: bool,
    /// Commands that prepare the directory, and stub servers to start.
    pub run: Vec<String>,
    pub stubs: Vec<String>,
    /// Perl finds the stand-ins for modules that Debian does not have.
    pub stand_ins: bool,
    /// Lines with one of these texts are not compared; the set says why.
    pub ignore: Vec<String>,
    /// A text in a collected file that ends the wait for a session's last hooks.
    pub until: Option<String>,
    /// What the suite's resolver knows: `NAME TYPE DATA`.
    pub dns: Vec<String>,
    /// Sockets with a program that answers there, and daemons with the socket that they make.
    pub services: Vec<(String, String)>,
    pub daemons: Vec<(String, String)>,
    /// The package's plugins that this set shows at work.
    pub exercises: Vec<String>,
    /// Another set whose dialogues are held with this configuration.
    pub dialogues_of: Option<String>,
    /// Why this set is not played with upstream's plugin files, if it is not.
    pub not_upstream: Option<String>,
    /// Where `@PACKAGE@` is, if not where Debian's package has its plugins; no file says so.
    pub package: Option<String>,
    pub dialogues: Vec<Dialogue>,
}

/// One conversation of a client with the server.
#[derive(Debug, Clone)]
pub struct Dialogue {
    pub name: String,
    pub from: Ipv4Addr,
    pub greeting: bool,
    pub steps: Vec<Step>,
    pub expect: Vec<Expect>,
}

/// What the client does next.
#[derive(Debug, Clone)]
pub enum Step {
    /// A command that waits for the next `Send`, to go out in one write with it.
    Pipeline(Vec<u8>),
    /// A command; every reply that is due is read.
    Send(Vec<u8>),
    /// A command that may have no reply at all.
    SendMaybe(Vec<u8>),
    /// A line of message text, which has no reply.
    Data(Vec<u8>),
    /// Bytes as they are, written at once, without a line end and without a reply.
    Raw(Vec<u8>),
    /// So many replies are read.
    Read(usize),
    /// Whatever comes within this time is read.
    Listen(Duration),
    Sleep(Duration),
    /// The client is gone without a word (a reset).
    Vanish,
    /// The client closes its sending side only.
    HalfClose,
    /// The server has to close the connection.
    Eof,
    /// Another connection, opened when it is first named.
    On(String),
    /// A shell command in the set's directory; its output is compared.
    Run(String),
    /// The TLS handshake.
    Tls,
    /// A file of the set's directory is written, or written over, while the daemon runs.
    Put {
        name: String,
        text: Vec<u8>,
    },
    /// A file of the set's directory is removed while the daemon runs.
    Drop(String),
    /// The answer to a CRAM-MD5 challenge.
    Cram {
        user: String,
        password: String,
    },
}

/// What has to hold for both daemons, besides that they agree.
#[derive(Debug, Clone)]
pub enum Expect {
    Line(String),
    NoLine(String),
}

impl ConfigSet {
    /// Reads one file; an error names the line and what was found there.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut set = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let wrong = |what: String| format!("{name}.txt line {}: {what}", number + 1);
            if let Some(dialogue) = line.strip_prefix("=== ") {
                if set.dialogues.iter().any(|d| d.name == dialogue.trim()) {
                    return Err(wrong(format!("a second dialogue {dialogue}")));
                }
                set.dialogues.push(Dialogue::new(dialogue.trim()));
                continue;
            }
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(dialogue) = set.dialogues.last_mut() {
                dialogue.line(line).map_err(wrong)?;
                continue;
            }
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "options" => set.options = value.split_whitespace().map(str::to_owned).collect(),
                "env" => match value.split_once('=') {
                    Some((n, v)) => set.env.push((n.to_owned(), v.to_owned())),
                    None => return Err(wrong(format!("`env NAME=VALUE` expected: {value}"))),
                },
                "exercises" => set
                    .exercises
                    .extend(value.split_whitespace().map(str::to_owned)),
                "collect" => set.collect.push(value.to_owned()),
                "log" => set.log = true,
                "dns" => set.dns.push(value.to_owned()),
                "service" | "daemon" => {
                    let (socket, command) = value.split_once(' ').ok_or_else(|| {
                        wrong(format!("`{key} SOCKET COMMAND` expected: {value}"))
                    })?;
                    let list = if key == "service" {
                        &mut set.services
                    } else {
                        &mut set.daemons
                    };
                    list.push((socket.to_owned(), command.to_owned()));
                }
                "log_of_start" => set.log_of_start = true,
                "never_starts" => set.never_starts = true,
                "run" => set.run.push(value.to_owned()),
                "stub" => set.stubs.push(value.to_owned()),
                "ignore" => set.ignore.push(value.to_owned()),
                "stand_ins" => set.stand_ins = true,
                "not_upstream" => set.not_upstream = Some(value.trim().to_owned()),
                "until" => set.until = Some(value.to_owned()),
                "dialogues_of" => set.dialogues_of = Some(value.trim().to_owned()),
                "file" => {
                    let mut body = String::new();
                    while let Some((_, text)) =
                        lines.next_if(|(_, l)| l.starts_with("    ") || *l == "    ")
                    {
                        body.push_str(&text[4..]);
                        body.push('\n');
                    }
                    set.files.push((value.to_owned(), body));
                }
                _ => return Err(wrong(format!("not known here: {line}"))),
            }
        }
        if set.dialogues.is_empty() && set.dialogues_of.is_none() {
            return Err(format!("{name}.txt: no dialogue (`=== NAME`)"));
        }
        let first = set.dialogues.first();
        let starts = set.log_of_start || set.never_starts;
        if starts && !first.is_some_and(|d| d.name == "start" && d.steps.is_empty())
            || set.never_starts && set.dialogues.len() > 1
        {
            return Err(format!(
                "{name}.txt: what is logged at the start is a first dialogue `start` without steps"
            ));
        }
        Ok(set)
    }
}

impl Dialogue {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            from: Ipv4Addr::LOCALHOST,
            greeting: true,
            steps: Vec::new(),
            expect: Vec::new(),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let millis = || {
            value
                .trim()
                .parse()
                .map(Duration::from_millis)
                .map_err(|_| format!("milliseconds expected after {key}: {value}"))
        };
        let step = match key {
            "P:" => Step::Pipeline(unescape(value)?),
            "C:" => Step::Send(unescape(value)?),
            "C?:" => Step::SendMaybe(unescape(value)?),
            "|" => Step::Data(unescape(value)?),
            "RAW" => Step::Raw(unescape(value)?),
            "READ" if value.is_empty() => Step::Read(1),
            "READ" => Step::Read(
                value
                    .trim()
                    .parse()
                    .map_err(|_| format!("a number expected: {value}"))?,
            ),
            "LISTEN" => Step::Listen(millis()?),
            "SLEEP" => Step::Sleep(millis()?),
            "VANISH" => Step::Vanish,
            "HALFCLOSE" => Step::HalfClose,
            "EOF" => Step::Eof,
            "TLS" => Step::Tls,
            "ON" => Step::On(value.trim().to_owned()),
            "RUN" => Step::Run(value.to_owned()),
            "PUT" => {
                let (name, text) = value.split_once(' ').unwrap_or((value, ""));
                Step::Put {
                    name: name.to_owned(),
                    text: unescape(text)?,
                }
            }
            "DROP" => Step::Drop(value.trim().to_owned()),
            "CRAM" => {
                let (user, password) = value
                    .trim()
                    .split_once(' ')
                    .ok_or("`CRAM USER PASSWORD` expected")?;
                Step::Cram {
                    user: user.to_owned(),
                    password: password.to_owned(),
                }
            }
            "from" => {
                self.from = value
                    .trim()
                    .parse()
                    .map_err(|_| format!("no IPv4 address: {value}"))?;
                return Ok(());
            }
            "greeting" => {
                self.greeting = value.trim() != "no";
                return Ok(());
            }
            "EXPECT" => {
                self.expect.push(Expect::Line(value.to_owned()));
                return Ok(());
            }
            "EXPECT-NOT" => {
                self.expect.push(Expect::NoLine(value.to_owned()));
                return Ok(());
            }
            _ => return Err(format!("not a step of a dialogue: {line}")),
        };
        self.steps.push(step);
        Ok(())
    }
}

/// Takes `\r \n \t \0 \\ \xHH` and `\{N:text}` (the text N times) for what they stand for.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some((&kind, tail)) = rest.split_first() else {
            return Err("a backslash at the end of a line".to_owned());
        };
        rest = tail;
        match kind {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let hex = rest.get(..2).and_then(|h| std::str::from_utf8(h).ok());
                let value = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
                bytes.push(value.ok_or("two hexadecimal digits expected after \\x")?);
                rest = &rest[2..];
            }
            b'{' => {
                let end = rest
                    .iter()
                    .position(|&b| b == b'}')
                    .ok_or("no } after \\{")?;
                let inner = String::from_utf8_lossy(&rest[..end]).into_owned();
                let (count, piece) = inner.split_once(':').ok_or("\\{N:text} expected")?;
                let count: usize = count.parse().map_err(|_| "\\{N:text} expected")?;
                bytes.extend(unescape(piece)?.repeat(count));
                rest = &rest[end + 1..];
            }
            other => return Err(format!("\\{} is no escape", other as char)),
        }
    }
    Ok(bytes)
}
