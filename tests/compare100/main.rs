//! The comparison with upstream's 1.00: every dialogue with Camelpost in the profile 1.00, with fast paths
//! and without, beside what upstream's daemon has answered.
//!
//! Its answers are recorded in `tests/recorded_100`, so that this needs no checkout. Where
//! `QPSMTPD_100` names one, the dialogues are held with upstream's own plugin files, too; with
//! UPDATE_EXPECTED=1, its daemon is asked anew (`make record-100`); with COMPARE_ONLY=upstream, its
//! daemon is compared with what was recorded: what differs then is chance. Differences that are meant are
//! listed in `tests/known_differences_100.txt`.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

mod recorded;

use camelpost_oracle::daemon::{Which, upstream};
use camelpost_oracle::dialogue::ConfigSet;
use camelpost_oracle::ground::PACKAGE_PLUGINS;
use camelpost_oracle::known::{Known, LIST_100, matches, without_mark};
use camelpost_oracle::normal::Normal;
use camelpost_oracle::sets::SETS;
use camelpost_oracle::stage::{Half, Stage};
use camelpost_oracle::twins::{IN_PERL, NATIVE, in_perl, in_rust_100, native_mark, unmended_half};
use camelpost_oracle::{compare, each_set, keyless, read_set, report_of};
use recorded::{OWN, PACKAGE, Recorded};

const CAMELPOST: Which = Which::Camelpost(env!("CARGO_BIN_EXE_camelpost"));
const PLAIN: Which = Which::Plain(env!("CARGO_BIN_EXE_camelpost"));

macro_rules! compared {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("../dialogues/", stringify!($name), ".txt"));
            if let Err(report) = play(stringify!($name), text) {
                panic!("{report}");
            }
        }
    )*};
}

each_set!(compared);

fn play(name: &str, text: &str) -> Result<(), String> {
    let checkout = upstream();
    let own = checkout.map(|dir| dir.join("plugins").display().to_string());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let own = own.ok_or("QPSMTPD_100 has to name the checkout that is to be recorded")?;
        return record(name, text, &own);
    }
    let recorded = Recorded::read(&set(name, text, PACKAGE_PLUGINS)?)?;
    let mut known = Known::read(LIST_100)?;
    let mut which = CAMELPOST;
    if std::env::var("COMPARE_ONLY").is_ok_and(|only| only == Which::Upstream.name()) {
        (known, which) = (Known::default(), Which::Upstream);
    }
    let with = |which, plugins: &str, recorded: &Result<Half, String>, mark| {
        let Ok(recorded) = recorded else {
            return Ok(String::new());
        };
        let stage = Stage::new(set(name, text, plugins)?)?;
        let half = keyless(stage.half(which, Some(recorded))?);
        let report = compare(&stage.set, mark, recorded, &half, &known);
        Ok::<_, String>(report)
    };
    let with_settings = |set: Option<ConfigSet>, recorded: &Result<Half, String>, mark: &str| {
        let (Some(set), Ok(recorded)) = (set, recorded) else {
            return Ok(String::new());
        };
        let stage = Stage::new(set)?;
        let half = keyless(stage.half(which, Some(recorded))?);
        let (recorded, half) = match mark.ends_with(NATIVE) {
            true => (
                unmended_half(recorded.clone(), &stage.set),
                unmended_half(half, &stage.set),
            ),
            false => (recorded.clone(), half),
        };
        Ok::<_, String>(compare(&stage.set, mark, &recorded, &half, &known))
    };
    let as_usual = set(name, text, PACKAGE_PLUGINS)?;
    let has_twins = !native_mark(&as_usual).is_empty();
    let perl = has_twins.then(|| in_perl(as_usual));
    let natively = in_rust_100(set(name, text, PACKAGE_PLUGINS)?);
    let marked = format!("{PACKAGE}{NATIVE}");
    // Where upstream does not start, there is nothing to compare. Side by side, as all wait most of the time.
    let (report, plain, perl, natively) = std::thread::scope(|scope| {
        let plain = scope.spawn(|| match which {
            Which::Camelpost(_) => with(PLAIN, PACKAGE_PLUGINS, &recorded.package, PACKAGE),
            _ => Ok(String::new()),
        });
        let perl = scope.spawn(|| with_settings(perl, &recorded.package, IN_PERL));
        let natively = scope.spawn(|| with_settings(natively, &recorded.package, &marked));
        let report = with(which, PACKAGE_PLUGINS, &recorded.package, PACKAGE);
        let died = || "a thread of this set has died".to_owned();
        (
            report,
            plain.join().unwrap_or_else(|_| Err(died())),
            perl.join().unwrap_or_else(|_| Err(died())),
            natively.join().unwrap_or_else(|_| Err(died())),
        )
    });
    let (mut report, plain, mut differs) = (report?, plain?, natively?);
    if !plain.is_empty() {
        report.push_str("\nWithout fast paths (CAMELPOST_PLAIN=1):\n");
        report.push_str(&plain);
    }
    report.push_str(&perl?);
    if let Some(own) = &own {
        let natively = in_rust_100(set(name, text, own)?);
        let mark = format!("{OWN}{NATIVE}");
        differs.push_str(&with_settings(natively, &recorded.own, &mark)?);
    }
    if !differs.is_empty() {
        report.push_str("\nWith native plugins (plugin_settings: NAME native):\n");
        report.push_str(&differs);
    }
    if let Some(own) = own {
        report.push_str(&with(which, &own, &recorded.own, OWN)?);
    }
    report_of(report)
}

/// A set with the plugin files of this directory, in the profile 1.00.
fn set(name: &str, text: &str, plugins: &str) -> Result<ConfigSet, String> {
    let mut set = read_set(name, text)?;
    set.files
        .push(("config/compat".to_owned(), "1.00\n".to_owned()));
    set.package = Some(plugins.to_owned());
    Ok(set)
}

/// Asks upstream's daemon, with each of the two sets of plugin files.
fn record(name: &str, text: &str, own: &str) -> Result<(), String> {
    let answers = |plugins: &str| {
        let stage = Stage::new(set(name, text, plugins)?)?;
        let half = stage.half(Which::Upstream, None).map(keyless);
        Ok::<_, String>(half.map_err(|why| in_one_line(&why, &stage.normal)))
    };
    let recorded = Recorded {
        package: answers(PACKAGE_PLUGINS)?,
        own: match set(name, text, own)?.not_upstream {
            Some(why) => Err(format!("is not played: {why}")),
            None => answers(own)?,
        },
    };
    recorded.write(&set(name, text, own)?)
}

/// Why a daemon has not started, in its own last words.
fn in_one_line(why: &str, normal: &Normal) -> String {
    let lines: Vec<String> = why.lines().map(|line| format!("L: {line}")).collect();
    let lines = normal.lines(&lines);
    let last = lines
        .last()
        .map_or("", |line| line.trim_start_matches("L: "));
    format!("does not start: {last}")
}

#[test]
fn each_known_difference_names_a_dialogue() {
    let known = Known::read(LIST_100).expect("known_differences_100.txt can be read");
    let mut names = Vec::new();
    for (name, text) in SETS {
        let set = read_set(name, text).expect("the set can be read");
        names.extend(set.dialogues.iter().map(|d| format!("{name}/{}", d.name)));
    }
    for entry in &known.entries {
        let pattern = without_mark(&entry.pattern);
        assert!(
            names.iter().any(|name| matches(pattern, name)),
            "known_differences_100.txt line {}: no dialogue is named {pattern}",
            entry.line,
        );
    }
}
