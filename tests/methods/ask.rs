//! Asks a running daemon: one session a row, the answers read from the probe plugin's file.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use regex::Regex;

use super::read::Row;
use camelpost_oracle::daemon::{Daemon, Which, upstream};
use camelpost_oracle::dialogue::ConfigSet;
use camelpost_oracle::ground::Ground;
use camelpost_support::connection::Connection;
use camelpost_support::dns;

const HEAD: &str = include_str!("config");

/// What each row's expressions gave, and what the client and the log were told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answers {
    pub values: Vec<String>,
    pub replies: Vec<String>,
    pub log: Vec<String>,
}

/// All rows, each in a session of its own.
pub fn ask_all(which: Which, profile: &str, rows: &[Row]) -> Result<Vec<Answers>, String> {
    let mut set = ConfigSet::parse("methods", HEAD)?;
    set.files
        .push(("config/compat".to_owned(), format!("{profile}\n")));
    // No two are alike.
    set.files
        .push(("config/show_id".to_owned(), "none\n".to_owned()));
    let io = |e: std::io::Error| format!("methods: {e}");
    let ground = Ground::new(&set, None).map_err(io)?;
    let resolver = dns::start().map_err(io)?;
    let mut daemon = Daemon::start(which, &set, &ground, resolver)?;
    let mut all = Vec::new();
    let mut left = rows;
    while !left.is_empty() {
        let (together, rest) = left.split_at(together(left));
        let error = |error| {
            let (name, place) = (together[0].name(), &together[0].place);
            format!("{name} ({}, {profile}), {place}: {error}", which.name())
        };
        all.extend(ask(&mut daemon, &ground, together).map_err(error)?);
        left = rest;
    }
    Ok(all)
}

/// How many rows share the next session: those that only ask at the command.
fn together(rows: &[Row]) -> usize {
    let plain = rows.iter().take_while(|row| row.is_plain());
    plain.take(40).count().max(1)
}

fn ask(daemon: &mut Daemon, ground: &Ground, rows: &[Row]) -> Result<Vec<Answers>, String> {
    let io = |e: std::io::Error| e.to_string();
    let var = ground.root().join("var");
    let (question, answers) = (var.join("ask"), var.join("answers"));
    fs::remove_file(&answers).ok();
    let mut text = String::new();
    let mut count = 0;
    for (number, row) in rows.iter().enumerate() {
        for ask in &row.asks {
            let code = ask.code.replace('\n', "\u{1}");
            let hook = match ask.hook.as_str() {
                "command" => format!("command {number}"),
                hook => hook.to_owned(),
            };
            text.push_str(&format!("{hook}\t{count}\t{code}\n"));
            count += 1;
        }
    }
    fs::write(&question, text).map_err(io)?;
    fs::set_permissions(&question, fs::Permissions::from_mode(0o644)).map_err(io)?;
    let wants_log = rows.iter().any(|row| row.log);
    if wants_log {
        daemon.log();
    }
    let replies = converse(daemon.port, &session(rows)).map_err(io)?;
    let values = wait_for_answers(&answers, count);
    fs::remove_file(&question).ok();
    let root = ground.root().display().to_string();
    let mut log = Vec::new();
    if wants_log {
        daemon.settle()?;
        log = daemon.log();
        log.retain(|line| line.contains("ASK"));
    }
    let log: Vec<String> = log.iter().map(|line| normal(line, &root)).collect();
    let mut values = values.into_iter().map(|line| normal(&line, &root));
    let all = rows.iter().map(|row| Answers {
        values: values.by_ref().take(row.asks.len()).collect(),
        replies: lines(&replies, &root)
            .into_iter()
            .filter(|line| row.replies || line.starts_with("(the session"))
            .collect(),
        log: log.clone(),
    });
    Ok(all.collect())
}

