//! The user that the service runs as: found before anything is opened, taken after the ports are
//! bound. Root stays root only where it was asked for by name. Also what nobody gets by this process
//! or from it.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};

use rustix::process::{DumpableBehavior, Gid, Uid, geteuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid,
};

use super::process::{self, UserEntry};

/// Who the original runs as where nothing is said.
const DEFAULT_USER: &str = "smtpd";

/// The user to run as.
#[derive(Debug)]
pub(super) struct ServiceUser {
    entry: UserEntry,
    /// Whether this process has to change to it.
    change: bool,
    /// Who has started this process.
    before: Uid,
}

impl ServiceUser {
    /// The user that `--user` names, or the default: smtpd if started as root, else whoever
    /// started it.
    pub(super) fn find(wanted: Option<&str>) -> Result<ServiceUser, String> {
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
            }),
            Some(name) => match lookup(name)? {
                None => Err(format!(
                    "there is no user {name} on this machine; create it or name another with --user"
                )),
                Some(entry) if me.is_root() => Ok(ServiceUser {
                    entry,
                    change: true,
                    before: me,
                }),
                Some(entry) if entry.uid == me => Ok(ServiceUser {
                    entry,
                    change: false,
                    before: me,
                }),
                Some(_) => Err(format!(
                    "only root can run as {name}; start as root, or leave --user out to run as {}",
                    by_id(me).name
                )),
            },
        }
    }

    /// Becomes that user, for good. To be called while there is one thread.
    pub(super) fn take(&self) -> Result<(), String> {
        if !self.change {
            return Ok(());
        }
        let entry = &self.entry;
        process::groups_of(entry)
            .and_then(|groups| {
                set_thread_groups(&groups)?;
                set_thread_gid(entry.gid)?;
                set_thread_uid(entry.uid)?;
                Ok(())
            })
            .map_err(|error| format!("cannot run as {}: {error}", entry.name))
    }

    /// What the environment says of a user, where this one is not who starts the service.
    pub(super) fn variables(&self) -> Vec<(&'static str, &OsStr)> {
        let entry = &self.entry;
        if !self.change || entry.uid == self.before {
            return Vec::new();
        }
        let name = OsStr::new(&entry.name);
        vec![
            ("HOME", &entry.home),
            ("USER", name),
            ("LOGNAME", name),
            ("SHELL", &entry.shell),
        ]
    }

    pub(super) fn ids(&self) -> (Uid, Gid) {
        (self.entry.uid, self.entry.gid)
    }

    pub(super) fn is_root(&self) -> bool {
        self.entry.uid.is_root()
    }

    /// For the log line that the original writes.
    pub(super) fn names(&self) -> (String, String) {
        let group = process::group_name(self.entry.gid);
        let group = group.unwrap_or_else(|| self.entry.gid.as_raw().to_string());
        (self.entry.name.clone(), group)
    }
}

/// Nobody but root looks into this process from now on: code of plugins is the same user's, and could
/// take its descriptors (pidfd_getfd), its memory (ptrace) or a core. Programs that it starts, the one
/// that loads the plugins among them, are as others are.
pub(super) fn be_opaque() -> Result<(), String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("cannot keep others from looking into this process: {error}"))
}

/// What a service manager has given to bind a port (AmbientCapabilities=) would be every plugin's and
/// program's: gone once the ports are bound. Root keeps what makes it root.
pub(super) fn drop_capabilities() -> Result<(), String> {
    if geteuid().is_root() {
        return Ok(());
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    clear_ambient_capability_set()
        .and_then(|()| set_capabilities(None, none))
        .map_err(|error| format!("cannot give up capabilities: {error}"))
}

/// No program that comes of this process gains rights by its file, for good.
pub(super) fn gain_none() -> Result<(), String> {
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
        let problem = ServiceUser::find(Some("no-such-user")).unwrap_err();
        assert!(problem.contains("no user no-such-user") && problem.contains("--user"));
        assert!(!problem.contains('\n'));
        assert!(ServiceUser::find(Some("with\0nul")).is_err());
    }

    #[test]
    fn root_is_found_by_name_with_its_group() {
        let root = process::user_by_name("root").unwrap().unwrap();
        assert!(root.uid.is_root());
        assert_eq!(process::group_name(root.gid).as_deref(), Some("root"));
        assert!(process::groups_of(&root).unwrap().contains(&root.gid));
    }
}
