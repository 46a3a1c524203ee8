//! What Debian's package qpsmtpd brings, which `packaging/install-deps test` installs.

use std::fs;
use std::process::Command;

/// What dpkg knows of the package in this field.
fn field(name: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", name, "qpsmtpd"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub fn version() -> String {
    field("${Version}")
}

/// The configuration files, by their paths, each with its text.
pub fn conffiles() -> Vec<(String, String)> {
    let files = field("${Conffiles}");
    let files = files.lines().filter_map(|line| line.split(' ').nth(1));
    let read = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_else(|error| {
            panic!("{file}: {error}: packaging/install-deps test installs the package")
        });
        (file.to_owned(), text)
    };
    files.map(read).collect()
}
