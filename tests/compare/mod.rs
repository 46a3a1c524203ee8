//! Plays a config set with both daemons and says in what they differ.

pub mod client;
pub mod daemon;
pub mod dialogue;
pub mod diff;
pub mod dns;
pub mod ground;
pub mod known;
pub mod normal;
pub mod plugins;
pub mod qmqp;
pub mod service;
pub mod sink;
pub mod stub;
pub mod tls;

use daemon::{Daemon, Which};
use dialogue::{ConfigSet, Dialogue, Expect};
use diff::Hunk;
use ground::Ground;
use known::Known;
use normal::Normal;
use qmqp::Qmqp;
use service::Services;
use sink::Sink;

/// What one daemon said and delivered, for each dialogue of a set.
type Half = Vec<Vec<String>>;

/// Reads a set, and the dialogues that it has from another.
pub fn read_set(name: &str, text: &str) -> Result<ConfigSet, String> {
    let mut set = ConfigSet::parse(name, text)?;
    if let Some(other) = &set.dialogues_of {
        let path = format!("{}/tests/dialogues/{other}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        set.dialogues
            .extend(ConfigSet::parse(other, &text)?.dialogues);
    }
    Ok(set)
}

/// Plays one file of `tests/dialogues`; an error is the report to print.
pub fn play(name: &str, text: &str) -> Result<(), String> {
    let mut set = read_set(name, text)?;
    daemon::require_original()?;
    let io = |e: std::io::Error| format!("{name}: {e}");
    let qmqp = qmqp::for_set(&mut set).map_err(io)?;
    let needs_sink = set.files.iter().any(|(_, text)| text.contains("@SINK@"));
    let sink = if needs_sink {
        Some(Sink::start().map_err(io)?)
    } else {
        None
    };
    let port = sink.as_ref().map(|s| s.port);
    let ground = Ground::new(&set, port).map_err(io)?;
    let normal = Normal::new(ground.root(), port, &ground.stub_ports());
    let _services = Services::start(&set.services, &set.daemons, &ground)
        .map_err(|e| format!("{name}: {e}"))?;
    let only = std::env::var("COMPARE_ONLY").unwrap_or_default();
    let mut halves = Vec::new();
    // The original with itself: what differs then is chance, and must not be compared.
    let itself = only == "original-with-itself";
    let pair = [
        Which::Original,
        if itself {
            Which::Original
        } else {
            Which::Camelpost
        },
    ];
    for which in pair {
        if only.is_empty() || itself || only == which.name() {
            ground.sweep().map_err(io)?;
            let stubs = (sink.as_ref(), qmqp.as_ref());
            let other = halves.first();
            let half = run_half(which, &set, &ground, stubs, &normal, other)?;
            keep_transcripts(which, &set, &half).map_err(io)?;
            halves.push(half);
        }
    }
    match &halves[..] {
        [first, second] if itself => compare(&set, first, second, &Known::default()),
        [original, camelpost] => compare(&set, original, camelpost, &Known::read()?),
        _ => Ok(()),
    }
}

fn run_half(
    which: Which,
    set: &ConfigSet,
    ground: &Ground,
    (sink, qmqp): (Option<&Sink>, Option<&Qmqp>),
    normal: &Normal,
    other: Option<&Half>,
) -> Result<Half, String> {
    let zone = dns::Zone::parse(set.dns.iter().map(String::as_str))
        .map_err(|e| format!("{}: {e}", set.name))?;
    let dns = dns::serve(zone).map_err(|e| format!("{}: resolver: {e}", set.name))?;
    let logged = |line: String| format!("L: {line}");
    if set.never_starts {
        let said =
            Daemon::refusal(which, set, ground, dns).map_err(|e| format!("{}: {e}", set.name))?;
        let said: Vec<String> = said.into_iter().map(logged).collect();
        return Ok(vec![normal.lines(&said)]);
    }
    let mut daemon =
        Daemon::start(which, set, ground, dns).map_err(|e| format!("{}: {e}", set.name))?;
    // The readiness check was a session, too.
    daemon.settle().map_err(|e| format!("{}: {e}", set.name))?;
    ground.harvest();
    // Without the readiness check's own session.
    let said = daemon.log().into_iter().map(logged);
    let said: Vec<String> = said
        .take_while(|line| !line.contains("Accepted connection"))
        .filter(|line| !set.ignore.iter().any(|text| line.contains(text)))
        .collect();
    let mut half = Vec::new();
    for dialogue in &set.dialogues {
        if set.log_of_start && half.is_empty() {
            half.push(normal.lines(&said));
            continue;
        }
        let other = other.and_then(|other| other.get(half.len()));
        let other = other.map_or(&[][..], Vec::as_slice);
        let mut lines = client::converse(dialogue, daemon.port, ground.root(), other);
        daemon
            .settle()
            .map_err(|e| format!("{}/{}: {e}", set.name, dialogue.name))?;
        if let Some(text) = &set.until {
            ground.wait_for(text);
        }
        lines.extend(ground.harvest());
        lines.extend(sink.map(Sink::harvest).unwrap_or_default());
        lines.extend(qmqp.map(Qmqp::harvest).unwrap_or_default());
        if set.log {
            lines.extend(daemon.log().into_iter().map(logged));
        }
        lines.retain(|line| !set.ignore.iter().any(|text| line.contains(text)));
        half.push(normal.lines(&lines));
    }
    Ok(half)
}

fn compare(
    set: &ConfigSet,
    original: &Half,
    camelpost: &Half,
    known: &Known,
) -> Result<(), String> {
    let mut report = String::new();
    for ((dialogue, original), camelpost) in set.dialogues.iter().zip(original).zip(camelpost) {
        let name = format!("{}/{}", set.name, dialogue.name);
        let hunks = diff::hunks(original, camelpost);
        let unlisted: Vec<&Hunk> = hunks
            .iter()
            .filter(|hunk| !known.of(&name).any(|entry| entry.hunk == **hunk))
            .collect();
        if !unlisted.is_empty() {
            let view = diff::side_by_side(original, camelpost);
            report.push_str(&format!("\n{name} differs:\n{view}"));
            report.push_str("\nIf that is meant, tests/known_differences.txt has to say:\n");
            for hunk in unlisted {
                report.push_str(&format!("\n{}because …\n", known::entry_text(&name, hunk)));
            }
        }
        for entry in known.of(&name).filter(|entry| !hunks.contains(&entry.hunk)) {
            report.push_str(&format!(
                "\n{name}: the difference listed in known_differences.txt line {} no longer \
                 shows ({})\n",
                entry.line, entry.reason
            ));
        }
        report.push_str(&broken_expectations(&name, dialogue, "original", original));
        report.push_str(&broken_expectations(
            &name,
            dialogue,
            "camelpost",
            camelpost,
        ));
    }
    if report.is_empty() {
        Ok(())
    } else {
        Err(report)
    }
}

fn broken_expectations(name: &str, dialogue: &Dialogue, who: &str, lines: &[String]) -> String {
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    let mut report = String::new();
    for expect in &dialogue.expect {
        match expect {
            Expect::Line(text) if !has(text) => {
                report.push_str(&format!("\n{name}: {who} has no line with: {text}\n"));
            }
            Expect::NoLine(text) if has(text) => {
                report.push_str(&format!("\n{name}: {who} has a line with: {text}\n"));
            }
            _ => {}
        }
    }
    report
}

/// With COMPARE_TRANSCRIPTS=DIR, each dialogue of each daemon as a file; with COMPARE_ONLY, printed.
fn keep_transcripts(which: Which, set: &ConfigSet, half: &Half) -> std::io::Result<()> {
    for (dialogue, lines) in set.dialogues.iter().zip(half) {
        let text = lines.join("\n") + "\n";
        if std::env::var_os("COMPARE_ONLY").is_some() {
            println!(
                "=== {}/{} ({})\n{text}",
                set.name,
                dialogue.name,
                which.name()
            );
        }
        if let Some(dir) = std::env::var_os("COMPARE_TRANSCRIPTS") {
            std::fs::create_dir_all(&dir)?;
            let file = format!("{}__{}.{}.txt", set.name, dialogue.name, which.name());
            std::fs::write(std::path::Path::new(&dir).join(file), text)?;
        }
    }
    Ok(())
}
