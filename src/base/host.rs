//! What the configuration takes from the system: the host's name, the user's home, the
//! program's directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The host's name, the default of `me`.
pub(crate) fn hostname() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}

/// The home of the user that the process runs as: `$HOME`, else what /etc/passwd says.
pub(crate) fn home() -> Option<PathBuf> {
    let from_environment = std::env::var_os("HOME").filter(|home| !home.is_empty());
    if let Some(home) = from_environment {
        return Some(home.into());
    }
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    home_in_passwd(&passwd, rustix::process::geteuid().as_raw())
}

/// The name of the user that the process runs as, where /etc/passwd has it.
pub(crate) fn user_name() -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let uid = rustix::process::geteuid().as_raw();
    let mut users = passwd.lines().map(|line| line.split(':'));
    users.find_map(|mut fields| {
        let name = fields.next()?;
        let is_user = fields.nth(1)?.parse() == Ok(uid);
        is_user.then(|| name.to_owned())
    })
}

fn home_in_passwd(passwd: &str, uid: u32) -> Option<PathBuf> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_user = fields.get(2).and_then(|field| field.parse().ok()) == Some(uid);
        let home = fields.get(5).filter(|home| is_user && !home.is_empty())?;
        Some(PathBuf::from(home))
    })
}

/// The program by the path it was started by, which need not be where its file is: a link
/// `/srv/smtpd/qpsmtpd` has its `config` beside the link, as a script of that name would.
///
/// Found once, for a relative path means nothing after a chdir.
pub(crate) fn program_path() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(find_program).clone()
}

/// The words of this process's command line, as it was started: the memory that they were in may be its title's
/// by now (server/title.rs).
pub(crate) fn arguments() -> &'static [OsString] {
    static ARGUMENTS: OnceLock<Vec<OsString>> = OnceLock::new();
    ARGUMENTS.get_or_init(|| std::env::args_os().collect())
}

fn find_program() -> PathBuf {
    let named = arguments().first().map(PathBuf::from);
    // Of a program that was found in PATH the first argument has the name only, but the kernel
    // knows the path.
    let executed = rustix::param::linux_execfn().to_bytes();
    let executed = PathBuf::from(OsStr::from_bytes(executed));
    [named, Some(executed)]
        .into_iter()
        .flatten()
        .find(|path| is_path_of_program(path))
        .and_then(|path| std::path::absolute(path).ok())
        .or_else(|| std::env::current_exe().ok())
        .unwrap_or_default()
}

/// Whether this is a path of an existing file, and not just the running program in /proc.
fn is_path_of_program(path: &Path) -> bool {
    path.as_os_str().as_bytes().contains(&b'/') && !path.starts_with("/proc") && path.is_file()
}

/// The directory that the program is in: `config` and `plugins` beside it are defaults.
pub(crate) fn program_dir() -> Option<PathBuf> {
    program_path().parent().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name() {
        assert!(!hostname().is_empty() && !hostname().contains(&0));
    }

    #[test]
    fn a_home_is_found_by_user_id() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nsmtpd:x:102:105::/var/spool/qpsmtpd:/bin/false\nx:x:7:7:::\n";
        assert_eq!(
            home_in_passwd(passwd, 102),
            Some("/var/spool/qpsmtpd".into())
        );
        assert_eq!(home_in_passwd(passwd, 7), None);
        assert_eq!(home_in_passwd(passwd, 8), None);
    }
}
