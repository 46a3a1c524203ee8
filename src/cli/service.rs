//! The options of `serve` that say how the service behaves toward whoever runs it, what the
//! original's daemons get in their place, and which limits contradict each other.

use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::Serve;
use super::size::Size;
use crate::base::log::{LogFormat, LogPid};
use crate::server::{LogFile, MemoryLimits, Rate, Sandbox, SandboxPart, ServiceSettings};

const UPGRADE: u32 = 120;

#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    /// Let one address (IPv6: one /64) connect only so often: CONNECTIONS at once, and as many
    /// again in each SECONDS; further ones get a 421. Default: as often as it likes.
    #[arg(long, value_name = "CONNECTIONS/SECONDS")]
    max_rate: Option<Rate>,

    /// Told to stop (TERM, INT), let open sessions go on for this many seconds, then end them with
    /// a 421. New clients are refused meanwhile. 0: end them at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u32,

    /// What the lines of sessions in the log begin with, and what `$$` is in logging plugins. session: a
    /// number for each connection, above all process ids, which `$$` is in all plugins. worker: the
    /// id of the process, in which other sessions may run, too.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = LogPid::Session)]
    log_pid: LogPid,

    /// Append what goes to stderr to this file once the service is up; `syslog`: give it to the machine's
    /// syslog, facility mail. The file is made by the service's user, and opened anew with each load: move
    /// it away and reload. Default: stderr.
    #[arg(long, value_name = "FILE")]
    log_file: Option<LogFile>,

    /// How stderr, or the file, is written. text: lines as qpsmtpd has them; those of sessions only
    /// where no plugin logs. json: an object a line, all of them, with each plugin's verdict, refusals and
    /// messages (docs/log.md), which `camelpost why` reads.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// Let programs that plugins start gain no rights by their files (set-user-ID, capabilities). Not
    /// where a plugin needs such a program: qmail-queue, exim and sendmail are. systemd's
    /// NoNewPrivileges= does the same.
    #[arg(long)]
    no_new_privs: bool,

    /// Let each process that runs sessions give something up before its first client, and with it the
    /// programs that plugins start; implies --no-new-privs. landlock: files are written to beneath
    /// spool_dir, /tmp, $TMPDIR and what the config file sandbox_write lists only (Linux 5.19). seccomp:
    /// system calls that no mail plugin needs fail. Both: landlock,seccomp. The start fails where the
    /// kernel lacks one of them. Default: none.
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    sandbox: Vec<SandboxPart>,

    /// Run the plugins, and so all sessions, as this user: they can then neither signal nor look into the
    /// process that accepts the connections, nor use the control socket. Needs root, or CAP_SETUID,
    /// CAP_SETGID and CAP_KILL, which that process keeps. spool_dir and what plugins write to must be this
    /// user's; the config directory must be readable to it. Default: the user of --user.
    #[arg(long, value_name = "NAME")]
    worker_user: Option<String>,

    /// Upgrading (USR2), give the new process this many seconds to load everything.
    #[arg(long, value_name = "SECONDS", default_value_t = UPGRADE, value_parser = clap::value_parser!(u32).range(1..))]
    upgrade_timeout: u32,

    /// Replace a worker process that has taken more memory than this for itself when its sessions
    /// have ended: a number of bytes, or with K, M or G. 0: any amount.
    #[arg(long, value_name = "SIZE", default_value_t = WORKER_MEMORY)]
    worker_memory: Size,

    /// Kill a worker process that has taken more than this: a plugin in it grows without end. Its
    /// clients get a 421. 0: any amount. Default: 1G, and at least four times --worker-memory.
    #[arg(long, value_name = "SIZE")]
    worker_memory_max: Option<Size>,
}

/// Fresh workers with the bundled plugins grow to some 5 MB, and one that is replaced costs a
/// fork: what stays after a large message may go at once.
const WORKER_MEMORY: Size = Size(32 << 20);
/// Some copies of a message of the largest size that is usual (50 MB) fit in.
const WORKER_MEMORY_MAX: Size = Size(1 << 30);

/// What the original's daemons get.
pub(super) const MEMORY: MemoryLimits = MemoryLimits {
    replace: WORKER_MEMORY.0,
    kill: WORKER_MEMORY_MAX.0,
};

impl ServiceArgs {
    /// `given`: what was on the command line.
    pub(super) fn settings(&self, given: &Given<'_>) -> ServiceSettings {
        ServiceSettings {
            drain: Duration::from_secs(self.drain_timeout.into()),
            upgrade: Duration::from_secs(self.upgrade_timeout.into()),
            max_rate: self.max_rate,
            log_pid: self.log_pid,
            log_file: self.log_file.clone(),
            log_format: self.log_format,
            no_new_privs: self.no_new_privs,
            sandbox: self.sandbox.iter().copied().collect(),
            worker_user: self.worker_user.clone(),
            ports_named: given.has("port"),
        }
    }

    /// What a worker may take. Where only one of the limits is given, the other makes room for it.
    pub(super) fn memory(&self, given: &Given<'_>) -> MemoryLimits {
        let replace = self.worker_memory.0;
        match self.worker_memory_max {
            None => MemoryLimits {
                replace,
                kill: WORKER_MEMORY_MAX.0.max(replace.saturating_mul(4)),
            },
            Some(Size(kill)) if kill > 0 && !given.has("worker_memory") => MemoryLimits {
                replace: replace.min(kill),
                kill,
            },
            Some(Size(kill)) => MemoryLimits { replace, kill },
        }
    }
}

