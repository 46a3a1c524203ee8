//! The pid file: refused while its process lives, written at the start, removed at the end. The
//! start is root's, and the directory may be somebody else's: what is there is looked at before it is
//! read or written, and a link is never followed.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, geteuid, test_kill_process};

/// More bytes than any process's number and its end of line have.
const LONGEST: u64 = 32;

/// A pid file that names this process, or will; dropping it removes it if it is this process's.
#[derive(Debug)]
pub(in crate::server) struct PidFile {
    path: PathBuf,
    file: File,
    ours: bool,
}

impl PidFile {
    /// Takes the file, unless the process that it names still runs.
    pub(in crate::server) fn take(path: &Path) -> Result<PidFile, String> {
        // The directory may change under a relative path, and the file is removed at the end.
        let path = std::path::absolute(path).map_err(|error| problem(path, "find", &error))?;
        let mut file = open(&path)?;
        let mut old = String::new();
        let _ = Read::by_ref(&mut file)
            .take(LONGEST)
            .read_to_string(&mut old);
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
    pub(in crate::server) fn adopt(path: &Path, file: File) -> Result<PidFile, String> {
        let path = std::path::absolute(path).map_err(|error| problem(path, "find", &error))?;
        Ok(PidFile {
            path,
            file,
            ours: false,
        })
    }

    /// Writes this process's number into it.
    pub(in crate::server) fn claim(&mut self) -> Result<(), String> {
        let file = &mut self.file;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(|error| problem(&self.path, "write", &error))?;
        self.ours = true;
        Ok(())
    }

    /// Leaves it to another process.
    pub(in crate::server) fn leave(mut self) {
        self.ours = false;
    }
}

/// Opens the file, or makes it. What is there already has to be a pid file, and not one of somebody
/// who could have put it there for root to write to.
fn open(path: &Path) -> Result<File, String> {
    // A fifo or a device may keep who opens it waiting.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(flags)
        .open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(unfit(path, "it is a link to another file"));
        }
        opened => opened.map_err(|error| problem(path, "open", &error))?,
    };
    let found = file
        .metadata()
        .map_err(|error| problem(path, "look at", &error))?;
    let me = geteuid().as_raw();
    let what = if !found.is_file() {
        "it is no plain file".to_owned()
    } else if found.nlink() != 1 {
        "the file has other names, too".to_owned()
    } else if found.uid() != 0 && found.uid() != me {
        format!("it belongs to user {}, who is not root", found.uid())
    } else if found.len() > LONGEST {
        "it holds more than the number of a process".to_owned()
    } else {
        return Ok(file);
    };
    Err(unfit(path, &what))
}

fn unfit(path: &Path, what: &str) -> String {
    format!(
        "cannot use the pid file {}: {what}; remove it, or check --pid-file",
        path.display()
    )
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
        // Whatever else has its name by now is not this process's to remove.
        if let (Ok(ours), Ok(now)) = (self.file.metadata(), fs::symlink_metadata(&self.path))
            && (ours.dev(), ours.ino()) != (now.dev(), now.ino())
        {
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

    /// What is said of a path that is not taken.
    fn refused(path: &Path) -> String {
        let problem = PidFile::take(path).unwrap_err();
        assert!(problem.contains(&path.display().to_string()), "{problem}");
        assert!(problem.contains("--pid-file") && !problem.contains('\n'));
        problem
    }

    #[test]
    fn a_link_is_not_followed_and_what_it_leads_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (path, precious) = (dir.path().join("pid"), dir.path().join("precious"));
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        assert!(refused(&path).contains("a link"));
        assert!(!precious.exists());
        fs::write(&precious, "7\n").unwrap();
        assert!(refused(&path).contains("a link"));
        fs::remove_file(&path).unwrap();
        fs::hard_link(&precious, &path).unwrap();
        assert!(refused(&path).contains("other names"));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "7\n");
    }

    #[test]
    fn what_is_no_pid_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let text = "root:*:20228:0:99999:7:::\ndaemon:*:20228:0:99999:7:::\n";
        fs::write(&path, text).unwrap();
        assert!(refused(&path).contains("more than the number"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(refused(Path::new("/dev/null")).contains("no plain file"));
    }

    #[test]
    fn a_fifo_keeps_nobody_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, 0o600.into(), 0).unwrap();
        assert!(refused(&path).contains("no plain file"));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        fs::write(&path, "1\n").unwrap();
        std::os::unix::fs::chown(&path, Some(54_321), None).unwrap();
        assert!(refused(&path).contains("user 54321"));
    }

    #[test]
    fn what_has_its_name_at_the_end_and_is_another_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let taken = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(taken);
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
    }

    #[test]
    fn a_missing_directory_is_one_clear_line() {
        let problem = PidFile::take(Path::new("/nonexistent/pid")).unwrap_err();
        assert!(problem.contains("/nonexistent/pid") && !problem.contains('\n'));
    }
}
