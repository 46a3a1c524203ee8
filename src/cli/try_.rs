//! `camelpost try`: plays a client against a configuration and shows what each plugin says and changes. The session
//! runs in a process of its own, since a plugin may do anything to it; this one is the client, and shows.

mod play;
mod script;
mod show;
mod summary;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::play::Player;
use self::script::{Mail, interactive, mail};
use self::show::Show;
use super::{EngineArgs, EngineSettings};
use crate::base::trial::Trial;
use crate::server::{self, Engine};

/// Wrong usage, or a configuration that cannot be loaded.
const USELESS: u8 = 2;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --from, --rcpt and --message the client's commands are read from standard input, as with Exim's -bh. Nothing \
is queued without --queue; what plugins do elsewhere (databases, files, other servers) they do.\n\n\
Exit status: 0 nothing was refused, up to the queue; 1 something was refused or put off; 2 wrong usage, or the \
configuration cannot be loaded.\n\n\
Example: camelpost try --config /etc/qpsmtpd --ip 192.0.2.1 --from a@example.net --rcpt b@example.org --message mail.txt")]
pub(super) struct TryArgs {
    #[command(flatten)]
    engine: EngineArgs,

    /// The service's user, as `serve` has it.
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,

    /// The client's address.
    #[arg(long, value_name = "A", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    ip: IpAddr,

    /// The client's name. Default: as the service looks it up.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// What the client says in EHLO. Default: its address.
    #[arg(long, value_name = "H")]
    helo: Option<String>,

    /// The reverse-path; the empty one is '<>', which is the default with --rcpt.
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    from: Option<String>,

    /// A forward-path; may be given several times.
    #[arg(long, value_name = "R")]
    rcpt: Vec<String>,

    /// The file with the message, header and body; `-`: standard input.
    #[arg(long, value_name = "FILE", requires = "rcpt")]
    message: Option<PathBuf>,

    /// The session is one in TLS.
    #[arg(long)]
    tls: bool,

    /// The client authenticates as this user once it has greeted; no plugin is asked.
    #[arg(long, value_name = "USER")]
    auth: Option<String>,

    /// Queue the message.
    #[arg(long)]
    queue: bool,

    /// One JSON object a line.
    #[arg(long)]
    json: bool,

    /// What the process of its own is told.
    #[arg(long, hide = true)]
    in_this_process: bool,
}

pub(super) fn try_session<E: Engine>(
    args: TryArgs,
    make_engine: impl FnOnce(EngineSettings) -> E,
) -> ExitCode {
    if args.in_this_process {
        return in_this_process(args, make_engine);
    }
    match play(&args) {
        Ok(status) => ExitCode::from(status),
        Err(problem) => useless(&problem),
    }
}

fn useless(problem: &str) -> ExitCode {
    eprintln!("camelpost: {}", problem.trim_end().replace('\n', " "));
    ExitCode::from(USELESS)
}

/// The session's process.
fn in_this_process<E: Engine>(
    args: TryArgs,
    make_engine: impl FnOnce(EngineSettings) -> E,
) -> ExitCode {
    let trial = Trial {
        ip: args.ip,
        host: args.host,
        tls: args.tls,
        auth: args.auth,
        queue: args.queue,
    };
    let tried = server::become_user(args.user.as_deref(), None)
        .and_then(|()| make_engine(args.engine.into()).try_session(&trial));
    match tried {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => useless(&problem),
    }
}

/// The client's side. The result is the exit status.
fn play(args: &TryArgs) -> Result<u8, String> {
    look_for_controls(args)?;
    let plan = match args.from.is_some() || !args.rcpt.is_empty() {
        true => Some(Mail::new(&args.from, &args.rcpt, args.message.as_deref())?),
        false => None,
    };
    let mut player = Player::start(&session_args(args), Show::new(args.json))?;
    let literal = match args.ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    };
    let played = match &plan {
        _ if player.failed_to_start() => return Ok(USELESS),
        Some(plan) => mail(&mut player, plan, args.helo.as_deref().unwrap_or(&literal)),
        None => interactive(&mut player, args.helo.as_deref()),
    };
    played?;
    player.end()
}

/// A line end would make two commands of one.
fn look_for_controls(args: &TryArgs) -> Result<(), String> {
    let one = [
        ("--host", &args.host),
        ("--helo", &args.helo),
        ("--from", &args.from),
        ("--auth", &args.auth),
    ];
    let one = one
        .into_iter()
        .flat_map(|(name, text)| text.iter().map(move |text| (name, text)));
    let mut all = one.chain(args.rcpt.iter().map(|text| ("--rcpt", text)));
    match all.find(|(_, text)| text.chars().any(char::is_control)) {
        Some((name, text)) => Err(format!(
            "{name} {text:?} has a control character, which no command may have; interactively \
             anything can be sent"
        )),
        None => Ok(()),
    }
}

/// What the session's process is told of these arguments.
fn session_args(args: &TryArgs) -> Vec<std::ffi::OsString> {
    let mut words: Vec<std::ffi::OsString> = vec!["try".into(), "--in-this-process".into()];
    let mut add = |name: &str, value: &std::ffi::OsStr| {
        let mut word = std::ffi::OsString::from(name);
        word.push(value);
        words.push(word);
    };
    if let Some(config) = &args.engine.config {
        add("--config=", config.as_os_str());
    }
    add("--ip=", args.ip.to_string().as_ref());
    let texts = [
        ("--user=", &args.user),
        ("--host=", &args.host),
        ("--auth=", &args.auth),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            add(name, value.as_ref());
        }
    }
    let flags = [
        ("--no-rdns", args.engine.no_rdns),
        ("--tls", args.tls),
        ("--queue", args.queue),
    ];
    let given = flags.into_iter().filter(|(_, is_given)| *is_given);
    words.extend(given.map(|(name, _)| name.into()));
    words
}
