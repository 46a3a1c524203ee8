//! The user that the service runs as: found before anything is opened, taken after the ports are
//! bound. Root stays root only where it was asked for by name. Also what nobody gets by this process
//! or from it.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::process::{DumpableBehavior, Gid, Uid, geteuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_gid, set_thread_groups, set_thread_uid,
};

use crate::server::process::{self, UserEntry};

/// Who the original runs as where nothing is said.
const DEFAULT_USER: &str = "smtpd";

/// The user to run as.
#[derive(Debug)]
pub(in crate::server) struct ServiceUser {
    entry: UserEntry,
    /// Whether this process has to change to it.
    change: bool,
    /// Who has started this process.
    before: Uid,
    /// Who runs the plugins, where that is somebody else.
    worker: Option<UserEntry>,
}

/// What the supervisor keeps where plugins run as another user: to become that one, in the process that
/// loads them, and to signal it and its workers.
const FOR_WORKERS: CapabilitySet = CapabilitySet::KILL
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID);

/// Becomes, for good and without capabilities, who loads the plugins: the user that `serve --worker-user` names, else
/// that of `--user`, or its default. The error says what to do.
pub fn become_user(wanted: Option<&str>, worker: Option<&str>) -> Result<(), String> {
    match worker {
        Some("root") => Err("--worker-user root: name a user of the plugins' own".to_owned()),
        Some(worker) => become_worker(worker),
        None => {
            ServiceUser::find(wanted, None)?.take()?;
            remain_worker()
        }
    }
}

impl ServiceUser {
    /// The user that `--user` names, or the default: smtpd if started as root, else whoever
    /// started it.
    pub(in crate::server) fn find(
        wanted: Option<&str>,
        worker: Option<&str>,
    ) -> Result<ServiceUser, String> {
        let mut user = ServiceUser::find_own(wanted)?;
        user.worker = worker.map(|name| user.find_worker(name)).transpose()?;
        Ok(user)
    }

    /// The user that `--worker-user` names.
    fn find_worker(&self, name: &str) -> Result<UserEntry, String> {
        let found = process::user_by_name(name)
            .map_err(|error| format!("cannot look up the user {name}: {error}"))?
            .ok_or_else(|| {
                format!("there is no user {name} on this machine; create it or name another with --worker-user")
            })?;
        if found.uid.is_root() {
            return Err("--worker-user root: plugins could do anything to this machine; name a user of their own".to_owned());
        }
        if found.uid == self.entry.uid {
            return Err(format!(
                "--worker-user {name} is who the service itself runs as (--user): name another one, which \
                 has no rights over it"
            ));
        }
        if has_file_capabilities() {
            return Err(
                "--worker-user: the program's file has capabilities (setcap), which plugins would get by \
                 running it; take them away (setcap -r), and give them to the service (systemd: \
                 AmbientCapabilities=)"
                    .to_owned(),
            );
        }
        let may = capabilities(None).is_ok_and(|sets| sets.permitted.contains(FOR_WORKERS));
        if !may {
            return Err(format!(
                "cannot run plugins as {name}: start as root, or give the service CAP_SETUID, CAP_SETGID and \
                 CAP_KILL (systemd: AmbientCapabilities=)"
            ));
        }
        Ok(found)
    }

    fn find_own(wanted: Option<&str>) -> Result<ServiceUser, String> {
        let me = geteuid();
        let lookup = |name: &str| {
            process::user_by_name(name)
                .map_err(|error| format!("cannot look up the user {name}: {error}"))
        };
        match wanted {
            None if me.is_root() => match lookup(DEFAULT_USER)? {
                Some(entry) => Ok(ServiceUser {
                    entry,
                    change: true,
                    before: me,
                    worker: None,
                }),
                None => Err(format!(
                    "started as root, and there is no user {DEFAULT_USER} to run as; name one \
                     with --user (--user root to stay root)"
                )),
            },
            None => Ok(ServiceUser {
                entry: by_id(me),
                change: false,
                before: me,
                worker: None,
            }),
            Some(name) => match lookup(name)? {
                None => Err(format!(
                    "there is no user {name} on this machine; create it or name another with --user"
                )),
                Some(entry) if me.is_root() => Ok(ServiceUser {
                    entry,
                    change: true,
                    before: me,
                    worker: None,
                }),
                Some(entry) if entry.uid == me => Ok(ServiceUser {
                    entry,
                    change: false,
                    before: me,
                    worker: None,
                }),
                Some(_) => Err(format!(
                    "only root can run as {name}; start as root, or leave --user out to run as {}",
                    by_id(me).name
                )),
            },
        }
    }

