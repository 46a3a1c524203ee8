//! The sandbox's files: what may be written, made, removed or moved, and beneath what, by landlock(7). Reading
//! and running is left to file permissions. Of an open file nothing is taken: logs that were opened while
//! plugins loaded are written on.
//!
//! landlock knows paths as they are when this is made: what is put in the place of a file later is another file.
//! It does not hold back changes of modes, owners, times and attributes.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};

/// The last ABI that knows further ways of writing: those of later ones are ioctl of devices and sockets.
const KNOWN: ABI = ABI::V3;

/// The first in which a file can be moved from one directory to another at all: without it no maildir, and
/// no other queue, can be written.
const NEEDED: ABI = ABI::V2;

/// What every Perl program writes to now and then, or the programs that it starts.
const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/tty",
    "/dev/random",
    "/dev/urandom",
];

/// The rules of the file system, made once and entered by each worker.
#[derive(Debug)]
pub(super) struct Files(RulesetCreated);

impl Files {
    /// Rules for these, the directories of temporary files, and what each program writes to. Also as a text.
    pub(super) fn beneath(mut writable: Vec<PathBuf>) -> Result<(Files, String), String> {
        writable.extend(temporary());
        // By their own names: what a link is named does not count for the kernel either.
        let mut paths: Vec<PathBuf> = Vec::new();
        for path in &writable {
            let found = path
                .canonicalize()
                .map_err(|error| cannot_open(path, &error))?;
            if found == Path::new("/") {
                return Err(format!(
                    "--sandbox landlock: {} is the root directory, so nothing would be held back; name the \
                     directories that are written to in spool_dir and sandbox_write",
                    path.display()
                ));
            }
            if !paths.contains(&found) {
                paths.push(found);
            }
        }
        let shown: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let devices = DEVICES.map(PathBuf::from);
        paths.extend(devices.into_iter().filter(|path| path.exists()));
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_write(KNOWN))
            .and_then(Ruleset::create)
            .map_err(|error| format!("--sandbox landlock: {error}"))?;
        for path in &paths {
            rules = rules
                .add_rule(rule(path)?)
                .map_err(|error| format!("--sandbox landlock: {}: {error}", path.display()))?;
        }
        Ok((Files(rules), shown.join(", ")))
    }

    pub(super) fn copy(&self) -> std::io::Result<Files> {
        self.0.try_clone().map(Files)
    }

    /// Holds them back from now on. Gives what the kernel has of landlock.
    pub(super) fn enter(self) -> Result<String, String> {
        let status = self.0.restrict_self().map_err(|error| {
            format!("--sandbox landlock: {error}; leave it out, or start the service where that is allowed")
        })?;
        found(&status.landlock, &status.ruleset)
    }
}

/// What there is of landlock, as a few words, where that is enough.
fn found(landlock: &LandlockStatus, ruleset: &RulesetStatus) -> Result<String, String> {
    let &LandlockStatus::Available {
        effective_abi,
        kernel_abi,
    } = landlock
    else {
        return Err(missing(landlock));
    };
    let number = kernel_abi.unwrap_or(effective_abi as i32);
    if effective_abi < NEEDED {
        return Err(format!(
            "--sandbox landlock: this kernel has ABI {number} of landlock, in which no file can be moved to \
             another directory, as queues and maildirs do; ABI 2 (Linux 5.19) is needed: leave landlock out, \
             or start a later kernel"
        ));
    }
    if *ruleset == RulesetStatus::NotEnforced {
        return Err(format!(
            "--sandbox landlock: this kernel has ABI {number} of landlock, but holds nothing back by it; leave \
             landlock out to run without it"
        ));
    }
    let lacks = match effective_abi < KNOWN {
        true => ", which does not hold back truncate(2)",
        false => "",
    };
    Ok(format!("ABI {number}{lacks}"))
}

