//! How the old server is started: the script or unit that does it, and what its command line asks for. Starts nothing.

mod command;
mod find;
mod fuzzed;
mod lexer;
mod options;
mod shell;
mod unit;

pub(super) use find::find;
pub(crate) use fuzzed::fuzz_start;
pub(super) use shell::base;

use std::path::{Path, PathBuf};

use super::root::Root;

/// What starts a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A systemd unit.
    Unit,
    /// A script in /etc/init.d, or where its author has put it.
    Init,
    /// The script `run` of a directory of daemontools' or runit's.
    Run,
}

/// The program that is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Server {
    #[default]
    Forkserver,
    Prefork,
    Async,
    /// `qpsmtpd`, by tcpserver or its kin, once for each client.
    Tcpserver,
}

/// What a command line asks for. A value that the script has from elsewhere is left out, with a word in `notes`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) server: Server,
    pub(super) listen: Vec<String>,
    pub(super) ports: Vec<u16>,
    /// Connections at a time; 0: any number.
    pub(super) limit: u32,
    /// Whether the command line has the number, or it is the program's default.
    pub(super) limit_given: bool,
    /// Connections at a time from one address; none where the program knows no such limit.
    pub(super) per_address: Option<u32>,
    pub(super) per_address_given: bool,
    pub(super) spare: Option<u32>,
    pub(super) user: Option<String>,
    pub(super) no_rdns: bool,
    pub(super) detach: bool,
    pub(super) pid_file: Option<PathBuf>,
    /// What has no counterpart, or is not known, each a sentence.
    pub(super) notes: Vec<String>,
}

/// A start of the old server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) kind: Kind,
    /// The script or unit.
    pub(super) file: PathBuf,
    /// The line of the command; 0 where that is not known.
    pub(super) line: usize,
    /// What the service is called: of the unit, the script, the directory.
    pub(super) name: String,
    /// The program by its path.
    pub(super) program: PathBuf,
    /// The whole command.
    pub(super) words: Vec<String>,
    /// Its working directory.
    pub(super) working: PathBuf,
    /// The config directory that it has, where that can be known.
    pub(super) config: Option<PathBuf>,
    pub(super) options: Options,
}

impl Start {
    /// Whether the machine starts and stops it by its name: scripts and units that lie elsewhere it does not know.
    pub(super) fn is_of_the_machine(&self, root: &Root) -> bool {
        let dirs: &[&str] = match self.kind {
            Kind::Unit => &find::UNITS,
            Kind::Init => &find::SCRIPTS,
            Kind::Run => return true,
        };
        let own = self.file.parent().unwrap_or(&self.file);
        let own_real = root.canonical(own);
        let mut dirs = dirs.iter().map(Path::new);
        dirs.any(|dir| dir == own || own_real.is_some() && root.canonical(dir) == own_real)
    }
}
