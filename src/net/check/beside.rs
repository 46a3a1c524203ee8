//! What this configuration shares with a qpsmtpd that runs on this machine: what both write to. What both only read
//! is no finding.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::finding::{Beside, Finding};
use crate::config::{ConfigDir, PluginLine, may_be_written, paths_of};

/// A path in a configuration.
struct Written {
    path: PathBuf,
    place: String,
}

/// Compares the configurations, and says whether they share anything.
pub(super) fn look(dir: &ConfigDir, others: &[Beside], tell: &dyn Fn(Finding)) -> bool {
    let mut shares = false;
    let own = dir.dirs().first().and_then(|dir| dir.canonicalize().ok());
    for other in others {
        let who = format!("{} (process {})", other.name, other.pid);
        let same = |own: &PathBuf| other.config.canonicalize().is_ok_and(|path| path == *own);
        if own.as_ref().is_some_and(same) {
            shares = true;
            tell(Finding::warning(format!(
                "{}: {who} runs with this directory: spool, logs and databases are shared until it is stopped; \
                 to try Camelpost beside it, take a copy and name other paths in that",
                other.config.display()
            )));
            continue;
        }
        let theirs = written(&ConfigDir::new(vec![other.config.clone()]));
        for ours in written(dir) {
            if let Some(shared) = theirs.iter().find(|theirs| theirs.path == ours.path) {
                shares = true;
                tell(Finding::warning(format!(
                    "{}: {who} runs and has {}, too ({}): both write there; name another path while both run",
                    ours.place,
                    ours.path.display(),
                    shared.place
                )));
            }
        }
    }
    shares
}

/// What a configuration's spool directory and the words of its plugins' lines name, and somebody writes to.
fn written(dir: &ConfigDir) -> Vec<Written> {
    let mut found = Vec::new();
    let entries = |name| dir.entries(name).unwrap_or_default();
    if let Some(spool) = entries("spool_dir").first() {
        found.push(Written {
            path: Path::new(OsStr::from_bytes(&spool.text))
                .components()
                .collect(),
            place: spool.place.to_string(),
        });
    }
    for (name, is_log) in [("logging", true), ("plugins", false)] {
        let lines = entries(name);
        for line in lines
            .iter()
            .filter_map(|entry| PluginLine::parse(entry).ok())
        {
            let paths = paths_of(&line, &|path| path.is_dir()).into_iter();
            let paths = paths.filter(|path| is_log || may_be_written(path));
            found.extend(paths.map(|path| Written {
                path,
                place: line.place.to_string(),
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::fs;

    #[test]
    fn what_both_write_to_is_told_of_and_what_both_read_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["old", "new", "Maildir"] {
            fs::create_dir(at(name)).unwrap();
        }
        let fill = |text: &str| text.replace('@', root.path().to_str().unwrap());
        for dir in ["old", "new"] {
            fs::write(at(dir).join("spool_dir"), fill("@/spool/\n")).unwrap();
            let lines = fill("queue/maildir @/Maildir\ntls @/a.pem\nqueue/qmail-queue /bin/sh\n");
            fs::write(at(dir).join("plugins"), lines).unwrap();
            let log = fill(&format!("# x\nlogging/file @/{dir}.log\n"));
            fs::write(at(dir).join("logging"), log).unwrap();
        }
        let told = RefCell::new(Vec::new());
        let other = |config| Beside {
            name: "qpsmtpd-forkserver".to_owned(),
            pid: 7,
            config,
        };
        let config = ConfigDir::new(vec![at("new")]);
        let shares = look(&config, &[other(at("old"))], &|finding| {
            told.borrow_mut().push(finding.text);
        });
        assert!(shares);
        let told = told.take();
        assert_eq!(told.len(), 2, "{told:#?}");
        let begins = |text: &str, start: &str| text.starts_with(&fill(start));
        assert!(begins(
            &told[0],
            "@/new/spool_dir:1: qpsmtpd-forkserver (process 7)"
        ));
        assert!(begins(&told[1], "@/new/plugins:1: "), "{told:#?}");
        let same = RefCell::new(0);
        look(&config, &[other(at("new"))], &|_| *same.borrow_mut() += 1);
        assert_eq!(same.take(), 1);
    }
}
