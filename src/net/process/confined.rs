//! What a sandbox of the workers needs of the configuration: what is written to, and whether a line of
//! `plugins` names a program that cannot do its work in one.
//!
//! What a plugin writes to by its arguments is not known here: that is what `sandbox_write` is for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use crate::config::{ConfigDir, PluginLine, sandbox_write};

/// The rights that a program's file gives.
const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;

/// What sessions write to beside the spool. The error is a line about what contradicts a sandbox.
pub(super) fn writable(config: &ConfigDir) -> Result<Vec<PathBuf>, String> {
    let lines = config
        .entries("plugins")
        .map_err(|error| error.to_string())?;
    for entry in &lines {
        let line = PluginLine::parse(entry).map_err(|error| error.to_string())?;
        if let Some(program) = programs(&line).into_iter().find(|path| gives_rights(path)) {
            return Err(format!(
                "{}: {} starts {}, which gains rights by its file (set-user-ID or set-group-ID), and --sandbox \
                 lets no program do that: leave --sandbox out, or queue by another plugin (queue/maildir, \
                 queue/smtp-forward, queue/qmqp)",
                line.place,
                String::from_utf8_lossy(&line.name),
                program.display()
            ));
        }
    }
    sandbox_write(config).map_err(|error| error.to_string())
}

/// The programs that a line may mean: each argument that is a path, and, where there is none, the one that
/// the plugin takes by itself.
fn programs(line: &PluginLine) -> Vec<PathBuf> {
    let named = line.args.iter().filter_map(|arg| {
        let from = arg.iter().position(|byte| *byte == b'/')?;
        let starts = from == 0 || arg[from - 1] == b'=';
        starts.then(|| PathBuf::from(OsStr::from_bytes(&arg[from..])))
    });
    let mut programs: Vec<PathBuf> = named.collect();
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if line.name.ends_with(b"queue/qmail-queue") {
        if let Some(program) = variable("QMAILQUEUE") {
            programs = vec![program.into()];
        } else if programs.is_empty() {
            let qmail = variable("QMAIL").unwrap_or_else(|| OsString::from("/var/qmail"));
            programs.push(Path::new(&qmail).join("bin/qmail-queue"));
        }
    } else if line.name.ends_with(b"queue/exim-bsmtp") && programs.is_empty() {
        programs.push("/usr/sbin/rsmtp".into());
    }
    programs
}

/// Whether who runs it becomes somebody else.
fn gives_rights(program: &Path) -> bool {
    let Ok(found) = program.metadata() else {
        return false;
    };
    let (mode, user, group) = (found.mode(), geteuid().as_raw(), getegid().as_raw());
    found.is_file()
        && (mode & SET_USER != 0 && found.uid() != user
            || mode & SET_GROUP != 0 && found.gid() != group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Entry, Place};

    fn of(text: &str) -> Vec<PathBuf> {
        let place = Place {
            file: Path::new("/etc/plugins").into(),
            line: 1,
        };
        let text = text.as_bytes().to_vec();
        programs(&PluginLine::parse(&Entry { text, place }).unwrap())
    }

    #[test]
    fn a_line_s_programs_are_its_paths_and_what_its_plugin_takes_by_itself() {
        let paths = |text: &[&str]| text.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(of("rcpt_ok max_recipients 100"), paths(&[]));
        assert_eq!(
            of("other with/a /bin/a b=/bin/b"),
            paths(&["/bin/a", "/bin/b"])
        );
        assert_eq!(of("queue/exim-bsmtp"), paths(&["/usr/sbin/rsmtp"]));
        assert_eq!(
            of("queue/exim-bsmtp exim_path /usr/sbin/exim4"),
            paths(&["/usr/sbin/exim4"])
        );
        assert_eq!(
            of("queue/qmail-queue"),
            paths(&["/var/qmail/bin/qmail-queue"])
        );
    }
}