fn missing(status: &LandlockStatus) -> String {
    let what = match status {
        LandlockStatus::NotEnabled => {
            "this kernel has landlock, but it was not started with it (lsm= on its command line)"
        }
        _ => {
            "this kernel has no landlock (CONFIG_SECURITY_LANDLOCK, Linux 5.13), or whoever started the service \
             lets nobody use it (systemd's SystemCallFilter=: see docs/service.md)"
        }
    };
    format!("--sandbox landlock: {what}; leave landlock out to run without it")
}

/// Where Perl and the programs that it starts put temporary files: under -T perl does not look at TMPDIR.
fn temporary() -> Vec<PathBuf> {
    let named = std::env::var_os("TMPDIR").map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute());
    let all = named.into_iter().chain([PathBuf::from("/tmp")]);
    all.filter(|path| path.is_dir()).collect()
}

fn rule(path: &Path) -> Result<PathBeneath<PathFd>, String> {
    let opened = PathFd::new(path).map_err(|error| format!("--sandbox landlock: {error}"))?;
    let all: BitFlags<AccessFs> = AccessFs::from_write(KNOWN);
    // A file has no entries: the kernel refuses the rule where it says something of them.
    let access = match path.is_dir() {
        true => all,
        false => all & AccessFs::from_file(KNOWN),
    };
    Ok(PathBeneath::new(opened, access))
}

fn cannot_open(path: &Path, error: &std::io::Error) -> String {
    format!(
        "--sandbox landlock: {}: {error}; it is to be written to, so it must be there when the service starts",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_and_the_root_directory_are_refused_by_name() {
        for (path, says) in [
            ("/nonexistent/dir", "/nonexistent/dir: No such file"),
            ("/tmp/..", "/tmp/.. is the root directory"),
        ] {
            let problem = Files::beneath(vec![path.into()]).unwrap_err();
            assert!(
                problem.contains(says) && !problem.contains('\n'),
                "{problem}"
            );
        }
    }

    #[test]
    fn directories_files_and_the_temporary_directory_are_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let writable = vec![
            file.clone(),
            dir.path().into(),
            file.clone(),
            "/tmp/".into(),
        ];
        let (_, told) = Files::beneath(writable).unwrap();
        let once = |path: &Path| {
            told.split(", ")
                .filter(|one| Path::new(one) == path)
                .count()
        };
        assert_eq!(once(&file.canonicalize().unwrap()), 1, "{told}");
        assert_eq!(
            once(&Path::new("/tmp").canonicalize().unwrap()),
            1,
            "{told}"
        );
    }

    fn kernel(effective_abi: ABI, kernel_abi: Option<i32>) -> LandlockStatus {
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        }
    }

    #[test]
    fn a_kernel_without_what_is_needed_is_named_with_what_to_do() {
        let whole = RulesetStatus::FullyEnforced;
        for (status, says) in [
            (LandlockStatus::NotEnabled, "lsm="),
            (LandlockStatus::NotImplemented, "no landlock"),
            (
                kernel(ABI::V1, None),
                "ABI 1 of landlock, in which no file can be moved",
            ),
        ] {
            let problem = found(&status, &whole).unwrap_err();
            assert!(
                problem.contains(says) && problem.contains("leave landlock out"),
                "{problem}"
            );
        }
        let nothing = RulesetStatus::NotEnforced;
        assert!(found(&kernel(ABI::V3, None), &nothing).is_err());
    }

    #[test]
    fn the_kernel_s_abi_is_told_and_what_it_cannot_hold_back() {
        let told = |status| found(&status, &RulesetStatus::PartiallyEnforced).unwrap();
        assert_eq!(
            told(kernel(ABI::V2, None)),
            "ABI 2, which does not hold back truncate(2)"
        );
        assert_eq!(told(kernel(ABI::V3, None)), "ABI 3");
        assert_eq!(told(kernel(ABI::V6, Some(99))), "ABI 99");
    }
}
