//! Plays a config set with both daemons, ours with and without its fast paths, and says in what they differ.
//!
//! The suites compare, compare100 and methods are made of it. What all suites have in common is in
//! tests/support.

#![forbid(unsafe_code)]

pub mod client;
pub mod daemon;
pub mod dialogue;
pub mod diff;
pub mod facts;
pub mod ground;
pub mod known;
pub mod normal;
pub mod plugins;
pub mod qmqp;
pub mod service;
pub mod sets;
pub mod sink;
pub mod stage;
pub mod tls;
pub mod twins;

use camelpost_support::repository;
use daemon::Which;
use dialogue::{ConfigSet, Expect};
use diff::Hunk;
use known::{Known, LIST};
use regex::Regex;
use stage::{Half, Stage};
use twins::{IN_PERL, NATIVE, in_perl, in_rust, native_mark, unmended_half};

/// Reads a set, and the dialogues that it has from another.
pub fn read_set(name: &str, text: &str) -> Result<ConfigSet, String> {
    let mut set = ConfigSet::parse(name, text)?;
    if let Some(other) = &set.dialogues_of {
        let path = repository().join(format!("tests/dialogues/{other}.txt"));
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        set.dialogues
            .extend(ConfigSet::parse(other, &text)?.dialogues);
    }
    Ok(set)
}

/// Plays one file of `tests/dialogues` with the original and with Camelpost, which is this program; an error is the
/// report to print.
pub fn play(program: &'static str, name: &str, text: &str) -> Result<(), String> {
    daemon::require_original()?;
    let stage = Stage::new(read_set(name, text)?)?;
    let only = std::env::var("COMPARE_ONLY").unwrap_or_default();
    let kept = |which: Which, stage: &Stage, other: Option<&Half>| {
        let half = stage.half(which, other)?;
        keep_transcripts(which, &stage.set, &half).map_err(|e| format!("{name}: {e}"))?;
        Ok::<_, String>(half)
    };
    let ours = [Which::Camelpost(program), Which::Plain(program)];
    let set = &stage.set;
    let mark = native_mark(set);
    // The original with itself: what differs then is chance, and must not be compared.
    if only == "original-with-itself" {
        let first = kept(Which::Original, &stage, None)?;
        let second = kept(Which::Original, &stage, Some(&first))?;
        return report_of(compare(set, "", &first, &second, &Known::default()));
    }
    if !only.is_empty() {
        let all = [ours[0], ours[1], Which::Original];
        let which = all.into_iter().find(|which| only == which.name());
        return which.map_or(Ok(()), |which| kept(which, &stage, None).map(drop));
    }
    let original = kept(Which::Original, &stage, None)?;
    // Side by side in places of their own, as all wait most of the time.
    let perl = match mark.is_empty() {
        true => None,
        false => Some(in_perl(read_set(name, text)?)),
    };
    let natively = in_rust(read_set(name, text)?);
    let aside = |set: Option<ConfigSet>| match set {
        None => Ok(None),
        Some(set) => {
            kept(ours[0], &Stage::new(set)?, Some(&original)).map(|half| Some(keyless(half)))
        }
    };
    let (camelpost, plain, perl, natively) = std::thread::scope(|scope| {
        let plain = scope.spawn(|| {
            let stage = Stage::new(read_set(name, text)?)?;
            kept(ours[1], &stage, Some(&original))
        });
        let perl = scope.spawn(|| aside(perl));
        let natively = scope.spawn(|| aside(natively));
        let camelpost = kept(ours[0], &stage, Some(&original));
        let died = || "a thread of this set has died".to_owned();
        (
            camelpost,
            plain.join().unwrap_or_else(|_| Err(died())),
            perl.join().unwrap_or_else(|_| Err(died())),
            natively.join().unwrap_or_else(|_| Err(died())),
        )
    });
    let (camelpost, plain) = (camelpost?, plain?);
    let known = Known::read(LIST)?;
    let mut report = compare(set, mark, &original, &camelpost, &known);
    if let Some(half) = perl? {
        let original = keyless(original.clone());
        report.push_str(&compare(set, IN_PERL, &original, &half, &known));
    }
    if let Some(half) = natively? {
        let original = unmended_half(keyless(original.clone()), set);
        let half = unmended_half(half, set);
        let differs = compare(set, NATIVE, &original, &half, &known);
        if !differs.is_empty() {
            report.push_str("\nWith native plugins (plugin_settings: NAME native):\n");
            report.push_str(&differs);
        }
    }
    for (who, half) in [
        (Which::Original, &original),
        (ours[0], &camelpost),
        (ours[1], &plain),
    ] {
        report.push_str(&broken_expectations(set, who.name(), half));
    }
    let without = compare(set, mark, &keyless(original), &keyless(plain), &known);
    if !without.is_empty() {
        report.push_str("\nWithout fast paths (CAMELPOST_PLAIN=1):\n");
        report.push_str(&without);
    }
    report_of(report)
}

/// Without what a set's own DKIM key has made, as each directory has another.
pub fn keyless(half: Half) -> Half {
    let signature = Regex::new(r"(DKIM-Signature: .* b=)[0-9A-Za-z+/=]+");
    let signature = signature.unwrap_or_else(|error| panic!("{error}"));
    let line = |line: String| signature.replace(&line, "${1}SIGNATURE").into_owned();
    let lines = |lines: Vec<String>| lines.into_iter().map(line).collect();
    half.into_iter().map(lines).collect()
}

/// In what the two differ and should not. `mark` stands behind the dialogues' names in the list.
pub fn compare(
    set: &ConfigSet,
    mark: &str,
    original: &Half,
    camelpost: &Half,
    known: &Known,
) -> String {
    let file = known.file;
    let mut report = String::new();
    for ((dialogue, original), camelpost) in set.dialogues.iter().zip(original).zip(camelpost) {
        let name = format!("{}/{}{mark}", set.name, dialogue.name);
        let hunks = diff::hunks(original, camelpost);
        let unlisted: Vec<&Hunk> = hunks
            .iter()
            .filter(|hunk| !known.of(&name).any(|entry| entry.hunk == **hunk))
            .collect();
        if !unlisted.is_empty() {
            let view = diff::side_by_side(original, camelpost);
            report.push_str(&format!("\n{name} differs:\n{view}"));
            report.push_str(&format!("\nIf that is meant, tests/{file} has to say:\n"));
            for hunk in unlisted {
                report.push_str(&format!("\n{}because …\n", known::entry_text(&name, hunk)));
            }
        }
        for entry in known.of(&name).filter(|entry| !hunks.contains(&entry.hunk)) {
            report.push_str(&format!(
                "\n{name}: the difference listed in {file} line {} no longer \
                 shows ({})\n",
                entry.line, entry.reason
            ));
        }
    }
    report
}

pub fn report_of(report: String) -> Result<(), String> {
    match report.is_empty() {
        true => Ok(()),
        false => Err(report),
    }
}

fn broken_expectations(set: &ConfigSet, who: &str, half: &Half) -> String {
    let mut report = String::new();
    for (dialogue, lines) in set.dialogues.iter().zip(half) {
        let name = format!("{}/{}", set.name, dialogue.name);
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
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
