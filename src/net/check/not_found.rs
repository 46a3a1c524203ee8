//! What was meant by the name of a Perl plugin that is not found: one that is there, or what it is called now. Loads
//! nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::base::likely::likely;
use crate::plugin::without_number;

use super::known_plugins::renamed;

/// What is to be added to a text that says that a plugin is not found; nothing for other texts.
pub(super) fn hint(text: &str, dirs: &[Vec<u8>]) -> String {
    let rest = text.split_once("plugin ").map(|(_, rest)| rest);
    let name = rest.and_then(|rest| rest.split_once(" not found"));
    name.map_or_else(String::new, |(name, _)| meant(name, dirs))
}

/// What was meant by a name, as the end of a sentence.
fn meant(name: &str, dirs: &[Vec<u8>]) -> String {
    let name = without_number(name);
    let there = there(dirs);
    let new = renamed(name);
    if new != name && there.iter().any(|found| found == new) {
        return format!("; it is called {new} since qpsmtpd 0.94");
    }
    match likely(name, there.iter().map(String::as_str)) {
        Some(meant) => format!("; {meant} is there"),
        None => String::new(),
    }
}

/// The plugins in these directories, and one level below: `rcpt_ok`, `queue/maildir`.
fn there(dirs: &[Vec<u8>]) -> Vec<String> {
    let mut names = Vec::new();
    for dir in dirs {
        add(Path::new(OsStr::from_bytes(dir)), "", &mut names);
    }
    names
}

fn add(dir: &Path, before: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        match entry.path().is_dir() {
            true if before.is_empty() => add(&entry.path(), &format!("{name}/"), names),
            true => {}
            false => names.push(format!("{before}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slip_and_an_old_name_lead_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("queue")).unwrap();
        for name in ["rcpt_ok", "relay", "queue/maildir"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let dirs = [dir.path().as_os_str().as_bytes().to_vec()];
        let of = |name: &str| hint(&format!("x:1: plugin {name} not found; and so on"), &dirs);
        assert_eq!(of("rcpt_ko"), "; rcpt_ok is there");
        assert_eq!(of("queue/mailder:2"), "; queue/maildir is there");
        assert_eq!(of("check_relay"), "; it is called relay since qpsmtpd 0.94");
        assert_eq!(of("something_else"), "");
        assert_eq!(hint("x:1: plugin a dies", &dirs), "");
    }
}
