//! `native/greylisting [remote_ip 0|1] [sender 0|1] [recipient 0|1] [black_timeout SECONDS] [grey_timeout SECONDS]
//! [white_timeout SECONDS] [reject 0|1] [deny_late 0|1] [per_recipient 0|1] [p0f NAME,VALUE,…] [geoip COUNTRY,…]
//! [loglevel L]`: who is not known has to come again, as qpsmtpd's plugin of that name has it, with config
//! `denysoft_greylist`. What it knows is in the store, in the name space and the form that 1.00's plugin has there; it goes
//! by its own expiry. Reads no database of the Perl plugin's: `db_dir` and `upgrade` make no difference.

mod hosts;
mod others;
mod settings;
mod triplet;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use self::hosts::Hosts;
use self::settings::{Args, FILE, Settings};
use self::triplet::{Finding, Judged, judge};
use super::list::is_true;
use super::logging::local_time;
use crate::base::Zone;
use crate::config::{ConfigDir, Profile};
use crate::log::{LOGALERT, LOGDEBUG, LOGERROR, LOGINFO, LOGWARN};
use crate::plugin::twin::Port;
use crate::plugin::{
    Cx, Failure, HookResult, Hooks, LoadEnv, MailCx, Plugin, PluginError, RcptCx, declined,
    denysoft,
};
use crate::smtp::Address;

/// The name space, as Qpsmtpd::DB has it for the plugin of 1.00.
const STORE: &str = "greylist";
/// The transaction's note for DATA.
const NOTE: &str = "greylist";
const DENIED: &str = "This mail is temporarily denied";
/// Where the Perl plugin keeps its database where nothing else is said, and what it is called.
const USUAL_DIR: &str = "/var/lib/qpsmtpd/greylisting";
const DATABASES: [&str; 2] = ["greylist.dbm", "denysoft_greylist.dbm"];

pub(super) struct Greylisting {
    settings: Settings,
    hosts: Hosts,
    zone: Zone,
}

impl Plugin for Greylisting {
    const NAME: &'static str = "greylisting";

    type Args = Args;

    fn load(args: Args, env: &LoadEnv<'_>) -> Result<Greylisting, PluginError> {
        let of = env.profile();
        let lines = env.lines(FILE)?;
        let settings = settings(of, &lines, &args.words());
        let unknown = settings.unknown();
        if !unknown.is_empty() {
            let names = String::from_utf8_lossy(&unknown.join(&b',')).into_owned();
            env.log(LOGALERT, format!("invalid parameter(s): {names}"));
        }
        if let Some(level) = settings.get_true("loglevel") {
            env.usual_loglevel(level)
                .map_err(|error| PluginError::new(format!("{FILE}: {error}")))?;
        }
        tell(env, &settings);
        Ok(Greylisting {
            hosts: match of {
                Profile::V094 => Hosts::default(),
                Profile::V100 => Hosts::load(env)?,
            },
            zone: Zone::local(),
            settings,
        })
    }

    fn hooks(hooks: &mut Hooks<Greylisting>) {
        hooks.data(Greylisting::data);
        let settings = &hooks.plugin().settings;
        match settings.is_on("recipient") || settings.is_on("per_recipient") {
            true => hooks.rcpt(Greylisting::rcpt),
            false => hooks.mail(Greylisting::mail),
        };
    }
}

impl Port for Greylisting {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "1992ae78a1148aedb3374bcb4c18a1a63d3842f59a33fcda0205e2ca04f5c71a",
            Profile::V094,
        ),
        (
            "59be9882fd9f79542cc91e6a993cc69775d173f05a9a8e8fe356a816d41288f1",
            Profile::V100,
        ),
    ];

    const KEEPS_PAIRS: bool = true;

    /// Who asks for a database that several machines share need not have such a store.
    fn serves(words: &[Vec<u8>], config: &ConfigDir) -> bool {
        let lines = config.entries(FILE).unwrap_or_default();
        let lines: Vec<Vec<u8>> = lines.into_iter().map(|entry| entry.text).collect();
        let all = Settings::new(Profile::V094).with_lines(&lines);
        all.with_words(words).elsewhere().is_empty()
    }

    fn perl_args(words: &[Vec<u8>]) -> Args {
        Args::of_perl(words)
    }
}