/// What the original's daemons get. They end their sessions at once when they are told to stop, and
/// their start scripts wait for it: Debian's kills after four seconds, of which the sessions' last words
/// may take one.
pub(super) fn classic(ports_named: bool) -> ServiceSettings {
    ServiceSettings {
        drain: Duration::from_secs(2),
        upgrade: Duration::from_secs(UPGRADE.into()),
        max_rate: None,
        log_pid: LogPid::Session,
        log_file: None,
        log_format: LogFormat::Text,
        no_new_privs: false,
        sandbox: Sandbox::default(),
        worker_user: None,
        ports_named,
    }
}

/// Tells what somebody has asked for from what is a default.
pub(super) struct Given<'a>(pub Option<&'a ArgMatches>);

impl Given<'_> {
    fn has(&self, name: &str) -> bool {
        let source = self.0.and_then(|matches| matches.value_source(name));
        source == Some(ValueSource::CommandLine)
    }
}

/// Limits that cannot all be meant; a line that says which. Defaults contradict nothing.
pub(super) fn contradiction(serve: &Serve, given: &Given<'_>) -> Option<String> {
    let all = serve.limit_connections;
    let limited = given.has("limit_connections") && all > 0;
    let spare = serve.spare_workers;
    if limited && given.has("max_from_ip") && serve.max_from_ip > all {
        let one = serve.max_from_ip;
        return Some(format!(
            "--max-from-ip {one} is more than the {all} connections that --limit-connections \
             allows in all: lower the one or raise the other"
        ));
    }
    if limited && given.has("spare_workers") && spare > all {
        return Some(format!(
            "--spare-workers {spare} is more than the {all} connections that \
             --limit-connections allows in all: lower the one or raise the other"
        ));
    }
    let replace = serve.service.worker_memory;
    if let Some(kill) = serve.service.worker_memory_max
        && given.has("worker_memory")
        && kill.0 > 0
        && replace > kill
    {
        return Some(format!(
            "--worker-memory {replace} is more than --worker-memory-max {kill}, at which a worker is \
             killed: lower the one or raise the other"
        ));
    }
    let capacity = serve.workers.saturating_mul(serve.sessions_per_worker);
    let shared = given.has("workers") || given.has("sessions_per_worker");
    if limited && shared && serve.sessions_per_worker > 1 && all > capacity {
        return Some(format!(
            "--limit-connections {all} is more than the {capacity} sessions of --workers {} with \
             --sessions-per-worker {}: lower the one or raise the others",
            serve.workers, serve.sessions_per_worker
        ));
    }
    if given.has("workers") && given.has("spare_workers") && spare >= serve.workers {
        return Some(format!(
            "--spare-workers {spare} leaves none of the --workers {} for a session: --workers \
             has to be at least one more",
            serve.workers
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{CommandLine, Subcommands};
    use super::*;
    use clap::{CommandFactory, FromArgMatches};

    fn with<T>(words: &str, then: impl FnOnce(&Serve, &Given<'_>) -> T) -> T {
        let words = format!("camelpost serve {words}");
        let matches = CommandLine::command().get_matches_from(words.split_whitespace());
        let Ok(CommandLine {
            command: Subcommands::Serve(serve),
        }) = CommandLine::from_arg_matches(&matches)
        else {
            panic!("not serve")
        };
        then(&serve, &Given(matches.subcommand_matches("serve")))
    }

    fn line(words: &str) -> Option<String> {
        with(words, contradiction)
    }

    #[test]
    fn a_limit_of_memory_that_is_given_alone_moves_the_other_one() {
        let limits = |words: &str| {
            let limits = with(words, |serve, given| serve.service.memory(given));
            (limits.replace >> 20, limits.kill >> 20)
        };
        assert_eq!(limits(""), (32, 1024));
        assert_eq!(limits("--worker-memory 500M"), (500, 2000));
        assert_eq!(limits("--worker-memory 0"), (0, 1024));
        assert_eq!(limits("--worker-memory-max 20M"), (20, 20));
        assert_eq!(limits("--worker-memory-max 0"), (32, 0));
        assert_eq!(
            limits("--worker-memory 10M --worker-memory-max 20M"),
            (10, 20)
        );
    }

    #[test]
    fn limits_that_contradict_each_other_are_one_line_that_names_both() {
        for (words, names) in [
            ("-c 10 -m 11", ["--max-from-ip 11", "--limit-connections"]),
            (
                "-c 3 --spare-workers 4",
                ["--spare-workers 4", "--limit-connections"],
            ),
            (
                "--workers 4 --spare-workers 4",
                ["--spare-workers 4", "--workers 4"],
            ),
            (
                "-c 801 --workers 4",
                ["--limit-connections 801", "--sessions-per-worker 200"],
            ),
            (
                "-c 100 --workers 4 --sessions-per-worker 20",
                ["--limit-connections 100", "--sessions-per-worker 20"],
            ),
            (
                "--worker-memory 2G --worker-memory-max 1G",
                ["--worker-memory 2G", "--worker-memory-max 1G"],
            ),
        ] {
            let found = line(words).unwrap();
            assert!(names.iter().all(|name| found.contains(name)), "{found}");
            assert!(!found.contains('\n'));
        }
    }

    #[test]
    fn defaults_and_zeros_contradict_nothing() {
        for words in [
            "",
            "-c 1",
            "-c 0 -m 1000",
            "-c 5 -m 5",
            "-m 1000",
            "--workers 1",
            "--workers 3 --spare-workers 2",
            "-c 5 -m 0",
            "-c 7000",
            "-c 100 --sessions-per-worker 1",
            "-c 800 --workers 4",
            "--worker-memory 2G",
            "--worker-memory-max 10M",
            "--worker-memory 1G --worker-memory-max 0",
        ] {
            assert_eq!(line(words), None, "{words}");
        }
    }
}
