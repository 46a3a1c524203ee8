//! Whether qpsmtpd itself runs on this machine, and with which config directory: by what /proc tells of its
//! processes. To root it tells of all, to others of their own. Touches none of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::finding::Beside;

/// The original's daemons.
const NAMES: [&str; 3] = ["qpsmtpd-forkserver", "qpsmtpd-prefork", "qpsmtpd-async"];

/// The daemons of the original's that run, one for each config directory.
pub fn beside() -> Vec<Beside> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // A parent comes before its children, most often.
    pids.sort_unstable();
    let mut found: Vec<Beside> = Vec::new();
    for pid in pids {
        let Some(other) = look(&Path::new("/proc").join(pid.to_string()), pid) else {
            continue;
        };
        if !found.iter().any(|known| known.config == other.config) {
            found.push(other);
        }
    }
    found
}

/// The process whose directory in /proc this is. Any of it may be gone, or somebody else's.
fn look(proc: &Path, pid: u32) -> Option<Beside> {
    let words = fs::read(proc.join("cmdline")).ok()?;
    let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    let script = script(&words)?;
    let name = Path::new(script).file_name()?.to_str()?.to_owned();
    // Camelpost by the original's name is no qpsmtpd.
    let program = fs::read_link(proc.join("exe")).ok()?;
    if !program.file_name()?.as_bytes().starts_with(b"perl") {
        return None;
    }
    let environment = fs::read(proc.join("environ")).ok()?;
    let working = fs::read_link(proc.join("cwd")).ok()?;
    let config = config(&environment, script, &working)?;
    Some(Beside { name, pid, config })
}

/// The script that perl runs, where it is one of the original's daemons.
fn script<'a>(words: &[&'a [u8]]) -> Option<&'a OsStr> {
    let (program, rest) = words.split_first()?;
    let is_perl = Path::new(OsStr::from_bytes(program))
        .file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"perl"));
    let script = match is_perl {
        true => rest.iter().find(|word| !word.starts_with(b"-"))?,
        false => program,
    };
    let script = OsStr::from_bytes(script);
    let name = Path::new(script).file_name()?;
    NAMES.iter().any(|known| name == *known).then_some(script)
}

/// Its config directory, by the original's search.
fn config(environment: &[u8], script: &OsStr, working: &Path) -> Option<PathBuf> {
    let mut variables = environment.split(|byte| *byte == 0);
    let named = variables.find_map(|pair| pair.strip_prefix(b"QPSMTPD_CONFIG="));
    let dirs = named
        .map(|dir| working.join(OsStr::from_bytes(dir)))
        .into_iter()
        .chain(
            Path::new(script)
                .parent()
                .map(|dir| working.join(dir).join("config")),
        );
    dirs.into_iter().find(|dir| dir.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_s_daemons_are_known_by_the_script_that_perl_runs() {
        let script = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            script(&words).map(|found| found.to_str().unwrap().to_owned())
        };
        let of = |words: &[&str]| script(words).unwrap_or_default();
        assert_eq!(
            of(&[
                "/usr/bin/perl",
                "-Tw",
                "/usr/bin/qpsmtpd-forkserver",
                "-p",
                "25"
            ]),
            "/usr/bin/qpsmtpd-forkserver"
        );
        assert_eq!(of(&["perl5.36", "./qpsmtpd-prefork"]), "./qpsmtpd-prefork");
        assert_eq!(of(&["/usr/bin/vim", "qpsmtpd-forkserver"]), "");
        assert_eq!(of(&["perl", "-e", "qpsmtpd"]), "");
        assert_eq!(of(&[]), "");
    }

    #[test]
    fn its_config_directory_is_that_of_its_environment_or_beside_its_script() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["etc", "bin/config"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let script = dir.path().join("bin/qpsmtpd-forkserver");
        let find = |environment: &[u8]| config(environment, script.as_os_str(), dir.path());
        assert_eq!(
            find(b"A=b\0QPSMTPD_CONFIG=etc\0"),
            Some(dir.path().join("etc"))
        );
        assert_eq!(find(b"A=b\0"), Some(dir.path().join("bin/config")));
    }
}
