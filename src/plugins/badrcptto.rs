//! `native/badrcptto`: refuses recipients that config `badrcptto` has, as qpsmtpd's plugin of that name: an
//! address, `@domain` or a pattern, and behind it the reply's text, which 0.94 does not use. Clients that may
//! relay or are on a white list may pass. A pattern that is none, or none that Perl and Rust read in the same
//! way, is told of at the start, and is a failure of the plugin when a recipient comes to it.

use super::list::{self, Entry, List, is_true};
use crate::config::Profile;
use crate::log::{LOGDEBUG, LOGERROR, LOGINFO};
use crate::plugin::twin::Port;
use crate::plugin::{
    Failure, HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, declined, deny,
};

const LIST: &str = "badrcptto";

pub(super) struct BadRcptTo {
    of: Profile,
}

impl Plugin for BadRcptTo {
    const NAME: &'static str = "badrcptto";

    type Args = ();

    fn load((): (), env: &LoadEnv<'_>) -> Result<BadRcptTo, PluginError> {
        list::tell_wrong::<Recipients>(env, LIST)?;
        Ok(BadRcptTo { of: env.profile() })
    }

    fn hooks(hooks: &mut Hooks<BadRcptTo>) {
        hooks.rcpt(BadRcptTo::rcpt);
    }
}

impl Port for BadRcptTo {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "2e1453b6d02810813bb92f6be8b818e6043e3e69cea14c09a7555bbdcd133f94",
            Profile::V094,
        ),
        (
            "1bcb626f2eb81d55a25532fa97ae386df7716d394c63d6e0a2155db16fbb5b71",
            Profile::V100,
        ),
    ];

    fn perl_args(_: &[Vec<u8>]) {}
}

/// Patterns count in any case; the plugin has put all of them, escapes too, into lower case before.
struct Recipients;

impl list::Kind for Recipients {
    fn pattern(word: &[u8]) -> (Vec<u8>, bool) {
        (word.to_ascii_lowercase(), true)
    }
}

impl BadRcptTo {
    async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        if cx.is_immune() {
            return declined();
        }
        let recipient = cx.recipient();
        let parts = recipient.user().zip(recipient.host());
        let Some((user, host)) = parts.filter(|(user, host)| is_true(user) && is_true(host)) else {
            cx.log(LOGINFO, "skip: missing host or user");
            return declined();
        };
        let list = cx.config::<List<Recipients>>(LIST).await?;
        if list.entries.is_empty() {
            cx.log(LOGINFO, "skip, empty config");
            return declined();
        }
        let to = [user, b"@", host].concat().to_ascii_lowercase();
        let host = host.to_ascii_lowercase();
        for entry in &list.entries {
            if let Some(how) = matched(cx, entry, &to, &host)? {
                cx.log(LOGINFO, format!("fail: {how} match"));
                cx.adjust_karma(-2);
                let has_reason = is_true(&entry.rest);
                let usual = [b"mail to ", &entry.word[..], b" not accepted here"].concat();
                return match (has_reason, self.of) {
                    (true, Profile::V100) => deny(entry.rest.clone()),
                    (true, Profile::V094) => deny(usual),
                    (false, _) => deny([&usual[..], b" (#5.1.1)"].concat()),
                };
            }
        }
        cx.log(LOGINFO, "pass");
        declined()
    }
}

/// What of the recipient the entry has, if anything.
fn matched(
    cx: &RcptCx<'_>,
    entry: &Entry,
    to: &[u8],
    host: &[u8],
) -> Result<Option<&'static str>, Failure> {
    if !is_true(&entry.word) {
        return Ok(None);
    }
    let bad = entry.word.to_ascii_lowercase();
    if let Some(pattern) = &entry.pattern {
        // The name of the other plugin is in the original's line, too.
        let text = [b"badmailfrom pattern (", &bad[..], b") match for ", to].concat();
        cx.log(LOGDEBUG, text);
        let pattern = pattern.as_ref().map_err(|why| Failure::new(why.clone()))?;
        return Ok(pattern.is_match(to).then_some("pattern"));
    }
    if !bad.contains(&b'@') {
        let text = [&b"badrcptto: bad config: no @ sign in "[..], &bad].concat();
        cx.log(LOGERROR, text);
        return Ok(None);
    }
    Ok(match bad.strip_prefix(b"@") {
        Some(domain) => (domain == host).then_some("host"),
        None => (bad == to).then_some("rcpt"),
    })
}
