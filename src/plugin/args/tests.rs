use std::time::Duration;

use serde::Deserialize;

use super::{Size, Words, read};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Args {
    max: u32,
    wait: Duration,
    size: Size,
    strict: bool,
    mode: Mode,
    zones: Vec<String>,
    ratio: Option<f64>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Plain,
    Soft,
    Hard,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Lenient {
    zone: String,
}

fn words(line: &str) -> Vec<Vec<u8>> {
    let words = line.split_ascii_whitespace();
    words.map(|word| word.as_bytes().to_vec()).collect()
}

fn args(line: &str) -> Result<Args, String> {
    read(&words(line), &[]).map_err(|error| error.to_string())
}

#[test]
fn pairs_fill_the_fields_of_these_names() {
    let line = "max 5 wait 2m size 64K strict yes mode soft zones a.example,b.example ratio 0.5";
    let expected = Args {
        max: 5,
        wait: Duration::from_secs(120),
        size: Size(65_536),
        strict: true,
        mode: Mode::Soft,
        zones: vec!["a.example".to_owned(), "b.example".to_owned()],
        ratio: Some(0.5),
    };
    assert_eq!(args(line), Ok(expected));
    assert_eq!(args(""), Ok(Args::default()));
}

#[test]
fn a_time_is_in_seconds_where_it_names_no_unit() {
    let wait = |text: &str| args(&format!("wait {text}")).map(|args| args.wait);
    assert_eq!(wait("90"), Ok(Duration::from_secs(90)));
    assert_eq!(wait("1500ms"), Ok(Duration::from_millis(1500)));
    assert_eq!(wait("1d"), Ok(Duration::from_secs(86_400)));
}

#[test]
fn a_wrong_value_is_told_what_is_allowed() {
    for (line, said) in [
        (
            "max many",
            "argument 'max' takes a whole number from 0 to 4294967295, not 'many'",
        ),
        (
            "max -1",
            "argument 'max' takes a whole number from 0 to 4294967295, not '-1'",
        ),
        (
            "max +1",
            "argument 'max' takes a whole number from 0 to 4294967295, not '+1'",
        ),
        (
            "strict maybe",
            "argument 'strict' takes yes or no (or on, off, true, false, 1, 0), not 'maybe'",
        ),
        (
            "mode loud",
            "argument 'mode' takes plain, soft or hard, not 'loud'",
        ),
        (
            "wait 3y",
            "argument 'wait' takes a time in seconds, or with a unit (ms, s, m, h, d) such as 90s or 2h, not '3y'",
        ),
        (
            "size 5T",
            "argument 'size' takes a number of bytes, with or without K, M or G (1024 each) such as 64M, not '5T'",
        ),
        (
            "size 99999999999G",
            "argument 'size' takes a number of bytes, with or without K, M or G (1024 each) such as 64M, not '99999999999G'",
        ),
        ("ratio NaN", "argument 'ratio' takes a number, not 'NaN'"),
    ] {
        assert_eq!(args(line), Err(said.to_owned()), "{line}");
    }
}

#[test]
fn an_unknown_argument_is_told_which_there_are() {
    let known = "there are: max, wait, size, strict, mode, zones, ratio";
    let said = format!("unknown argument 'maks'; {known}");
    assert_eq!(args("maks 5"), Err(said));
    // A plugin need not ask for that.
    let lenient =
        read::<Lenient>(&words("zone a zona b"), &["loglevel"]).map_err(|error| error.to_string());
    let said = "unknown argument 'zona'; there are: zone, loglevel";
    assert_eq!(lenient, Err(said.to_owned()));
}

#[test]
fn an_argument_without_value_twice_or_not_there_is_named() {
    let said = "argument 'max' has no value: arguments are pairs, name value";
    assert_eq!(args("strict no max"), Err(said.to_owned()));
    let said = "argument 'max' stands there twice";
    assert_eq!(args("max 1 max 1"), Err(said.to_owned()));
    let missing = read::<Lenient>(&[], &[]).map_err(|error| error.to_string());
    assert_eq!(missing, Err("argument 'zone' is missing".to_owned()));
}

#[test]
fn positional_words_come_as_they_are_in_their_order() {
    let line = [&b"b"[..], b"a", b"a", b"\xff"].map(<[u8]>::to_vec);
    assert_eq!(read::<Words>(&line, &[]).unwrap(), Words(line.to_vec()));
}

#[test]
fn a_plugin_without_arguments_takes_none() {
    assert!(read::<()>(&[], &[]).is_ok());
    let said = read::<()>(&words("loud"), &[]).unwrap_err().to_string();
    assert_eq!(said, "unknown argument 'loud': there are none");
}
