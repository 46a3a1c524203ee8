//! `camelpost serve`: its options, their units and defaults, and what the service is told of them. Those about
//! stop, reload and memory are in `service.rs`.

use std::path::PathBuf;

use clap::Args;

use super::EngineArgs;
use super::service::{Given, ServiceArgs};
use crate::server::{ControlPlace, HttpAddress, ListenAddress, Settings, Talk};

pub(super) const SESSIONS_PER_LIFE: u32 = 10_000;
/// Sessions that share a worker once all have one.
pub(super) const SESSIONS_PER_WORKER: u32 = 200;
/// Processes beyond the workers.
pub(super) const EXTRA_PROCESSES: u32 = 256;

#[derive(Debug, Args)]
#[command(after_help = "\
Signals: INT and TERM stop (open sessions have --drain-timeout seconds, a second signal cuts them \
off), HUP loads config and plugins anew; if that fails, what was loaded stays. USR2 \
upgrades: the program's file is started anew with the same arguments, and takes over the listening \
sockets when it has loaded everything; open sessions go on in the old process. If that fails, the \
old process goes on as it was. `camelpost reload`, `upgrade`, `drain`, `status` and `top` do and \
show more, through the control socket.\n\n\
Log: lines of sessions and plugins go to the plugins that the config file `logging` lists, else to \
stderr. Lines about the service itself go to both. The config file `loglevel` (0 LOGEMERG to 7 \
LOGDEBUG, default 4 LOGWARN) says how much stderr gets.\n\n\
Example: camelpost serve --config /etc/qpsmtpd --port 25 --user qpsmtpd")]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) engine: EngineArgs,

    /// Listen on this address; may be given several times. IPv6 with a port in brackets:
    /// [2001:db8::1]:25. Default: every address of this machine, IPv6 and IPv4.
    #[arg(short, long, value_name = "ADDR[:PORT]")]
    pub(super) listen_address: Vec<ListenAddress>,

    /// Listen on this port, for each address that names none; may be given several times. A
    /// port below 1024 needs root at the start.
    #[arg(short, long, value_name = "PORT", default_value = "2525")]
    pub(super) port: Vec<u16>,

    /// Run as this user once the ports are taken; plugins are loaded as that user. Default, if
    /// started as root: smtpd; else the user who starts it. `root` must be named to stay root.
    #[arg(short, long, value_name = "NAME")]
    pub(super) user: Option<String>,

    /// Connections open at a time; further ones wait until one ends. 0: any number.
    #[arg(short = 'c', long, value_name = "N", default_value_t = 6400)]
    pub(super) limit_connections: u32,

    /// Connections open at a time from one address (IPv6: from one /64); further ones get a 421.
    /// Where a plugin hooks pre-connection (hosts_allow), that plugin decides. 0: any number.
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    pub(super) max_from_ip: u32,

    /// Worker processes, at least one more than the spare ones. Each session gets one of its own
    /// while there are enough; further ones share.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(super) workers: u32,

    /// Sessions that a worker may have at a time, its plugins running for one of them after the
    /// other. 1: each has a worker for itself, and there are as many workers as connections.
    #[arg(long, value_name = "N", default_value_t = SESSIONS_PER_WORKER, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) sessions_per_worker: u32,

    /// Further processes for sessions that would keep others in their worker waiting: those that a
    /// plugin takes over (tls), and those in a hook that is seen to run long. 0: none.
    #[arg(long, value_name = "N", default_value_t = EXTRA_PROCESSES)]
    pub(super) extra_processes: u32,

    /// Idle worker processes kept ready, so that a client does not wait for a fork.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(super) spare_workers: u32,

    /// Replace a worker process after this many sessions.
    #[arg(long, value_name = "N", default_value_t = SESSIONS_PER_LIFE, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) sessions_per_life: u32,

    /// Write the supervisor's process id to this file; refuses to start while the process that
    /// the file names runs. Default: none.
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,

    /// Make the control socket here, in a directory that the service's user may write to; `none`:
    /// make none. Default: PID.sock in the directory that the environment variable
    /// RUNTIME_DIRECTORY names (systemd sets it), else in /run/camelpost/UID if started as root, else
    /// in $XDG_RUNTIME_DIR/camelpost or, without that, /tmp/camelpost-UID.
    #[arg(long, value_name = "PATH")]
    pub(super) control: Option<ControlPlace>,

    /// Serve metrics for Prometheus at http://ADDR:PORT/metrics. Default: off.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) metrics: Option<HttpAddress>,

    /// Let --metrics be an address that other machines can reach.
    #[arg(long, requires = "metrics")]
    pub(super) metrics_public: bool,

    /// Serve a page at http://ADDR:PORT/ that shows what the daemon does: plugins by cost, verdicts, refusals of
    /// the last hour with their reasons, workers, sessions. It changes nothing, and asks for no password: who
    /// reaches the address sees addresses of clients and mail (docs/web.md). Default: off.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) web: Option<HttpAddress>,

    /// Let --web be an address that other machines can reach.
    #[arg(long, requires = "web")]
    pub(super) web_public: bool,

    /// Go to the background once the service listens. Stderr is closed then: use a logging plugin, or
    /// --log-file.
    #[arg(short, long)]
    pub(super) detach: bool,

    #[command(flatten)]
    pub(super) service: ServiceArgs,
}

impl Serve {
    /// What the service is to do.
    pub(super) fn settings(&self, given: &Given<'_>) -> Settings {
        Settings {
            listen: self.listen_address.clone(),
            ports: self.port.clone(),
            user: self.user.clone(),
            limit_connections: self.limit_connections,
            max_from_ip: self.max_from_ip,
            workers: self.workers,
            spare_workers: self.spare_workers,
            sessions_per_worker: self.sessions_per_worker,
            extra_processes: self.extra_processes,
            sessions_per_life: self.sessions_per_life,
            memory: self.service.memory(given),
            pid_file: self.pid_file.clone(),
            detach: self.detach,
            lower_nice: 0,
            talk: Talk::Normal,
            control: self.control.clone().unwrap_or_default(),
            metrics: reachable(self.metrics, self.metrics_public),
            web: reachable(self.web, self.web_public),
            service: self.service.settings(given),
        }
    }
}

fn reachable(wanted: Option<HttpAddress>, public: bool) -> Option<HttpAddress> {
    wanted.map(|wanted| HttpAddress { public, ..wanted })
}