/// What the client sends, all of it at once.
fn session(rows: &[Row]) -> String {
    let any = |has: fn(&Row) -> bool| rows.iter().any(has);
    let mut text = String::from("EHLO client.example.net\r\n");
    if any(|row| row.auth) {
        // user, secret
        text.push_str("AUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
    }
    if any(Row::needs_message) {
        text.push_str("MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n");
        text.push_str("RCPT TO:<c@example.com>\r\n");
    }
    for (number, row) in rows.iter().enumerate() {
        if row.asks.iter().any(|ask| ask.hook == "command") {
            text.push_str(&format!("XASK {number}\r\n{}", row.input));
        }
    }
    if any(Row::needs_message) {
        text.push_str(
            "DATA\r\nFrom: a@example.net\r\nTo: b@example.com\r\nSubject: one\r\n two\r\n",
        );
        text.push_str("\r\nfirst line\r\n..second line\r\n.\r\n");
    }
    text + "QUIT\r\n"
}

fn converse(port: u16, text: &str) -> std::io::Result<Vec<u8>> {
    let mut connection = Connection::from(Ipv4Addr::LOCALHOST, port)?;
    let longest = Some(Duration::from_secs(20));
    connection.socket.set_write_timeout(longest)?;
    connection.send(text.as_bytes())?;
    let (mut bytes, end) = connection.rest(Duration::from_secs(8));
    match end.map_err(|error| error.kind()) {
        // What was written behind QUIT is not read by the server.
        Ok(()) | Err(ErrorKind::ConnectionReset) => {}
        Err(ErrorKind::TimedOut) => bytes.extend_from_slice(b"(the session does not end)\n"),
        Err(kind) => return Err(kind.into()),
    }
    Ok(bytes)
}

/// The last hooks run after the client has gone.
fn wait_for_answers(file: &std::path::Path, count: usize) -> Vec<String> {
    let until = Instant::now() + Duration::from_millis(1500);
    loop {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
        let mut values = vec!["(not asked)".to_owned(); count];
        let mut found = 0;
        for line in text.lines() {
            let parts = line
                .split_once('\t')
                .and_then(|(index, value)| Some((index.parse::<usize>().ok()?, value.to_owned())));
            if let Some((index, value)) = parts
                && let Some(slot) = values.get_mut(index)
            {
                *slot = value;
                found += 1;
            }
        }
        if found >= count || Instant::now() > until {
            return values;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lines(bytes: &[u8], root: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    text.lines().map(|line| normal(line, root)).collect()
}

/// Paths, process numbers and times are each run's own.
fn normal(line: &str, root: &str) -> String {
    static RULES: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let rules = [
            (r"spool/\d+:\d+:[^' ]*", "spool/FILE"),
            (r"0x[0-9a-f]+", "0xADDRESS"),
            (r"\(@INC contains: (?:[^()]|\([^()]*\))*\)", "(@INC)"),
            (r"^\d+ (?P<text>.*ASK)", "PID $text"),
            (r"ESMTP (qpsmtpd|[Cc]amelpost) \S+", "ESMTP SERVER"),
            (r"\((qpsmtpd|[Cc]amelpost)/[0-9.]+\)", "(SERVER)"),
            (r"This is (qpsmtpd|[Cc]amelpost) \S+", "This is SERVER"),
            (r"^250 AUTH .*", "250 AUTH MECHANISMS"),
            // perl 5.40 names functions, too.
            (
                r"uninitialized value \w+\(\) in ",
                "uninitialized value in ",
            ),
            (r"\b1[789]\d{8}\b", "TIME"),
            (r"\d\d:\d\d:\d\d 20\d\d-\d\d-\d\d", "TIME"),
            (
                r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} \w{3} 20\d\d \d\d:\d\d:\d\d [-+]\d{4}",
                "DATE",
            ),
        ];
        let rules = rules.into_iter();
        rules
            .filter_map(|(pattern, name)| Some((Regex::new(pattern).ok()?, name)))
            .collect()
    });
    let line = line.replace(root, "ROOT");
    let line = match upstream() {
        Some(checkout) => line.replace(&*checkout.to_string_lossy(), "UPSTREAM"),
        None => line,
    };
    rules.iter().fold(line, |line, (pattern, name)| {
        pattern.replace_all(&line, *name).into_owned()
    })
}
