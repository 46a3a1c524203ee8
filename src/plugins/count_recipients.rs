//! `native/count_recipients [max N]`: counts the recipients of a transaction, for Perl plugins
//! that follow it, and refuses more than N.
//!
//! It reads the connection note `client_class`, which a Perl plugin before it may have set
//! (`relay` of compat-plugins does), and sets the transaction note `recipient_count`: the
//! number of RCPT commands so far, this one included. A client of class `relay` has no limit.
//! `max` 0, the default, is no limit. The refusal is DENYSOFT (RFC 5321 section 4.5.3.1.8).

use serde::Deserialize;

use crate::plugin::{HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, declined, denysoft};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(super) struct Args {
    max: u32,
}

pub(super) struct CountRecipients {
    max: i64,
}

impl Plugin for CountRecipients {
    const NAME: &'static str = "count_recipients";

    type Args = Args;

    fn load(args: Args, _: &LoadEnv<'_>) -> Result<CountRecipients, PluginError> {
        Ok(CountRecipients {
            max: args.max.into(),
        })
    }

    fn hooks(hooks: &mut Hooks<CountRecipients>) {
        hooks.plain().rcpt(CountRecipients::rcpt);
    }
}

impl CountRecipients {
    fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        let notes = cx.envelope().notes();
        let count = notes.int("recipient_count").unwrap_or_default() + 1;
        notes.set("recipient_count", count);
        let class = cx.notes().text("client_class");
        let class = class.as_deref().unwrap_or("unknown");
        cx.log(7, format!("recipient {count} of a {class} client"));
        if self.max > 0 && count > self.max && class != "relay" {
            return denysoft("too many recipients");
        }
        declined()
    }
}
