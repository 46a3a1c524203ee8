//! The command line: what it takes, in which units, with which defaults. It starts the daemon
//! and knows nothing of how that works.

#![forbid(unsafe_code)]

mod check;
mod classic;
mod control;
mod control_table;
mod flavour;
mod getopt;
mod new_plugin;
mod service;
mod size;
mod top;
mod try_;
mod version;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::classic::Request;
use self::flavour::Flavour;
use self::service::{Given, ServiceArgs};
pub use self::top::Screen;
use crate::base::finding::Finding;
use crate::base::log::LogPid;
use crate::server::{
    self, ControlPlace, Engine, ListenAddress, MetricsAddress, Settings, Talk, ZygoteCommand,
};

const SESSIONS_PER_LIFE: u32 = 10_000;
/// Sessions that share a worker once all have one.
const SESSIONS_PER_WORKER: u32 = 200;
/// Processes beyond the workers.
const EXTRA_PROCESSES: u32 = 256;

/// What the command line says to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The config directory, where one is named.
    pub config: Option<PathBuf>,
    /// Whether the names of clients are looked up.
    pub rdns: bool,
    /// What the lines of sessions begin with.
    pub log_pid: LogPid,
}

/// An SMTP server that runs qpsmtpd's Perl plugins unchanged.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
#[command(after_help = "\
`camelpost serve --help` has the options, their units and defaults.\n\n\
Called by the name qpsmtpd, qpsmtpd-forkserver or qpsmtpd-prefork (a link to this program is \
enough) it is `camelpost inetd`, `forkserver` or `prefork`, so that start scripts stay as they are.")]
struct CommandLine {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Receive mail: listen and run the plugins of a config directory.
    Serve(Box<Serve>),
    /// Run a Perl program with the Qpsmtpd:: modules of this server; options as perl has them.
    ///
    /// Session objects (of a class that inherits from Qpsmtpd::SMTP) have sessions of their own,
    /// without a socket: a plugin's test script can subclass them, load plugins and dispatch
    /// commands.
    #[command(
        disable_help_flag = true,
        override_usage = "camelpost perl [SWITCHES] [SCRIPT|-] [ARGUMENTS]"
    )]
    Perl(Words),
    /// Run a directory of test scripts, each in a `camelpost perl` of its own; options as prove
    /// has them.
    #[command(
        disable_help_flag = true,
        override_usage = "camelpost prove [OPTIONS] [FILES OR DIRECTORIES]"
    )]
    Prove(Words),
    /// Serve one client on standard input and output, for inetd, tcpserver and their like.
    Inetd(Inetd),
    /// Receive mail, with the options of qpsmtpd-forkserver.
    #[command(disable_help_flag = true)]
    Forkserver(Words),
    /// Receive mail, with the options of qpsmtpd-prefork.
    #[command(disable_help_flag = true)]
    Prefork(Words),
    /// Show what the running daemon does: generation, workers, sessions, limits, counts.
    Status(control::StatusArgs),
    /// Show live in the terminal what the running daemon does: plugins ranked by the time they take,
    /// workers and what each runs now, sessions.
    Top(top::TopArgs),
    /// Have the running daemon load config and plugins anew, and wait until it has.
    Reload(control::ReloadArgs),
    /// Have the running daemon replaced by the program that is on disk now, without a gap, and wait
    /// until that serves.
    Upgrade(control::UpgradeArgs),
    /// Have the running daemon take no new connections, and end when its sessions have.
    Drain(control::DrainArgs),
    /// Find everything that is wrong with a configuration, without serving it.
    Check(check::CheckArgs),
    /// Play a client against a configuration, and show what each plugin says and changes.
    Try(Box<try_::TryArgs>),
    /// Make a new plugin with its test, in Perl or in Rust.
    NewPlugin(new_plugin::NewPluginArgs),
    /// Load plugins and fork workers; `serve` starts it.
    #[command(hide = true)]
    Zygote(Box<Zygote>),
}

#[derive(Debug, Args)]
struct Zygote {
    #[command(flatten)]
    engine: EngineArgs,

    /// The nice level to run at, where the supervisor has lowered its own.
    #[arg(long)]
    nice: Option<i32>,

