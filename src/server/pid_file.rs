//! The pid file: refused while its process lives, written at the start, removed at the end.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

/// A pid file that names this process; dropping it removes it.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Takes the file, unless the process that it names still runs.
    pub(super) fn take(path: &Path) -> Result<PidFile, String> {
        let problem = |what: &str, error: std::io::Error| {
            format!(
                "cannot {what} the pid file {}: {}; check --pid-file",
                path.display(),
                crate::config::reason(&error)
            )
        };
        // The directory may change under a relative path, and the file is removed at the end.
        let path = std::path::absolute(path).map_err(|error| problem("find", error))?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(|error| problem("open", error))?;
        let mut old = String::new();
        let _ = Read::by_ref(&mut file).take(32).read_to_string(&mut old);
        if let Some(pid) = old.trim().parse().ok().and_then(Pid::from_raw)
            && is_mail_daemon(pid)
        {
            return Err(format!(
                "already running with pid {}, as the pid file {} says; stop it first or give \
                 another --pid-file",
                old.trim(),
                path.display()
            ));
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(|error| problem("write", error))?;
        Ok(PidFile { path, file })
    }
}

/// Whether this process lives and is a mail daemon. A number that another program has got since
/// (after a restart of the machine) is no reason not to start.
fn is_mail_daemon(pid: Pid) -> bool {
    if pid == rustix::process::getpid() || test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(command) => {
            let command = String::from_utf8_lossy(&command);
            command.contains("camelpost") || command.contains("qpsmtpd")
        }
        Err(_) => true,
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // The service user often may not remove a file that root made; an empty one is as good.
        if fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_pid_and_is_removed_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let taken = PidFile::take(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        drop(taken);
        assert!(!path.exists());
    }

    #[test]
    fn one_of_a_dead_or_foreign_process_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        for old in ["999999999\n", "1\n", "rubbish", ""] {
            fs::write(&path, old).unwrap();
            PidFile::take(&path).unwrap();
        }
    }

    #[test]
    fn a_missing_directory_is_one_clear_line() {
        let problem = PidFile::take(Path::new("/nonexistent/pid")).unwrap_err();
        assert!(problem.contains("/nonexistent/pid") && !problem.contains('\n'));
    }
}
