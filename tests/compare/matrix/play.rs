//! Plays all rows with one daemon, several at a time, and reads what its plugins wrote down.

use super::rows::{self, Place, Row};
use super::talk::{self, Said};
use camelpost_oracle::daemon::{Daemon, Which};
use camelpost_oracle::dialogue::ConfigSet;
use camelpost_oracle::ground::Ground;
use camelpost_oracle::normal::Normal;
use camelpost_support::dns;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Sessions at a time: the waits of some are the work of others.
const AT_A_TIME: usize = 8;

/// A configuration in which rows are played.
pub struct Setting {
    pub name: &'static str,
    pub places: &'static [Place],
    /// More files of the configuration.
    pub files: &'static [(&'static str, &'static str)],
    /// Hooks that the plugins register besides the usual ones.
    pub besides: &'static str,
    /// The verdicts that are given; all where this is empty.
    pub verdicts: &'static [&'static str],
    /// Verdicts that are not.
    pub without: &'static [&'static str],
}

impl Setting {
    pub fn rows(&self) -> Vec<Row> {
        let wanted = |verdict: &str| {
            let one_of_them = self.verdicts.is_empty() || self.verdicts.contains(&verdict);
            one_of_them && !self.without.contains(&verdict)
        };
        rows::rows(self.places, wanted)
    }
}

/// What one row came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub said: Said,
    /// The hooks that ran in the step, and in each of those after it.
    pub hooks: Vec<Vec<String>>,
    /// What the daemon wrote on standard error for the row's own log line.
    pub log: Vec<String>,
}

/// What a setting came to with a daemon.
pub struct Played {
    /// In the rows' order.
    pub outcomes: Vec<Outcome>,
    /// What the daemon wrote on standard error.
    pub log: Vec<String>,
}

/// Plays the rows of a setting with a daemon.
pub fn play(setting: &Setting, which: Which, compat: &str) -> Result<Played, String> {
    let rows = setting.rows();
    let about = format!("{} ({}, {compat})", setting.name, which.name());
    let io = |e: std::io::Error| format!("{about}: {e}");
    let set = config_set(setting, &rows, compat);
    let ground = Ground::new(&set, None).map_err(io)?;
    let normal = Normal::new(ground.root(), None, &[]);
    let dns = dns::start().map_err(io)?;
    let start = || Daemon::start(which, &set, &ground, dns).map_err(|e| format!("{about}: {e}"));
    let mut daemon = start()?;
    let (last, first): (Vec<usize>, Vec<usize>) =
        (0..rows.len()).partition(|&index| rows[index].may_end_the_daemon());
    let mut said = hold_all(&rows, &first, daemon.port);
    let mut log = daemon.log();
    for index in last {
        let mut held = talk::hold(&rows[index], daemon.port);
        if ends_soon(&mut daemon) {
            held = held.map(|said| said.with_end("the daemon ends"));
            log.extend(daemon.log());
            daemon = start()?;
        }
        said.push((index, held));
    }
    daemon.settle().map_err(|e| format!("{about}: {e}"))?;
    wait_for_traces(&ground.root().join("var"));
    log.extend(daemon.log());
    let said = in_order(said).map_err(|e| format!("{about}:\n{e}"))?;
    let log: Vec<String> = log.iter().map(|line| format!("L: {line}")).collect();
    let all = normal.lines(&log);
    let mut outcomes = Vec::new();
    for (row, said) in rows.iter().zip(said) {
        let path = ground.root().join(format!("var/trace-{}", row.from));
        let trace = fs::read_to_string(&path).unwrap_or_default();
        let mut hooks: Vec<Vec<String>> = trace
            .split("|\n")
            .map(|part| part.lines().map(without_place).collect())
            .collect();
        if !row.place.is_first() {
            // How the session came there.
            hooks.remove(0);
        }
        let own = format!("matrix line {}", row.from);
        let log = all.iter().filter(|line| line.ends_with(&own));
        outcomes.push(Outcome {
            said: normal_said(said, row, &normal),
            hooks,
            log: log.map(|line| line.replace(&own, "matrix line")).collect(),
        });
    }
    Ok(Played { outcomes, log: all })
}

fn config_set(setting: &Setting, rows: &[Row], compat: &str) -> ConfigSet {
    let (table, verdicts) = rows::files(rows);
    let plugins = format!(
        "judge @ROOT@ {besides}\nnext_in_line {besides}\n",
        besides = setting.besides
    );
    let mut files = vec![
        ("config/matrix_rows".to_owned(), table),
        ("config/matrix_verdicts".to_owned(), verdicts),
        ("config/plugins".to_owned(), plugins),
        ("config/compat".to_owned(), format!("{compat}\n")),
        ("config/loglevel".to_owned(), "4\n".to_owned()),
    ];
    for (name, text) in setting.files {
        files.push(((*name).to_owned(), (*text).to_owned()));
    }
    ConfigSet {
        name: setting.name.to_owned(),
        options: vec!["--limit-connections".to_owned(), "200".to_owned()],
        files,
        ..ConfigSet::default()
    }
}

/// Whether a daemon ends that has just closed a connection without a word.
fn ends_soon(daemon: &mut Daemon) -> bool {
    (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        daemon.settle().is_err()
    })
}

type Held = (usize, Result<Said, String>);

/// Holds these rows' dialogues, several at a time.
fn hold_all(rows: &[Row], these: &[usize], port: u16) -> Vec<Held> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(&index) = these.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let held = talk::hold(&rows[index], port);
                    let mut all = all.lock().unwrap_or_else(|e| e.into_inner());
                    all.push((index, held));
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(|e| e.into_inner())
}

/// What was said in each row, in the rows' order; or all that went wrong.
fn in_order(mut held: Vec<Held>) -> Result<Vec<Said>, String> {
    held.sort_by_key(|(index, _)| *index);
    let (mut said, mut wrong) = (Vec::new(), Vec::new());
    for (_, held) in held {
        match held {
            Ok(row) => said.push(row),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        Ok(said)
    } else {
        Err(wrong.join("\n"))
    }
}

/// Waits until no session writes any more: a client sees the end before the last hooks have run.
fn wait_for_traces(dir: &Path) {
    let size = || -> u64 {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|e| Some(e.metadata().ok()?.len())).sum()
    };
    let until = Instant::now() + Duration::from_secs(10);
    let mut last = size();
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(300));
        let now = size();
        if now == last {
            return;
        }
        last = now;
    }
}

/// The text of a CODE reference without the place in memory that it tells.
fn without_place(text: &str) -> String {
    match text.split_once("CODE(0x") {
        Some((before, rest)) => {
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            format!("{before}CODE{after}")
        }
        None => text.to_owned(),
    }
}

fn normal_said(said: Said, row: &Row, normal: &Normal) -> Said {
    let address = row.from.to_string();
    let replies = |lines: &[String]| {
        let lines: Vec<String> = lines.iter().map(|line| format!("S: {line}")).collect();
        let lines = normal.lines(&lines).into_iter();
        lines
            .map(|l| without_place(l.get(3..).unwrap_or_default()).replace(&address, "ADDRESS"))
            .collect()
    };
    Said {
        replies: replies(&said.replies),
        after: said.after.iter().map(|(c, r)| (*c, replies(r))).collect(),
        ..said
    }
}
