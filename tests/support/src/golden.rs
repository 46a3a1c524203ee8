//! Texts that are held against files of the repository. With UPDATE_EXPECTED=1 the files are written anew.

use std::fs;

use crate::repository;

/// Compares a text with `tests/SUITE/golden/NAME`.
pub fn assert_golden(suite: &str, name: &str, text: &str) {
    let path = repository().join(format!("tests/{suite}/golden/{name}"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, written,
        "{name}: UPDATE_EXPECTED=1 cargo test --test {suite} golden"
    );
}
