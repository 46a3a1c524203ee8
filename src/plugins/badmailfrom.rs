//! `native/badmailfrom [reject R] [reject_type T] [loglevel L]`: refuses senders that config `badmailfrom`
//! has, as qpsmtpd's plugin of that name: an address, `@domain` or a pattern, and behind it the reply's text.
//! Clients that may relay or are on a white list, and the null sender, may pass. A pattern that is none,
//! or none that Perl and Rust read in the same way, is told of at the start, and is a failure of the plugin
//! when a sender comes to it.

use super::list::{self, Entry, List, is_true};
use crate::config::Profile;
use crate::log::{LOGDEBUG, LOGINFO, LOGWARN};
use crate::plugin::twin::Port;
use crate::plugin::{Failure, HookResult, Hooks, LoadEnv, MailCx, Plugin, PluginError, declined};

const LIST: &str = "badmailfrom";
const USUAL: &[u8] = b"Your envelope sender is in my badmailfrom list";

pub(super) struct BadMailFrom;

impl Plugin for BadMailFrom {
    const NAME: &'static str = "badmailfrom";

    type Args = ();

    const REJECTS: bool = true;

    fn load((): (), env: &LoadEnv<'_>) -> Result<BadMailFrom, PluginError> {
        list::tell_wrong::<Senders>(env, LIST)?;
        Ok(BadMailFrom)
    }

    fn hooks(hooks: &mut Hooks<BadMailFrom>) {
        hooks.mail(BadMailFrom::mail);
    }
}

impl Port for BadMailFrom {
    const FILES: &'static [(&'static str, Profile)] = &[(
        "6f5ca11b9b14c51acf872b409ee7604d73de6464cf3d1f2b60f60fc5e0738ddf",
        Profile::V100,
    )];

    fn perl_args(_: &[Vec<u8>]) {}
}

/// Patterns count in the case that they are written in; the sender is in lower case.
struct Senders;

impl list::Kind for Senders {
    fn pattern(word: &[u8]) -> (Vec<u8>, bool) {
        (word.to_vec(), false)
    }
}

impl BadMailFrom {
    async fn mail(&self, cx: &mut MailCx<'_>) -> HookResult {
        if cx.is_immune() {
            return declined();
        }
        let list = cx.config::<List<Senders>>(LIST).await?;
        let sender = cx.sender();
        let skipped = |why: &str| {
            cx.log(LOGDEBUG, format!("skip, {why}"));
            declined()
        };
        if list.entries.is_empty() {
            return skipped("empty list");
        }
        if sender.format() == b"<>" {
            return skipped("null sender");
        }
        let parts = sender.user().zip(sender.host());
        let Some((user, host)) = parts.filter(|(user, host)| is_true(user) && is_true(host)) else {
            return skipped("missing user or host");
        };
        let from = [user, b"@", host].concat().to_ascii_lowercase();
        let host = host.to_ascii_lowercase();
        for entry in &list.entries {
            if is_match(cx, entry, &from, &host)? {
                cx.adjust_karma(-1);
                let why = Some(&*entry.rest).filter(|rest| is_true(rest));
                return cx.get_reject(why.unwrap_or(USUAL), "");
            }
        }
        cx.log(LOGINFO, "pass");
        declined()
    }
}

fn is_match(cx: &MailCx<'_>, entry: &Entry, from: &[u8], host: &[u8]) -> Result<bool, Failure> {
    if !is_true(&entry.word) {
        return Ok(false);
    }
    if let Some(pattern) = &entry.pattern {
        let pattern = pattern.as_ref().map_err(|why| Failure::new(why.clone()))?;
        let is_match = pattern.is_match(from);
        if is_match {
            let word = &entry.word;
            let text = [b"badmailfrom pattern (", &word[..], b") match for ", from].concat();
            cx.log(LOGDEBUG, text);
        }
        return Ok(is_match);
    }
    let bad = entry.word.to_ascii_lowercase();
    if !bad.contains(&b'@') {
        let text = [&b"badmailfrom: bad config: no @ sign in "[..], &bad].concat();
        cx.log(LOGWARN, text);
        return Ok(false);
    }
    Ok(match bad.strip_prefix(b"@") {
        Some(domain) => domain == host,
        None => bad == from,
    })
}
