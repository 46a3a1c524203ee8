//! The pid file: refused while its process lives, written at the start, removed at the end.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

/// A pid file that names this process, or will; dropping it removes it if it is this process's.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
    ours: bool,
}

impl PidFile {
    /// Takes the file, unless the process that it names still runs.
    pub(super) fn take(path: &Path) -> Result<PidFile, String> {
        // The directory may change under a relative path, and the file is removed at the end.
        let path = std::path::absolute(path).map_err(|error| problem(path, "find", &error))?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(|error| problem(&path, "open", &error))?;
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
        let mut taken = PidFile {
            path,
            file,
            ours: false,
        };
        taken.claim()?;
        Ok(taken)
    }

    /// One that still names the process that this one replaces, opened by that.
    pub(super) fn adopt(path: &Path, file: File) -> Result<PidFile, String> {
        let path = std::path::absolute(path).map_err(|error| problem(path, "find", &error))?;
        Ok(PidFile {
            path,
            file,
            ours: false,
        })
    }

    /// Writes this process's number into it.
    pub(super) fn claim(&mut self) -> Result<(), String> {
        let file = &mut self.file;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(|error| problem(&self.path, "write", &error))?;
        self.ours = true;
        Ok(())
    }

    /// Leaves it to another process.
    pub(super) fn leave(mut self) {
        self.ours = false;
    }
}

fn problem(path: &Path, what: &str, error: &std::io::Error) -> String {
    format!(
        "cannot {what} the pid file {}: {}; check --pid-file",
        path.display(),
        crate::config::reason(error)
    )
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

impl AsFd for PidFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
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
    fn one_that_is_left_to_another_process_stays_and_an_adopted_one_is_written_when_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        fs::write(&path, "12345678\n").unwrap();
        let opened = File::options().write(true).open(&path).unwrap();
        drop(PidFile::adopt(&path, opened.try_clone().unwrap()).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "12345678\n");
        let mut adopted = PidFile::adopt(&path, opened).unwrap();
        adopted.claim().unwrap();
        let text = format!("{}\n", std::process::id());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        adopted.leave();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
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