    /// As `serve` has it.
    #[arg(long, value_enum, default_value_t = LogPid::Session)]
    log_pid: LogPid,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Who the client is, tcpserver and its kin say in TCPREMOTEIP, TCPREMOTEHOST, TCPREMOTEINFO, \
TCPREMOTEPORT, TCPLOCALIP and TCPLOCALPORT; without TCPREMOTEIP standard input has to be the \
client's socket, as inetd gives it, and the client's name is looked up. Standard input and output \
may be a socket or a pair of pipes. The log goes to standard error unless that is the client's \
socket, too: then use a logging plugin. The program's owner (tcpserver -u, inetd's user field) is \
who everything runs as.\n\n\
Example: tcpserver -c 40 -u 102 -g 105 0 25 camelpost inetd --config /etc/qpsmtpd")]
struct Inetd {
    #[command(flatten)]
    engine: EngineArgs,
}

/// A command line that is read by the rules of another program: perl's, prove's, the original's.
#[derive(Debug, Args)]
struct Words {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTION"
    )]
    words: Vec<OsString>,
}

#[derive(Debug, Args)]
struct EngineArgs {
    /// The config directory (plugins, loglevel, rcpthosts and so on). Default: the environment
    /// variable QPSMTPD_CONFIG. A file that it lacks is looked for in `config` beside the
    /// program, then in `control` in $QMAIL or /var/qmail.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,

    /// Do not look up the names of clients: remote_host is "Unknown" for all.
    #[arg(short = 'H', long)]
    no_rdns: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Signals: INT and TERM stop (open sessions have --drain-timeout seconds, a second signal cuts them \
off), HUP loads config and plugins anew; if that fails, what was loaded stays. USR2 \
upgrades: the program's file is started anew with the same arguments, and takes over the listening \
sockets when it has loaded everything; open sessions go on in the old process. If that fails, the \
old process goes on as it was. `camelpost reload`, `upgrade`, `drain`, `status` and `top` do and \
show more, through the control socket.\n\n\
Log: lines of sessions and plugins go to the plugins that the config file `logging` lists, else to \
stderr. Lines about the service itself go to stderr. The config file `loglevel` (0 LOGEMERG to 7 \
LOGDEBUG, default 4 LOGWARN) says how much stderr gets.\n\n\
Example: camelpost serve --config /etc/qpsmtpd --port 25 --user qpsmtpd")]
struct Serve {
    #[command(flatten)]
    engine: EngineArgs,

    /// Listen on this address; may be given several times. IPv6 with a port in brackets:
    /// [2001:db8::1]:25. Default: every address of this machine, IPv6 and IPv4.
    #[arg(short, long, value_name = "ADDR[:PORT]")]
    listen_address: Vec<ListenAddress>,

    /// Listen on this port, for each address that names none; may be given several times. A
    /// port below 1024 needs root at the start.
    #[arg(short, long, value_name = "PORT", default_value = "2525")]
    port: Vec<u16>,

    /// Run as this user once the ports are taken; plugins are loaded as that user. Default, if
    /// started as root: smtpd; else the user who starts it. `root` must be named to stay root.
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,

    /// Connections open at a time; further ones wait until one ends. 0: any number.
    #[arg(short = 'c', long, value_name = "N", default_value_t = 6400)]
    limit_connections: u32,

    /// Connections open at a time from one address (IPv6: from one /64); further ones get a 421.
    /// Where a plugin hooks pre-connection (hosts_allow), that plugin decides. 0: any number.
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    max_from_ip: u32,

    /// Worker processes, at least one more than the spare ones. Each session gets one of its own
    /// while there are enough; further ones share.
    #[arg(long, value_name = "N", default_value_t = 32)]
    workers: u32,

    /// Sessions that a worker may have at a time, its plugins running for one of them after the
    /// other. 1: each has a worker for itself, and there are as many workers as connections.
    #[arg(long, value_name = "N", default_value_t = SESSIONS_PER_WORKER, value_parser = clap::value_parser!(u32).range(1..))]
    sessions_per_worker: u32,

    /// Further processes for sessions that would keep others in their worker waiting: those that a
    /// plugin takes over (tls), and those in a hook that is seen to run long. 0: none.
    #[arg(long, value_name = "N", default_value_t = EXTRA_PROCESSES)]
    extra_processes: u32,

    /// Idle worker processes kept ready, so that a client does not wait for a fork.
    #[arg(long, value_name = "N", default_value_t = 2)]
    spare_workers: u32,

