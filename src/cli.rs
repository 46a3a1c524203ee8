//! The command line: what it takes, in which units, with which defaults. It starts the daemon
//! and knows nothing of how that works.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::server::{self, Engine, ListenAddress, Settings, ZygoteCommand};

/// What the command line says to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The config directory, where one is named.
    pub config: Option<PathBuf>,
    /// Whether the names of clients are looked up.
    pub rdns: bool,
}

/// An SMTP server that runs qpsmtpd's Perl plugins unchanged.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
#[command(after_help = "`camelpost serve --help` has the options, their units and defaults.")]
struct CommandLine {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Receive mail: listen and run the plugins of a config directory.
    Serve(Serve),
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
    /// Load plugins and fork workers; `serve` starts it.
    #[command(hide = true)]
    Zygote(EngineArgs),
}

/// What is perl's or prove's to read.
#[derive(Debug, Args)]
struct Words {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "WORDS"
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
Signals: INT and TERM stop (open sessions have 5 seconds, a second signal cuts them off), HUP loads \
config and plugins anew; if that fails, what was loaded stays.\n\n\
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
    #[arg(short = 'c', long, value_name = "N", default_value_t = 200)]
    limit_connections: u32,

    /// Connections open at a time from one address (IPv6: from one /64); further ones get a 421.
    /// Where a plugin hooks pre-connection (hosts_allow), that plugin decides. 0: any number.
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    max_from_ip: u32,

    /// Worker processes kept for reuse, at least one more than the spare ones. While more
    /// sessions are open there are more.
    #[arg(long, value_name = "N", default_value_t = 32)]
    workers: u32,

    /// Idle worker processes kept ready, so that a client does not wait for a fork.
    #[arg(long, value_name = "N", default_value_t = 2)]
    spare_workers: u32,

    /// Replace a worker process after this many sessions.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions_per_life: u32,

    /// Write the supervisor's process id to this file; refuses to start while the process that
    /// the file names runs. Default: none.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,

    /// Go to the background once the service listens. Nothing goes to stderr then: use a
    /// logging plugin.
    #[arg(short, long)]
    detach: bool,
}

impl From<EngineArgs> for EngineSettings {
    fn from(args: EngineArgs) -> EngineSettings {
        EngineSettings {
            config: args.config,
            rdns: !args.no_rdns,
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

/// What runs Perl programs: gets the words after `perl` and `prove`, gives the exit status.
pub struct Scripts {
    pub perl: fn(Vec<OsString>) -> i32,
    pub prove: fn(Vec<OsString>) -> i32,
}

fn status(status: i32) -> ExitCode {
    ExitCode::from((status & 255) as u8)
}

/// The whole program, for an engine.
pub fn run<E: Engine>(
    make_engine: impl FnOnce(EngineSettings) -> E,
    scripts: &Scripts,
) -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    // What follows these is none of ours, down to the last `--`.
    match words.next() {
        Some(word) if word == "perl" => return status((scripts.perl)(words.collect())),
        Some(word) if word == "prove" => return status((scripts.prove)(words.collect())),
        _ => {}
    }
    let command_line = CommandLine::parse();
    crate::log::init();
    match command_line.command {
        Subcommands::Perl(perl) => status((scripts.perl)(perl.words)),
        Subcommands::Prove(prove) => status((scripts.prove)(prove.words)),
        Subcommands::Zygote(args) => {
            let status = server::run_zygote(&make_engine(args.into()));
            ExitCode::from(u8::try_from(status).unwrap_or(1))
        }
        Subcommands::Serve(args) => {
            let command = ZygoteCommand::this_program(args.engine.for_zygote());
            let settings = Settings {
                listen: args.listen_address,
                ports: args.port,
                user: args.user,
                limit_connections: args.limit_connections,
                max_from_ip: args.max_from_ip,
                workers: args.workers,
                spare_workers: args.spare_workers,
                sessions_per_life: args.sessions_per_life,
                pid_file: args.pid_file,
                detach: args.detach,
            };
            match server::serve(&settings, &command) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
        let Subcommands::Zygote(zygote) = CommandLine::parse_from(again).command else {
            panic!("not zygote")
        };
        assert_eq!(
            EngineSettings::from(zygote),
            EngineSettings {
                config: Some("/etc/x".into()),
                rdns: false
            }
        );
    }
}
