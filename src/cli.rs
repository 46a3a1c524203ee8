//! The command line: what it takes, in which units, with which defaults. It starts the daemon
//! and knows nothing of how that works.

#![forbid(unsafe_code)]

mod check;
mod classic;
mod config;
mod control;
mod control_table;
mod elsewhere;
mod flavour;
mod getopt;
mod hooks;
mod migrate;
mod new_plugin;
mod pages;
mod ping;
#[cfg(test)]
mod reference;
mod serve;
mod service;
mod several;
mod size;
mod top;
mod try_;
mod version;
mod who;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::classic::Request;
use self::flavour::Flavour;
pub(crate) use self::migrate::fuzz_start;
use self::serve::Serve;
use self::service::Given;
pub use self::top::Screen;
use crate::base::finding::{CheckWhat, Finding};
use crate::base::listed::Listed;
use crate::base::log::{LogFormat, LogPid};
use crate::hook::Hook;
use crate::server::{self, Engine, Settings, ZygoteCommand};

/// What the command line says to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The config directory, where one is named.
    pub config: Option<PathBuf>,
    /// Whether the names of clients are looked up.
    pub rdns: bool,
    /// What the lines of sessions begin with.
    pub log_pid: LogPid,
    /// How the log is written.
    pub log_format: LogFormat,
    /// Whether the supervisor is told what is refused.
    pub tells_refusals: bool,
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
    /// Say whether the running daemon takes connections, for monitors.
    Ping(ping::PingArgs),
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
    /// Show what counts of a config directory, with the file and line that says it.
    Config(config::ConfigArgs),
    /// Show which plugins run on each hook, in their order, without serving.
    Hooks(hooks::HooksArgs),
    /// Copy qpsmtpd's configuration for Camelpost, and say how to switch over and back.
    Migrate(Box<migrate::MigrateArgs>),
    /// Tell from the log in JSON what became of a connection, a message, or an address's mail.
    Why(why::WhyArgs),
    /// Make a new plugin with its test, in Perl or in Rust.
    NewPlugin(new_plugin::NewPluginArgs),
    /// Write what completes this program's command line in a shell: bash, zsh, fish and others.
    Completions(pages::CompletionsArgs),
    /// Write the man pages of section 8 to a directory; `make install` and the package do.
    #[command(hide = true)]
    ManPages(pages::ManPagesArgs),
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

    /// Stands for nothing: the processes have their titles in its place.
    #[arg(long)]
    room: Option<String>,

    /// As `serve` has it.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// Workers tell the supervisor what is refused, for the page of `serve --web`.
    #[arg(long)]
    tell_refusals: bool,
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

impl From<EngineArgs> for EngineSettings {
    fn from(args: EngineArgs) -> EngineSettings {
        EngineSettings {
            config: args.config,
            rdns: !args.no_rdns,
            log_pid: LogPid::default(),
            log_format: LogFormat::default(),
            tells_refusals: false,
        }
    }
}

impl From<Zygote> for EngineSettings {
    fn from(args: Zygote) -> EngineSettings {
        EngineSettings {
            log_pid: args.log_pid,
            log_format: args.log_format,
            tells_refusals: args.tell_refusals,
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
    /// Tells who runs on a hook, or on each one, of a config directory; the error is one line.
    pub hooks: Hooks,
}

/// See [`Program::check`].
pub type Check = Box<dyn Fn(CheckWhat, &dyn Fn(Finding))>;

/// See [`Program::hooks`].
pub type Hooks = Box<dyn Fn(Option<PathBuf>, Option<Hook>, &dyn Fn(Listed)) -> Result<(), String>>;

fn status(status: i32) -> ExitCode {
    ExitCode::from((status & 255) as u8)
}

/// The whole program, for an engine.
pub fn run<E: Engine>(
    make_engine: impl FnOnce(EngineSettings) -> E,
    program: &Program,
) -> ExitCode {
    let mut args = crate::base::arguments().to_vec();
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
        Subcommands::Ping(args) => ping::ping(&args),
        Subcommands::Top(args) => top::top(&args),
        Subcommands::Reload(args) => control::reload(&args),
        Subcommands::Upgrade(args) => control::upgrade(&args),
        Subcommands::Drain(args) => control::drain(&args),
        Subcommands::Check(args) => check::check(&args, program),
        Subcommands::Try(args) => try_::try_session(*args, make_engine),
        Subcommands::Config(args) => config::config(&args),
        Subcommands::Hooks(args) => hooks::hooks(&args, program),
        Subcommands::Migrate(args) => migrate::migrate(&args),
        Subcommands::Why(args) => why::why(&args),
        Subcommands::NewPlugin(args) => new_plugin::new_plugin(&args),
        Subcommands::Completions(args) => pages::completions(&args, &CommandLine::command()),
        Subcommands::ManPages(args) => pages::man_pages(&args, CommandLine::command()),
        Subcommands::Inetd(args) => one_session(&make_engine(args.engine.into())),
        Subcommands::Forkserver(args) => classic(Flavour::Forkserver, args.words),
        Subcommands::Prefork(args) => classic(Flavour::Prefork, args.words),
        Subcommands::Serve(args) => {
            if let Some(problem) = service::contradiction(&args, &given) {
                return failed(&format!("camelpost: {problem}"));
            }
            let settings = args.settings(&given);
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
    args.push(format!("--room={}", server::ROOM).into());
    if settings.service.log_format == LogFormat::Json {
        args.push("--log-format=json".into());
    }
    if settings.web.is_some() {
        args.push("--tell-refusals".into());
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
        again.extend(["--log-pid=worker".into(), "--log-format=json".into()]);
        let Subcommands::Zygote(zygote) = CommandLine::parse_from(again).command else {
            panic!("not zygote")
        };
        assert_eq!(
            EngineSettings::from(*zygote),
            EngineSettings {
                config: Some("/etc/x".into()),
                rdns: false,
                log_pid: LogPid::Worker,
                log_format: LogFormat::Json,
                tells_refusals: false,
            }
        );
    }
}
