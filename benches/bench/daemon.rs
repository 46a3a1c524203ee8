//! The servers: how each is started, known to be ready, and stopped.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Display;
use std::path::Path;
use std::process::Command;

use camelpost_support::Port;

use crate::Result;
use crate::cpu::Tree;
use crate::kind::Kind;
use crate::options::Options;
use crate::site::Site;

fn command(kind: Kind, site: &Site, config: &Path, port: u16, setup: &Setup) -> Command {
    let port = port.to_string();
    let connections = setup.connections.to_string();
    let mut command = match kind {
        Kind::Camelpost | Kind::Earlier | Kind::Native => Command::new(kind.program()),
        Kind::Haraka => crate::haraka::command(config),
        Kind::Forkserver | Kind::Prefork => {
            // The servers ask for taint mode, under which PERL5OPT does nothing.
            let mut perl = Command::new("/usr/bin/perl");
            perl.arg("-T")
                .arg("-I")
                .arg(&site.shim)
                .arg("-MNoReverse")
                .arg(kind.program());
            perl
        }
    };
    match kind {
        Kind::Forkserver => {
            command.args(["-l", "127.0.0.1", "-p", &port, "-u", &site.user]);
            command.args(["-c", &connections, "-m", &connections]);
        }
        Kind::Prefork => {
            command.args([
                "--interface",
                "127.0.0.1",
                "--port",
                &port,
                "--user",
                &site.user,
            ]);
            command.args([
                "--children",
                &connections,
                "--idle-children",
                "4",
                "--max-from-ip",
                &connections,
            ]);
        }
        Kind::Haraka => {}
        Kind::Camelpost | Kind::Earlier | Kind::Native => {
            command.arg("serve").arg("--config").arg(config);
            command.args(["--listen-address", "127.0.0.1", "--port", &port]);
            command.args(["--user", &site.user, "--no-rdns", "--control", "none"]);
            command.args(["--limit-connections", &connections]);
            command.args(["--max-from-ip", &connections]);
            if let Some(workers) = setup.workers {
                command.args(["--workers", &workers.to_string()]);
                if workers == 1 {
                    // One that does all the work: spare ones would take their share of it.
                    command.args(["--spare-workers", "0"]);
                }
            }
            command.args(&setup.more);
        }
    }
    command
        .env("QPSMTPD_CONFIG", config)
        .current_dir(site.root.path());
    command
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Connections that it takes at a time, from one address as well.
    pub connections: usize,
    /// Of Camelpost; none: its default.
    pub workers: Option<usize>,
    /// More options of Camelpost's.
    pub more: Vec<String>,
}

impl Setup {
    pub fn usual(options: &Options) -> Self {
        Self::with_workers(options.workers)
    }

    pub fn with_workers(workers: usize) -> Self {
        Self {
            connections: 100,
            workers: Some(workers),
            more: Vec::new(),
        }
    }

    /// For this many connections, everything else as Camelpost does by itself, as far as its 32 workers have
    /// room for them.
    pub fn for_connections(connections: usize) -> Self {
        let each = connections.div_ceil(32) + 50;
        let more = match each > 200 {
            true => vec!["--sessions-per-worker".to_owned(), each.to_string()],
            false => Vec::new(),
        };
        Self {
            connections,
            workers: None,
            more,
        }
    }
}

pub struct Daemon {
    kind: Kind,
    daemon: camelpost_support::Daemon,
    pub port: u16,
    _port: Port,
    tree: RefCell<Tree>,
}

impl Daemon {
    pub fn start(kind: Kind, site: &Site, config: &Path, setup: &Setup) -> Result<Self> {
        let port = Port::free()?;
        let number = port.number;
        if kind == Kind::Haraka {
            site.configure_haraka(config, number)?;
        }
        let output = format!("{}-{number}.out", kind.name());
        let mut command = command(kind, site, config, number, setup);
        let started =
            camelpost_support::Daemon::logging_to_file(site.root.path().join(output), &mut command);
        let mut daemon = started
            .map_err(|error| format!("cannot start {}: {error}", kind.program().display()))?;
        let tree = RefCell::new(Tree::of(daemon.child.id()));
        // A refusing server answers too, and then closes.
        let listens = || std::net::TcpStream::connect(("127.0.0.1", number)).is_ok();
        daemon
            .wait_until(listens)
            .map_err(|error| format!("{}: {error}", kind.name()))?;
        Ok(Self {
            kind,
            daemon,
            port: number,
            _port: port,
            tree,
        })
    }

    /// CPU time used so far, in nanoseconds, when it has come to rest.
    pub fn cpu_nanos(&self) -> Result<u64> {
        self.tree.borrow_mut().quiet_nanos()
    }

    pub fn pid(&self) -> u32 {
        self.daemon.child.id()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn worker_private_kib(&self) -> Result<u64> {
        self.tree.borrow_mut().worker_private_kib()
    }

    /// The memory of all its processes.
    pub fn pss_kib(&self) -> Result<u64> {
        self.tree.borrow_mut().pss_kib()
    }

    pub fn processes(&self) -> Result<usize> {
        Ok(self.tree.borrow_mut().pids()?.len())
    }

    /// An error together with the last of what the server wrote.
    pub fn explain(&self, error: impl Display) -> Box<dyn Error> {
        let lines = self.daemon.lines();
        let last = lines[lines.len().saturating_sub(10)..].join("\n  ");
        format!("{}: {error}; its last output:\n  {last}", self.kind.name()).into()
    }
}