/// The file's lines under the line's words. 1.00 asks for one value of the file, which is its first line.
fn settings(of: Profile, lines: &[Vec<u8>], words: &[Vec<u8>]) -> Settings {
    let lines = match of {
        Profile::V094 => lines,
        Profile::V100 => &lines[..lines.len().min(1)],
    };
    Settings::new(of).with_lines(lines).with_words(words)
}

/// What an administrator may not expect.
fn tell(env: &LoadEnv<'_>, settings: &Settings) {
    for name in settings.elsewhere() {
        env.warn(format!(
            "{name} makes no difference: what is known is in the store (config store)"
        ));
    }
    others::unreadable(settings)
        .into_iter()
        .for_each(|why| env.warn(why));
    if env.is_twin() && env.profile() == Profile::V094 {
        env.log(
            LOGWARN,
            "the Perl plugin dies at each MAIL of a method that it does not have; the native one greylists",
        );
    }
    if let Some(path) = database(settings) {
        env.warn(format!(
            "{} is not read: what is known is in the store (config store), and whom only that file knows has to \
             come again once; without the file this is not said",
            path.display()
        ));
    }
}

/// A database that the Perl plugin has left.
fn database(settings: &Settings) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let named = settings.get_true("db_dir").map(std::ffi::OsStr::from_bytes);
    let dirs = named
        .map(Path::new)
        .into_iter()
        .chain([Path::new(USUAL_DIR)]);
    // The first that is there is the Perl plugin's.
    let dir = dirs.into_iter().find(|dir| dir.is_dir())?;
    let files = DATABASES.iter().map(|name| dir.join(name));
    files.into_iter().find(|path| path.is_file())
}

impl Greylisting {
    async fn mail(&self, cx: &mut MailCx<'_>) -> HookResult {
        let sender = cx.sender();
        if !self.is_early(cx, &self.settings, &sender, None).await? {
            return declined();
        }
        if !self.settings.is_on("deny_late") {
            return denysoft(DENIED);
        }
        cx.envelope().notes().set(NOTE, DENIED);
        declined()
    }