    /// Becomes that user, for good. To be called while there is one thread.
    pub(in crate::server) fn take(&self) -> Result<(), String> {
        if !self.change {
            return Ok(());
        }
        if self.worker.is_some() {
            // The change would take all of them.
            set_keep_capabilities(true)
                .map_err(|error| format!("cannot keep capabilities: {error}"))?;
        }
        change_to(&self.entry)
    }

    /// Gives up all capabilities but those that are needed for workers of another user. What a service
    /// manager has given to bind a port (AmbientCapabilities=) would be every plugin's and program's: gone
    /// once the ports are bound. Root keeps what makes it root.
    pub(in crate::server) fn drop_capabilities(&self) -> Result<(), String> {
        if geteuid().is_root() {
            return Ok(());
        }
        match self.worker {
            None => keep_capabilities(CapabilitySet::empty()),
            Some(_) => keep_capabilities(FOR_WORKERS),
        }
    }

    /// The name of who runs the plugins, where that is somebody else.
    pub(in crate::server) fn worker(&self) -> Option<&str> {
        self.worker.as_ref().map(|entry| entry.name.as_str())
    }

    /// Whether a process that plugins have named as a worker is theirs: with CAP_KILL the supervisor would
    /// end any other for them.
    pub(in crate::server) fn may_be_worker(&self, pid: i32, pidfd: &OwnedFd) -> bool {
        let user = self.worker.as_ref();
        user.is_none_or(|user| is_of(user.uid, pid, pidfd))
    }

    /// What the environment of plugins says of their user.
    pub(in crate::server) fn variables_of_plugins(&self) -> Vec<(&'static str, &OsStr)> {
        match &self.worker {
            Some(entry) => variables_of(entry),
            None => self.variables(),
        }
    }

    /// What the environment says of a user, where this one is not who starts the service.
    pub(in crate::server) fn variables(&self) -> Vec<(&'static str, &OsStr)> {
        let entry = &self.entry;
        if !self.change || entry.uid == self.before {
            return Vec::new();
        }
        variables_of(entry)
    }

    pub(in crate::server) fn ids(&self) -> (Uid, Gid) {
        (self.entry.uid, self.entry.gid)
    }

    pub(in crate::server) fn is_root(&self) -> bool {
        self.entry.uid.is_root()
    }

    /// For the log line that the original writes.
    pub(in crate::server) fn names(&self) -> (String, String) {
        let group = process::group_name(self.entry.gid);
        let group = group.unwrap_or_else(|| self.entry.gid.as_raw().to_string());
        (self.entry.name.clone(), group)
    }
}

/// Nobody but root looks into this process from now on: code of plugins is the same user's, and could
/// take its descriptors (pidfd_getfd), its memory (ptrace) or a core. Programs that it starts, the one
/// that loads the plugins among them, are as others are.
pub(in crate::server) fn be_opaque() -> Result<(), String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("cannot keep others from looking into this process: {error}"))
}

fn has_file_capabilities() -> bool {
    rustix::fs::getxattr("/proc/self/exe", "security.capability", &mut [0u8; 64][..]).is_ok()
}

fn keep_capabilities(kept: CapabilitySet) -> Result<(), String> {
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: kept,
    };
    // What is ambient reaches a process that is started: the one that loads the plugins, an upgrade's.
    clear_ambient_capability_set()
        .and_then(|()| set_capabilities(None, sets))
        .and_then(|()| {
            let mut each = kept.iter();
            each.try_for_each(|one| configure_capability_in_ambient_set(one, true))
        })
        .map_err(|error| format!("cannot give up capabilities: {error}"))
}

/// Whether the descriptor is that process's, and all of its users are this one. What has ended may be anybody's, and
/// so may what /proc hides (hidepid).
fn is_of(user: Uid, pid: i32, pidfd: &OwnedFd) -> bool {
    let field = |path: String, name: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    };
    let named = field(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()), "Pid:");
    let Some([named]) = named.as_deref() else {
        return false;
    };
    if named == "-1" {
        return true;
    }
    let users = field(format!("/proc/{pid}/status"), "Uid:").unwrap_or_default();
    let user = user.as_raw().to_string();
    *named == pid.to_string() && users.iter().all(|found| *found == user)
}

