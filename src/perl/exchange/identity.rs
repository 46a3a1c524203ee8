//! What a plugin may change of its process that nobody can put back for sure: user and groups,
//! priority, resource limits, the root directory. A process that is not what it was serves no
//! other session.

use std::cell::OnceCell;

use rustix::process::{
    Gid, Resource, Rlimit, Uid, getegid, geteuid, getgid, getpriority_process, getrlimit, getuid,
};

const LIMITS: [Resource; 7] = [
    Resource::As,
    Resource::Cpu,
    Resource::Data,
    Resource::Fsize,
    Resource::Nofile,
    Resource::Nproc,
    Resource::Stack,
];

/// What a process is.
#[derive(PartialEq, Eq)]
struct Identity {
    users: [Uid; 2],
    groups: [Gid; 2],
    priority: Option<i32>,
    limits: [Rlimit; LIMITS.len()],
    root: Option<(u64, u64)>,
}

impl Identity {
    fn now() -> Identity {
        let root = rustix::fs::stat("/").ok();
        Identity {
            users: [getuid(), geteuid()],
            groups: [getgid(), getegid()],
            priority: getpriority_process(None).ok(),
            limits: LIMITS.map(getrlimit),
            root: root.map(|root| (root.st_dev, root.st_ino)),
        }
    }

    /// What another one is not, in words.
    fn differs(&self, other: &Identity) -> Option<&'static str> {
        let compared = [
            (self.users == other.users, "its user"),
            (self.groups == other.groups, "its group"),
            (self.priority == other.priority, "its priority"),
            (self.limits == other.limits, "its resource limits"),
            (self.root == other.root, "its root directory"),
        ];
        let differs = compared.into_iter().find(|(same, _)| !same);
        differs.map(|(_, what)| what)
    }
}

/// Who the process was, and what it might, before the first session.
#[derive(Default)]
pub(in crate::perl) struct Noted(OnceCell<Identity>);

impl Noted {
    /// Before a worker's first session.
    pub(in crate::perl) fn note(&self) {
        self.0.get_or_init(Identity::now);
    }

    /// After a session: what the process is no more.
    pub(in crate::perl) fn changed(&self) -> Option<&'static str> {
        self.0.get()?.differs(&Identity::now())
    }
}
