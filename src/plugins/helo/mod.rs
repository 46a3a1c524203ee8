//! `native/helo [policy lenient|rfc|strict] [reject R] [loglevel L]`: refuses clients whose greeting has a name that
//! cannot be theirs, as qpsmtpd's plugin of that name, and puts the name into the message's header. The checks of
//! which the policy asks are names.rs's and dns.rs's. The client is always sent away, whatever `reject_type` is, and
//! the DNS has as much time as it has for every plugin, whatever `timeout` is.

mod dns;
mod names;

use serde::Deserialize;

use self::names::BadHelo;
use super::list::is_true;
use super::pairs;
use crate::config::Profile;
use crate::log::{LOGDEBUG, LOGINFO};
use crate::plugin::twin::Port;
use crate::plugin::{
    Cx, Failure, HelloCx, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined,
};

const FIELD: &str = "X-HELO";

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Args {
    policy: Policy,
    /// Seconds; see the file's head.
    #[serde(rename = "timeout")]
    _timeout: Option<u32>,
    /// See `timeout`.
    #[serde(rename = "dns_timeout")]
    _dns_timeout: Option<u32>,
}

/// How much is checked.
#[derive(Deserialize, Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Policy {
    #[default]
    Lenient,
    Rfc,
    Strict,
}

pub(super) struct Helo {
    policy: Policy,
    of: Profile,
}

/// What is wrong: the reply's text, and the log's.
type Wrong = (Vec<u8>, String);

fn wrong(reply: &str, log: &str) -> Option<Wrong> {
    Some((reply.as_bytes().to_vec(), log.to_owned()))
}

impl Plugin for Helo {
    const NAME: &'static str = "helo";

    type Args = Args;

    const REJECTS: bool = true;

    fn load(args: Args, env: &LoadEnv<'_>) -> Result<Helo, PluginError> {
        env.always_reject_type("disconnect");
        if env.profile() == Profile::V094 {
            env.log(LOGDEBUG, "initializing Net::DNS::Resolver");
        }
        names::tell_wrong(env)?;
        Ok(Helo {
            policy: args.policy,
            of: env.profile(),
        })
    }

    fn hooks(hooks: &mut Hooks<Helo>) {
        hooks.helo(Helo::hello);
        hooks.ehlo(Helo::hello);
        hooks.data_post(Helo::data_post);
    }
}

impl Port for Helo {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "124e55dec3fa28fa1a8666532532a1074b6a0351743d794f4c3efb47633dd2f5",
            Profile::V094,
        ),
        (
            "73fe4e26d85efb090bb6071a4651687c02ac575b54ae6c8cc04979d5e3324f29",
            Profile::V100,
        ),
    ];

    const SPEAKS_FIRST: bool = true;

    fn perl_args(words: &[Vec<u8>]) -> Args {
        Args {
            policy: match pairs::get(words, "policy") {
                Some(b"rfc") => Policy::Rfc,
                Some(b"strict") => Policy::Strict,
                _ => Policy::Lenient,
            },
            ..Args::default()
        }
    }
}

impl Helo {
    async fn hello(&self, cx: &mut HelloCx<'_>) -> HookResult {
        let host = cx.host().to_vec();
        if !is_true(&host) {
            cx.log(LOGINFO, "fail, tolerated, no helo host");
            cx.adjust_karma(-2);
            return declined();
        }
        if cx.is_immune() {
            return declined();
        }
        if let Some((reply, log)) = self.check(cx, &host).await? {
            cx.adjust_karma(-1);
            return cx.get_reject(reply, &log);
        }
        cx.log(LOGINFO, "pass");
        declined()
    }

    /// The first thing that is wrong.
    async fn check(&self, cx: &Cx<'_>, host: &[u8]) -> Result<Option<Wrong>, Failure> {
        let bad = cx.config::<BadHelo>(names::LIST).await?;
        if let Some(wrong) = bad.check(host, self.of)? {
            return Ok(Some(wrong));
        }
        let names = names::Checks {
            cx,
            host,
            of: self.of,
        };
        let found = names.localhost().or_else(|| names.forged_literal());
        let found = found.or_else(|| names.plain_ip());
        if found.is_some() || self.policy < Policy::Rfc {
            return Ok(found);
        }
        let found = names.not_fqdn();
        let is_literal = || names.literal().is_some();
        if found.is_some() {
            return Ok(found);
        }
        if !is_literal() {
            let found = dns::forward(cx, host).await;
            if found.is_some() {
                return Ok(found);
            }
        }
        let found = dns::reverse(cx, host).await;
        if found.is_some() || self.policy < Policy::Strict {
            return Ok(found);
        }
        Ok(names.literal().or_else(|| dns::matching(cx)))
    }

    async fn data_post(&self, cx: &mut Cx<'_>) -> HookResult {
        let (message, name) = (cx.message(), cx.client().hello_host());
        let header = message.header();
        header.remove(FIELD).await?;
        header.add_on_top(FIELD, name.unwrap_or_default()).await?;
        declined()
    }
}