    /// Replace a worker process after this many sessions.
    #[arg(long, value_name = "N", default_value_t = SESSIONS_PER_LIFE, value_parser = clap::value_parser!(u32).range(1..))]
    sessions_per_life: u32,

    /// Write the supervisor's process id to this file; refuses to start while the process that
    /// the file names runs. Default: none.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Make the control socket here, in a directory that the service's user may write to; `none`:
    /// make none. Default: PID.sock in the directory that the environment variable
    /// RUNTIME_DIRECTORY names (systemd sets it), else in /run/camelpost/UID if started as root, else
    /// in $XDG_RUNTIME_DIR/camelpost or, without that, /tmp/camelpost-UID.
    #[arg(long, value_name = "PATH")]
    control: Option<ControlPlace>,

    /// Serve metrics for Prometheus at http://ADDR:PORT/metrics. Default: off.
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<MetricsAddress>,

    /// Let --metrics be an address that other machines can reach.
    #[arg(long, requires = "metrics")]
    metrics_public: bool,

    /// Go to the background once the service listens. Nothing goes to stderr then: use a
    /// logging plugin.
    #[arg(short, long)]
    detach: bool,

    #[command(flatten)]
    service: ServiceArgs,
}

impl From<EngineArgs> for EngineSettings {
    fn from(args: EngineArgs) -> EngineSettings {
        EngineSettings {
            config: args.config,
            rdns: !args.no_rdns,
            log_pid: LogPid::default(),
        }
    }
}

impl From<Zygote> for EngineSettings {
    fn from(args: Zygote) -> EngineSettings {
        EngineSettings {
            log_pid: args.log_pid,
            ..args.engine.into()
        }
    }
}

impl EngineArgs {
    /// The same, for the zygote's command line.
    fn for_zygote(&self) -> Vec<OsString> {
        let mut args = vec![OsString::from("zygote")];
        if let Some(config) = &self.config {
            args.extend(["--config".into(), config.into()]);
        }
        if self.no_rdns {
            args.push("--no-rdns".into());
        }
        args
    }
}

/// What the program is made of besides its engine.
pub struct Program {
    /// Runs a Perl program: gets the words after `perl`, gives the exit status.
    pub perl: fn(Vec<OsString>) -> i32,
    /// The same for `prove`.
    pub prove: fn(Vec<OsString>) -> i32,
    /// The names of its native plugins, in order.
    pub natives: Vec<&'static str>,
    /// Checks a configuration; what it finds goes to the function.
    pub check: Check,
}

/// See [`Program::check`].
pub type Check = Box<dyn Fn(Option<PathBuf>, &dyn Fn(Finding))>;

fn status(status: i32) -> ExitCode {
    ExitCode::from((status & 255) as u8)
}

/// The whole program, for an engine.
pub fn run<E: Engine>(
    make_engine: impl FnOnce(EngineSettings) -> E,
    program: &Program,
) -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    // What follows these is none of ours, down to the last `--`.
    match args.get(1) {
        Some(word) if word == "perl" => return status((program.perl)(args.split_off(2))),
        Some(word) if word == "prove" => return status((program.prove)(args.split_off(2))),
        _ => {}
    }
    crate::base::log::init();
    // The process that loads plugins has the name that its parent was called by.
    let is_zygote = args.get(1).is_some_and(|arg| arg == "zygote");
    let flavour = args.first().and_then(|name| Flavour::of(name));
    let none = EngineArgs {
        config: None,
        no_rdns: false,
    };
    match flavour.filter(|_| !is_zygote) {
        Some(Flavour::Tcpserver) => return one_session(&make_engine(none.into())),
        Some(Flavour::Forkserver) => return classic(Flavour::Forkserver, args.split_off(1)),
        Some(Flavour::Prefork) => return classic(Flavour::Prefork, args.split_off(1)),
        Some(Flavour::Async) => return failed(flavour::NO_ASYNC),
        None => {}
    }
    let matches = CommandLine::command()
        .long_version(version::text(&program.natives))
        .get_matches();
    let given = Given(matches.subcommand_matches("serve"));
    let command = match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line.command,
        Err(error) => error.exit(),
    };
    match command {
        Subcommands::Perl(perl) => status((program.perl)(perl.words)),
        Subcommands::Prove(prove) => status((program.prove)(prove.words)),
        Subcommands::Zygote(zygote) => {
            if let Some(level) = zygote.nice {
                server::restore_nice_level(level);
            }
            let status = server::run_zygote(&make_engine((*zygote).into()));
            ExitCode::from(u8::try_from(status).unwrap_or(1))
        }
        Subcommands::Status(args) => control::status(&args),
        Subcommands::Top(args) => top::top(&args),
        Subcommands::Reload(args) => control::reload(&args),
        Subcommands::Upgrade(args) => control::upgrade(&args),
        Subcommands::Drain(args) => control::drain(&args),
        Subcommands::Check(args) => check::check(&args, program),
        Subcommands::Try(args) => try_::try_session(*args, make_engine),
        Subcommands::NewPlugin(args) => new_plugin::new_plugin(&args),
        Subcommands::Inetd(args) => one_session(&make_engine(args.engine.into())),
        Subcommands::Forkserver(args) => classic(Flavour::Forkserver, args.words),
        Subcommands::Prefork(args) => classic(Flavour::Prefork, args.words),
        Subcommands::Serve(args) => {
            if let Some(problem) = service::contradiction(&args, &given) {
                return failed(&format!("camelpost: {problem}"));
            }
            let settings = Settings {
                listen: args.listen_address,
                ports: args.port,
                user: args.user,
                limit_connections: args.limit_connections,
                max_from_ip: args.max_from_ip,
                workers: args.workers,
                spare_workers: args.spare_workers,
                sessions_per_worker: args.sessions_per_worker,
                extra_processes: args.extra_processes,
                sessions_per_life: args.sessions_per_life,
                memory: args.service.memory(&given),
                pid_file: args.pid_file,
                detach: args.detach,
                lower_nice: 0,
                talk: Talk::Normal,
                control: args.control.unwrap_or_default(),
                metrics: args.metrics.map(|metrics| MetricsAddress {
                    public: args.metrics_public,
                    ..metrics
                }),
                service: args.service.settings(&given),
            };
            serve(&args.engine, &settings)
        }
    }
}

