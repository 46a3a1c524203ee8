//! What a process that ended in the middle of a message has left in the spool directory. Knows only
//! the form of the names: `SECONDS:PID:N` for messages, `SECONDS:PID:tN` for files and directories
//! of plugins.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Removes them; gives how many there were. To be called as long as no other process can have got
/// the number, or shortly after.
pub fn remove_left_by(dir: &Path, pid: u32) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if maker(entry.file_name().as_bytes()) != Some(pid) {
            continue;
        }
        let path = entry.path();
        // What the link points to is not ours.
        let gone = match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
        match gone {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// The process that has made a file of this name, if it is one of the spool's.
fn maker(name: &[u8]) -> Option<u32> {
    let mut parts = std::str::from_utf8(name).ok()?.split(':');
    let (seconds, pid, number) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = digits(number.strip_prefix('t').unwrap_or(number));
    let whole = parts.next().is_none() && digits(seconds) && digits(pid) && numbered;
    whole.then(|| pid.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_has_left_goes_and_all_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let theirs = ["1:77:0", "1700000000:77:12", "1700000000:77:t1"];
        let others = [
            "1:78:0", "1:777:0", "x:77:0", "1:77", "1:77:0:1", "1:77:x", "77",
        ];
        for name in theirs.iter().chain(&others) {
            fs::write(path(name), "mail").unwrap();
        }
        fs::create_dir(path("2:77:t2")).unwrap();
        fs::write(path("2:77:t2").join("inside"), "").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("kept"), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), path("3:77:t3")).unwrap();

        assert_eq!(remove_left_by(dir.path(), 77).unwrap(), 5);
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = others.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(left, expected);
        assert!(elsewhere.path().join("kept").exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        assert!(remove_left_by(Path::new("/nonexistent/spool"), 1).is_err());
    }
}