/// All of a process's users and groups, for good. To be called while there is one thread.
fn change_to(entry: &UserEntry) -> Result<(), String> {
    process::groups_of(entry)
        .and_then(|groups| {
            set_thread_groups(&groups)?;
            set_thread_gid(entry.gid)?;
            set_thread_uid(entry.uid)?;
            Ok(())
        })
        .map_err(|error| format!("cannot run as {}: {error}", entry.name))
}

/// In the process that loads the plugins, before it does: becomes their user, without a way back.
pub(in crate::server) fn become_worker(name: &str) -> Result<(), String> {
    let entry = process::user_by_name(name)
        .map_err(|error| format!("cannot look up the user {name}: {error}"))?
        .ok_or_else(|| format!("there is no user {name} (--worker-user)"))?;
    change_to(&entry)?;
    keep_capabilities(CapabilitySet::empty())?;
    if set_thread_uid(Uid::ROOT).is_ok() {
        return Err(format!(
            "cannot run as {name} for good: the way back to root is open"
        ));
    }
    // The change has made it what only root may look into; a plugin may look at itself.
    set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(|error| format!("cannot run as {name}: {error}"))
}

/// The same where that is who runs the service: what the program's file gives (setcap), each process that is
/// started has anew.
pub(in crate::server) fn remain_worker() -> Result<(), String> {
    if geteuid().is_root() || capabilities(None).is_ok_and(|sets| sets.permitted.is_empty()) {
        return Ok(());
    }
    keep_capabilities(CapabilitySet::empty())?;
    set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(|error| format!("cannot give up capabilities: {error}"))
}

fn variables_of(entry: &UserEntry) -> Vec<(&'static str, &OsStr)> {
    let name = OsStr::new(&entry.name);
    vec![
        ("HOME", &entry.home),
        ("USER", name),
        ("LOGNAME", name),
        ("SHELL", &entry.shell),
    ]
}

/// No program that comes of this process gains rights by its file, for good.
pub(in crate::server) fn gain_none() -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| format!("--no-new-privs: {error}"))
}

fn by_id(uid: Uid) -> UserEntry {
    match process::user_by_id(uid) {
        Ok(Some(entry)) => entry,
        // A number without a name is common in containers.
        _ => UserEntry {
            name: uid.as_raw().to_string(),
            uid,
            gid: rustix::process::getegid(),
            home: OsString::new(),
            shell: OsString::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_is_one_clear_line() {
        let problem = ServiceUser::find(Some("no-such-user"), None).unwrap_err();
        assert!(problem.contains("no user no-such-user") && problem.contains("--user"));
        assert!(!problem.contains('\n'));
        assert!(ServiceUser::find(Some("with\0nul"), None).is_err());
    }

    #[test]
    fn a_user_for_plugins_that_could_do_harm_is_refused_in_one_line() {
        let me = by_id(geteuid()).name;
        for (name, says) in [
            ("no-such-user", "there is no user no-such-user"),
            ("root", "--worker-user root"),
            (me.as_str(), "--worker-user"),
        ] {
            let problem = ServiceUser::find(Some(&me), Some(name)).unwrap_err();
            assert!(
                problem.contains(says) && !problem.contains('\n'),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_worker_is_the_process_that_is_named_and_its_user_s() {
        use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
        let open = |pid| pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let (me, mine) = (geteuid(), getpid());
        let pid = mine.as_raw_nonzero().get();
        assert!(is_of(me, pid, &open(mine)));
        assert!(!is_of(Uid::from_raw(me.as_raw() + 1), pid, &open(mine)));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let other = open(Pid::from_child(&child));
        assert!(!is_of(me, pid, &other));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_of(me, pid, &other), "nobody is killed by that");
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_of(me, pid, &file.into()));
    }

    #[test]
    fn root_is_found_by_name_with_its_group() {
        let root = process::user_by_name("root").unwrap().unwrap();
        assert!(root.uid.is_root());
        assert_eq!(process::group_name(root.gid).as_deref(), Some("root"));
        assert!(process::groups_of(&root).unwrap().contains(&root.gid));
    }
}
