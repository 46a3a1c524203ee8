//! Logs that logging/file cannot write: it loads all the same, and what it then says of that goes to other logging
//! plugins, if there are any. Opens nothing.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::source::Named;
use crate::base::finding::Finding;
use crate::config::reason;

/// Looks at a line's log.
pub(super) fn look(named: &Named, tell: &dyn Fn(Finding)) {
    if named.name() != "logging/file" {
        return;
    }
    let Some(path) = log_of(&named.line.args) else {
        return;
    };
    let path = Path::new(OsStr::from_bytes(&path));
    if let Err(error) = may_be_written(path) {
        tell(Finding::warning(format!(
            "{}: logging/file cannot write {} ({}), so nothing is logged there; the service's user has to be able to",
            named.line.place,
            path.display(),
            reason(&error)
        )));
    }
}

/// What the plugin takes for the log, where that is a file by its whole path: all words behind the options.
fn log_of(words: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut words = words;
    while let Some((first, rest)) = words.split_first() {
        let taken = match &first.to_ascii_lowercase()[..] {
            b"loglevel" | b"tsformat" => 1,
            b"nosplit" | b"reopen" => 0,
            _ => break,
        };
        words = rest.get(taken..)?;
    }
    // With `|` before it, it is a program.
    Some(words.join(&b' ')).filter(|log| log.starts_with(b"/"))
}

/// Whether this user can write there, or make it; where the name differs from time to time (`%Y`), above that.
fn may_be_written(path: &Path) -> io::Result<()> {
    let differs = |part: &OsStr| part.as_bytes().contains(&b'%');
    let dir = match path.iter().any(differs) {
        true => path.iter().take_while(|part| !differs(part)).collect(),
        false if path.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        false if path.exists() => {
            return Ok(accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS)?);
        }
        false => path.parent().unwrap_or(Path::new("/")).to_path_buf(),
    };
    let make = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, &dir, make, AtFlags::EACCESS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_what_stands_behind_the_options() {
        for (words, log) in [
            ("loglevel LOGINFO /var/log/q", Some("/var/log/q")),
            ("NoSplit reopen tsformat %s /my logs/q", Some("/my logs/q")),
            ("loglevel 6 | /usr/bin/logger", None),
            ("q.log", None),
            ("loglevel", None),
        ] {
            let words: Vec<Vec<u8>> = words.split(' ').map(Vec::from).collect();
            assert_eq!(log_of(&words), log.map(Vec::from), "{words:?}");
        }
    }

    #[test]
    fn a_log_is_written_where_its_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("there"), "").unwrap();
        for (name, is_fine) in [
            ("there", true),
            ("new", true),
            ("%Y/%m.log", true),
            ("none/new", false),
            ("none/%Y.log", false),
            ("", false),
        ] {
            let path = dir.path().join(name);
            assert_eq!(may_be_written(&path).is_ok(), is_fine, "{name}");
        }
    }
}
