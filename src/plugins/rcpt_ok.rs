//! `native/rcpt_ok`: takes recipients of this server's own name, of the domains in config `rcpthosts`
//! (`.example.org` for all below it) and of those in the map `morercpthosts`, and refuses all others, as
//! qpsmtpd's plugin of that name. A client that may relay or is on a white list may send anywhere.

use super::list::{is_space, is_true};
use super::map;
use crate::config::Profile;
use crate::log::LOGINFO;
use crate::plugin::twin::Port;
use crate::plugin::{Failure, HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, deny, ok};

const MAP: &str = "morercpthosts";

pub(super) struct RcptOk;

impl Plugin for RcptOk {
    const NAME: &'static str = "rcpt_ok";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<RcptOk, PluginError> {
        Ok(RcptOk)
    }

    fn hooks(hooks: &mut Hooks<RcptOk>) {
        hooks.rcpt(RcptOk::rcpt);
    }
}

impl Port for RcptOk {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "4d54e3ef2795e9877b88e3b1d65674546f68d7da77bc9d74ea28ba05dc21b491",
            Profile::V094,
        ),
        (
            "f67c768f557e336106dbd4a5ea291b7b965af04516ffc688a5f8e677d8ded636",
            Profile::V100,
        ),
    ];

    fn perl_args(_: &[Vec<u8>]) {}
}

impl RcptOk {
    async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        if cx.is_immune() {
            return ok();
        }
        let Some(host) = host_of(cx).await else {
            return ok();
        };
        if is_in_list(cx, &host).await || is_in_map(cx, &host).await? {
            return ok();
        }
        deny("Relaying denied (#5.7.1)")
    }
}

/// The recipient's domain. `postmaster` and `abuse` without one are this server's.
async fn host_of(cx: &RcptCx<'_>) -> Option<Vec<u8>> {
    let recipient = cx.recipient();
    if let Some(host) = recipient.host().filter(|host| is_true(host)) {
        return Some(host.to_ascii_lowercase());
    }
    let user = recipient.user()?.to_ascii_lowercase();
    if user != b"postmaster" && user != b"abuse" {
        return None;
    }
    let me = cx.config_lines("me").await.into_iter().next();
    me.filter(|me| is_true(me))
}

async fn is_in_list(cx: &RcptCx<'_>, host: &[u8]) -> bool {
    let mut all = cx.config_lines("me").await;
    all.extend(cx.config_lines("rcpthosts").await);
    for allowed in &all {
        let start = allowed.iter().position(|byte| !is_space(*byte));
        let allowed = &allowed[start.unwrap_or(0)..];
        if host == allowed.to_ascii_lowercase() {
            cx.log(LOGINFO, [b"pass: ", host, b" in rcpthosts"].concat());
            return true;
        }
        let tail = host.len().checked_sub(allowed.len());
        let tail = tail.and_then(|at| host.get(at..)).unwrap_or_default();
        if allowed.first() == Some(&b'.') && tail.eq_ignore_ascii_case(allowed) {
            let text = [b"pass: ", host, b" in rcpthosts as ", allowed].concat();
            cx.log(LOGINFO, text);
            return true;
        }
    }
    false
}

async fn is_in_map(cx: &RcptCx<'_>, host: &[u8]) -> Result<bool, Failure> {
    let has = map::has(cx, MAP, host).await?;
    let text = match has {
        true => [b"pass: ", host, b" found in ", MAP.as_bytes()].concat(),
        false => [b"fail: ", host, b" not in ", MAP.as_bytes()].concat(),
    };
    cx.log(LOGINFO, text);
    Ok(has)
}
