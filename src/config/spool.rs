//! The spool directory: where it is, and that it is there with the rights asked for.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::error::{ConfigError, reason};

/// `spool_dir` and `spool_perms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolDir {
    /// Ends in a slash, as plugins see it.
    pub path: PathBuf,
    pub mode: u32,
}

impl SpoolDir {
    pub fn new(path: &Path, mode: u32) -> SpoolDir {
        let mut path = path.to_path_buf();
        if !path.as_os_str().as_bytes().ends_with(b"/") {
            path.as_mut_os_string().push("/");
        }
        SpoolDir { path, mode }
    }

    /// Makes the directory where it is missing (not the ones above it). To be called as the
    /// service user. Gives the original's warning, to be logged at LOGWARN, where its rights
    /// are others than asked for.
    pub fn prepare(&self) -> Result<Option<String>, ConfigError> {
        let failed = |what: &str, reason: String| ConfigError::Spool {
            path: self.path.clone(),
            reason: format!("{what}: {reason}"),
        };
        if !self.path.exists() {
            let made = DirBuilder::new().mode(self.mode).create(&self.path);
            // The umask may have taken rights away.
            let made = made
                .and_then(|()| fs::set_permissions(&self.path, Permissions::from_mode(self.mode)));
            made.map_err(|error| failed("could not create it", reason(&error)))?;
        }
        let found = fs::metadata(&self.path)
            .map_err(|error| failed("could not look at it", reason(&error)))?;
        if !found.is_dir() {
            return Err(failed(
                "could not use it",
                "it is not a directory".to_owned(),
            ));
        }
        rustix::fs::accessat(
            rustix::fs::CWD,
            &self.path,
            Access::WRITE_OK | Access::EXEC_OK,
            rustix::fs::AtFlags::EACCESS,
        )
        .map_err(|error| failed("could not write to it", reason(&error.into())))?;
        let is_as_asked = found.permissions().mode() & 0o7777 == self.mode;
        let shown = self.path.display();
        Ok((!is_as_asked)
            .then(|| format!("Permissions on spool_dir {shown} are not {:04o}", self.mode)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_spool_directory_is_made_with_its_mode_and_ends_in_a_slash() {
        let dir = tempfile::tempdir().unwrap();
        let spool = SpoolDir::new(&dir.path().join("spool"), 0o770);
        assert!(spool.path.as_os_str().as_bytes().ends_with(b"spool/"));
        assert_eq!(spool.prepare(), Ok(None));
        let mode = fs::metadata(&spool.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o770);
    }

    #[test]
    fn other_rights_than_asked_for_are_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let warning = SpoolDir::new(dir.path(), 0o700).prepare().unwrap().unwrap();
        assert_eq!(
            warning,
            format!(
                "Permissions on spool_dir {}/ are not 0700",
                dir.path().display()
            )
        );
    }

    #[test]
    fn a_spool_directory_that_cannot_be_made_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for name in ["a/b", "file"] {
            let path = dir.path().join(name);
            let error = SpoolDir::new(&path, 0o700)
                .prepare()
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(&format!("{}/", path.display())) && error.contains("spool_dir"),
                "{error}"
            );
        }
    }
}
