//! `native/count_recipients [max N]`: counts the recipients of a transaction, for Perl plugins
//! that follow it, and refuses more than N.
//!
//! It reads the connection note `client_class`, which a Perl plugin before it may have set
//! (`relay` of compat-plugins does), and sets the transaction note `recipient_count`: the
//! number of RCPT commands so far, this one included. A client of class `relay` has no limit.
//! `max` 0, the default, is no limit. The refusal is DENYSOFT (RFC 5321 section 4.5.3.1.8).

use crate::config::ConfigDir;
use crate::hook::{Code, Verdict};
use crate::mail::Note;
use crate::plugin::{Hooks, Plugin, PluginArgs, PluginError, RcptContext};

pub(super) struct CountRecipients {
    max: i64,
}

impl Plugin for CountRecipients {
    const NAME: &'static str = "count_recipients";

    fn load(args: &PluginArgs, _: &ConfigDir) -> Result<CountRecipients, PluginError> {
        let mut max = 0;
        for (name, value) in args.pairs()? {
            let value = String::from_utf8_lossy(value);
            match (name, value.parse::<u32>()) {
                (b"max", Ok(number)) => max = i64::from(number),
                (b"max", Err(_)) => {
                    let text = format!("max takes a number of recipients (0: any), not '{value}'");
                    return Err(PluginError(text));
                }
                (other, _) => {
                    let other = String::from_utf8_lossy(other);
                    let text = format!("unknown argument '{other}'; there is: max N");
                    return Err(PluginError(text));
                }
            }
        }
        Ok(CountRecipients { max })
    }

    fn register(hooks: &mut Hooks<CountRecipients>) {
        hooks.on_rcpt(CountRecipients::rcpt);
    }
}

impl CountRecipients {
    async fn rcpt(&self, cx: &mut RcptContext<'_>) -> Verdict {
        let transaction = cx.transaction();
        let before = match transaction.notes.get(b"recipient_count") {
            Some(Note::Int(count)) => count,
            _ => 0,
        };
        let count = before + 1;
        transaction.notes.set(b"recipient_count", Note::Int(count));
        let class = cx.connection().notes.bytes(b"client_class");
        let class = class.as_deref().unwrap_or(b"unknown");
        cx.log(
            7,
            &format!(
                "recipient {count} of a {} client",
                String::from_utf8_lossy(class)
            ),
        );
        if self.max > 0 && count > self.max && class != b"relay" {
            return Verdict::with_text(Code::DenySoft, "too many recipients");
        }
        Verdict::declined()
    }
}