fn serve(engine: &EngineArgs, settings: &Settings) -> ExitCode {
    let mut args = engine.for_zygote();
    if settings.lower_nice > 0 {
        args.push(format!("--nice={}", server::nice_level()).into());
    }
    if settings.service.log_pid == LogPid::Worker {
        args.push("--log-pid=worker".into());
    }
    match server::serve(settings, &ZygoteCommand::this_program(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

/// A daemon of the original's by its own command line.
fn classic(flavour: Flavour, args: Vec<OsString>) -> ExitCode {
    let words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let (request, usage) = match flavour {
        Flavour::Prefork => (classic::prefork(words.collect()), classic::PREFORK_USAGE),
        _ => (
            classic::forkserver(words.collect()),
            classic::FORKSERVER_USAGE,
        ),
    };
    match request {
        Ok(Request::Help) => {
            print!("{usage}");
            ExitCode::SUCCESS
        }
        Ok(Request::Version) => {
            println!("Camelpost, version {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(Request::Serve { settings, rdns }) => {
            let engine = EngineArgs {
                config: None,
                no_rdns: !rdns,
            };
            serve(&engine, &settings)
        }
        Err(problems) => {
            eprintln!("{}\n{}", problems.join("\n"), usage.trim_end());
            ExitCode::from(2)
        }
    }
}

fn one_session<E: Engine>(engine: &E) -> ExitCode {
    match engine.one_session() {
        Ok(status) => ExitCode::from(u8::try_from(status & 0xff).unwrap_or(1)),
        Err(error) => {
            eprintln!("{}", error.message);
            ExitCode::from(u8::try_from(error.status).unwrap_or(1))
        }
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_zygote_gets_the_engine_s_arguments() {
        let args = [
            "camelpost",
            "serve",
            "--config",
            "/etc/x",
            "-H",
            "-l",
            "[::1]:25",
            "-p",
            "26",
        ];
        let Subcommands::Serve(serve) = CommandLine::parse_from(args).command else {
            panic!("not serve")
        };
        assert_eq!(serve.port, [26]);
        let mut again = vec![OsString::from("camelpost")];
        again.extend(serve.engine.for_zygote());
        again.push("--log-pid=worker".into());
        let Subcommands::Zygote(zygote) = CommandLine::parse_from(again).command else {
            panic!("not zygote")
        };
        assert_eq!(
            EngineSettings::from(*zygote),
            EngineSettings {
                config: Some("/etc/x".into()),
                rdns: false,
                log_pid: LogPid::Worker,
            }
        );
    }
}
