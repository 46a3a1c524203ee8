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
    let mut paths = named.line.args.iter().filter(|word| word.starts_with(b"/"));
    let Some(path) = paths.next().map(|word| Path::new(OsStr::from_bytes(word))) else {
        return;
    };
    if let Err(error) = may_be_written(path) {
        tell(Finding::warning(format!(
            "{}: logging/file cannot write {} ({}), so nothing is logged there; the service's user has to be able to",
            named.line.place,
            path.display(),
            reason(&error)
        )));
    }
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