    async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        let lines = cx.recipient_config_lines(FILE).await;
        let settings = self.settings.clone().with_lines(&lines);
        let sender = cx.envelope().sender().unwrap_or_else(Address::null);
        let recipient = cx.recipient();
        if !self
            .is_early(cx, &settings, &sender, Some(&recipient))
            .await?
        {
            return declined();
        }
        // Who only asks whether there is such a recipient has no sender.
        if is_true(&sender.address()) {
            return denysoft(DENIED);
        }
        cx.envelope().notes().set(NOTE, DENIED);
        declined()
    }

    async fn data(&self, cx: &mut Cx<'_>) -> HookResult {
        let envelope = cx.envelope();
        let notes = envelope.notes();
        if !notes.is_true(NOTE) {
            return declined();
        }
        let whitelisted = notes.int("whitelistrcpt").unwrap_or_default();
        if usize::try_from(whitelisted) == Ok(envelope.recipients().len()) {
            cx.log(LOGWARN, "skip: all recipients whitelisted");
            return declined();
        }
        denysoft(notes.bytes(NOTE).unwrap_or_default())
    }

    /// Whether the client is to come again.
    async fn is_early(
        &self,
        cx: &Cx<'_>,
        settings: &Settings,
        sender: &Address,
        recipient: Option<&Address>,
    ) -> Result<bool, Failure> {
        cx.log(LOGDEBUG, [b"config: ", &settings.shown()[..]].concat());
        if self.leaves_alone(cx).await? {
            return Ok(false);
        }
        let Some(key) = self.key(cx, sender, recipient)? else {
            return Ok(false);
        };
        let (now, times) = (now(), settings.times());
        let (says, said) = mpsc::channel();
        let decide = move |old: Option<&[u8]>| {
            let (judged, change) = judge(old, now, &times);
            // Nobody listens any more where the hook was given up.
            let _ = says.send(judged);
            change
        };
        cx.store(STORE).update(&key, decide).await?;
        // It may have been asked more than once: the last is what is kept.
        let judged = said.try_iter().last();
        let judged = judged.ok_or_else(|| Failure::new("the store has not asked"))?;
        self.log(cx, &key, now, &judged);
        Ok(judged.is_early() && self.settings.rejects())
    }

    async fn leaves_alone(&self, cx: &Cx<'_>) -> Result<bool, Failure> {
        let settings = &self.settings;
        Ok(cx.is_immune()
            || !others::is_p0f_match(cx, settings).await?
            || others::is_geoip_match(cx, settings)
            || self.hosts.have(cx)?)
    }

    /// By what the store knows a triplet: those of its parts that count.
    fn key(
        &self,
        cx: &Cx<'_>,
        sender: &Address,
        recipient: Option<&Address>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let mut parts = Vec::new();
        if self.settings.is_on("remote_ip") {
            let ip = cx.client().ip().ok_or_else(|| {
                let shown = cx.client().ip_text();
                Failure::new(format!("the client's address '{shown}' is none"))
            })?;
            parts.push(number(ip));
        }
        if self.settings.is_on("sender") {
            parts.push(
                Some(sender.address())
                    .filter(|sender| is_true(sender))
                    .unwrap_or_default(),
            );
        }
        if let Some(recipient) = recipient.filter(|_| self.settings.is_on("recipient")) {
            parts.push(recipient.address());
        }
        if parts.is_empty() {
            cx.log(LOGERROR, "enable one of remote_ip, sender, or recipient!");
        }
        Ok(Some(parts.join(&b':')).filter(|key| is_true(key)))
    }

    fn log(&self, cx: &Cx<'_>, key: &[u8], now: i64, judged: &Judged) {
        if let Some(since) = judged.since {
            let time = |time| local_time(time, &self.zone);
            cx.log(LOGDEBUG, format!("ts: {}, now: {}", time(since), time(now)));
        }
        if judged.was_white {
            cx.log(LOGINFO, [b"key ", key, b" has timed out (white)"].concat());
        }
        let (level, text) = match judged.finding {
            Finding::New => (LOGWARN, "fail: initial DENYSOFT, unknown".to_owned()),
            Finding::Black(count) => {
                let text = format!("fail: black DENYSOFT - {count} deferred connections");
                (LOGWARN, text)
            }
            Finding::Grey => (LOGWARN, "pass: updated grey->white".to_owned()),
            Finding::White(count) => (LOGINFO, format!("pass: white, {count} deliveries")),
            Finding::TimedOut => (LOGWARN, "pass: timed out (grey)".to_owned()),
        };
        cx.log(level, text);
    }
}

/// An address as a whole number.
fn number(ip: IpAddr) -> Vec<u8> {
    let number = match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    number.to_string().into_bytes()
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_number() {
        let number = |ip: &str| String::from_utf8(number(ip.parse().unwrap())).unwrap();
        assert_eq!(number("192.0.2.1"), "3221225985");
        assert_eq!(
            number("2001:db8::1"),
            "42540766411282592856903984951653826561"
        );
    }

    #[test]
    fn in_1_00_the_file_s_first_line_is_what_the_plugin_is_loaded_with() {
        let lines = [b"remote_ip 0".to_vec(), b"sender 1".to_vec()];
        for (of, sender) in [(Profile::V094, true), (Profile::V100, false)] {
            let settings = settings(of, &lines, &[]);
            assert!(!settings.is_on("remote_ip"));
            assert_eq!(settings.is_on("sender"), sender);
        }
    }

    #[test]
    fn a_line_or_a_file_that_asks_for_another_database_stays_perl_s() {
        let serves = |line: &str, file: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE), file).unwrap();
            let words: Vec<Vec<u8>> = line.split(' ').map(Into::into).collect();
            Greylisting::serves(&words, &ConfigDir::new(vec![dir.path().to_path_buf()]))
        };
        assert!(serves("db_dir /x p0f genre,windows", "sender 1\n"));
        assert!(!serves("nfslock 1", "") && !serves("redis host", ""));
        assert!(!serves("sender 1", "nfslock 1\n"));
        assert!(serves("nfslock 0", "nfslock 1\n"));
    }
}
