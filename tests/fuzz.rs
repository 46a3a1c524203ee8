//! The fuzz targets of `camelpost::fuzz` without a fuzzer: the corpus in fuzz/corpus, and mutations of it
//! that a seed decides, as many as FUZZ_MUTATIONS says (for each target; an eighth for whole sessions and
//! config files). FUZZ_SEED gives others. What
//! fails is shown, and belongs into the corpus then. What a fuzzer adds, coverage, is not there.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use camelpost::fuzz::{TARGETS, Target};

/// Some seconds for all targets together without optimisation.
const MUTATIONS: u64 = 3000;

/// Pieces of which trouble is made.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b".\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\n.\r\n",
    b"..",
    b"\0",
    b"\xff",
    b" ",
    b"\t",
    b"<",
    b">",
    b"@",
    b"\"",
    b"\\",
    b"[1.2.3.4]",
    b"[IPv6:::1]",
    b"@a,@b:",
    b"EHLO x\r\n",
    b"HELO x\r\n",
    b"MAIL FROM:<a@b> SIZE=1\r\n",
    b"RCPT TO:<c@d>\r\n",
    b"DATA\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"AUTH LOGIN\r\n",
    b"=",
    b"SIZE=",
    b"0",
    b"18446744073709551616",
    b"-1",
    b"{",
    b"}",
    b"\"version\":1",
    b"\"error\":",
    b"\\u001b",
    b"# ",
    b"$",
    b"LOG",
    b"*2\r\n",
    b"$3\r\n",
];

/// xorshift64*, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % n.max(1)
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(root.join("fuzz/corpus").join(name));
    let mut files: Vec<_> = files
        .unwrap_or_else(|error| panic!("fuzz/corpus/{name}: {error}"))
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
    files.into_iter().map(read).collect()
}

fn mutated(random: &mut Random, seeds: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].1.clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[3],
            2 => {
                let end = (at + random.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => bytes.truncate(at),
            4 => {
                let end = (at + random.below(40)).min(bytes.len());
                let piece = bytes[at..end].repeat(1 + random.below(30));
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())].1;
                let from = random.below(other.len() + 1);
                bytes.splice(at..at, other[from..].iter().copied());
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
        bytes.truncate(20_000);
    }
    bytes
}

fn play(target: Target, bytes: &[u8]) -> Result<(), String> {
    std::panic::catch_unwind(|| target(bytes)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}

fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target {name}")).1
}

/// The corpus of a target, then mutations of it.
fn holds(name: &str) {
    let target = target(name);
    let seeds = corpus(name);
    assert!(!seeds.is_empty(), "fuzz/corpus/{name} is empty");
    for (path, bytes) in &seeds {
        if let Err(text) = play(target, bytes) {
            panic!("{}: {text}", path.display());
        }
    }
    let mut random = Random(number("FUZZ_SEED", 0x5eed) | 1);
    let mutations = number("FUZZ_MUTATIONS", MUTATIONS);
    // A whole session, and files, take longer than a line.
    let mutations = match name {
        "session" | "config" => mutations / 8,
        _ => mutations,
    };
    for _ in 0..mutations {
        let bytes = mutated(&mut random, &seeds);
        if let Err(text) = play(target, &bytes) {
            let input = bytes.escape_ascii();
            panic!("{name}: {text}\nwith printf '{input}' as a file of fuzz/corpus/{name}");
        }
    }
}

#[test]
fn lines_are_the_same_however_they_arrive() {
    holds("lines");
}

#[test]
fn a_command_has_a_verb_a_path_and_parameters() {
    holds("command");
}

#[test]
fn an_address_that_was_taken_is_taken_again_as_it_is_written() {
    holds("address");
}

#[test]
fn data_is_what_its_lines_say_however_it_is_cut() {
    holds("data");
}

#[test]
fn whatever_a_reply_is_made_of_it_is_one_reply() {
    holds("reply");
}

#[test]
fn a_session_says_the_same_however_the_client_s_bytes_arrive() {
    holds("session");
}

#[test]
fn a_config_file_is_understood_or_refused_with_a_plain_text() {
    holds("config");
}

#[test]
fn words_between_the_processes_are_understood_as_they_are_said_again() {
    holds("words");
}

#[test]
fn an_answer_of_redis_has_the_bytes_that_it_says() {
    holds("redis");
}

#[test]
fn the_control_socket_brings_nothing_that_acts_on_a_terminal() {
    holds("control");
}

/// The test above is only as good as its targets: one that fails is seen, and the input is shown.
#[test]
fn a_property_that_does_not_hold_fails_with_the_input() {
    let bytes = play(
        |bytes| assert!(bytes.is_empty(), "{} bytes", bytes.len()),
        b"x",
    );
    assert_eq!(bytes, Err("1 bytes".to_owned()));
}

#[test]
fn each_target_has_a_file_for_the_fuzzer_and_a_test_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
    let here = include_str!("fuzz.rs");
    for (name, _) in TARGETS {
        let file = root.join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains(&format!("camelpost::fuzz::{name}(")),
            "{name}"
        );
        assert!(
            manifest.contains(&format!("fuzz_targets/{name}.rs")),
            "{name}"
        );
        assert!(here.contains(&format!("holds(\"{name}\")")), "{name}");
    }
}

#[test]
fn a_start_script_is_read_to_its_end_and_asks_for_what_serve_takes() {
    holds("start");
}
