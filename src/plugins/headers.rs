//! `native/headers [require NAME,NAME] [past DAYS] [future DAYS] [reject R] [reject_type T] [loglevel L]`: refuses
//! messages without the fields that they need (From), with two of those of which there is one, and with a date too
//! far away, as qpsmtpd's plugin of that name. Looks at dates in the forms that date.rs knows.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::{date, pairs};
use crate::config::Profile;
use crate::hook::Code;
use crate::log::{LOGINFO, LOGWARN};
use crate::mail::Field;
use crate::plugin::twin::Port;
use crate::plugin::{Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined};

/// Those of which a message has one (RFC 5322 section 3.6).
const SINGULAR: [&str; 11] = [
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Message-Id",
    "In-Reply-To",
    "References",
    "Subject",
];
const DAY: f64 = 86_400.0;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Args {
    /// Names of fields.
    require: Vec<String>,
    /// Days; 0 is any number.
    past: f64,
    /// Days; 0 is any number.
    future: f64,
}

impl Default for Args {
    fn default() -> Args {
        Args {
            require: vec!["From".to_owned()],
            past: 0.0,
            future: 0.0,
        }
    }
}

pub(super) struct Headers(Args);

impl Plugin for Headers {
    const NAME: &'static str = "headers";

    type Args = Args;

    const REJECTS: bool = true;

    fn load(args: Args, env: &LoadEnv<'_>) -> Result<Headers, PluginError> {
        if pairs::are_odd(env.words()) {
            env.log(LOGWARN, "invalid arguments");
        }
        env.usual_reject_type("perm");
        Ok(Headers(args))
    }

    fn hooks(hooks: &mut Hooks<Headers>) {
        hooks.data_post(Headers::data_post);
    }
}

impl Port for Headers {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "3754216d96a0650161b0c5c420a258d6be52bc9a591ac00646559c057296f258",
            Profile::V094,
        ),
        (
            "fb22ddd180cc5b48ad7cc30b63f4f00d80fa54e7feae03a2e65d5ea161d01c4e",
            Profile::V100,
        ),
    ];

    fn perl_args(words: &[Vec<u8>]) -> Args {
        let usual = Args::default();
        let days = |name: &str| pairs::get_true(words, name).map_or(0.0, pairs::number);
        let names = pairs::text(words, "require");
        let names = names.map(|names| {
            let names = names.trim_end_matches(',').split(',');
            names.map(str::to_owned).collect()
        });
        Args {
            require: names.unwrap_or(usual.require),
            past: days("past"),
            future: days("future"),
        }
    }
}

impl Headers {
    async fn data_post(&self, cx: &mut Cx<'_>) -> HookResult {
        let message = cx.message();
        if message.size() == 0 {
            return cx.get_reject("You must send some data first", "no data");
        }
        if cx.is_immune() {
            return declined();
        }
        let fields = message.header().fields().await?;
        let mut has_errors = false;
        for name in &self.0.require {
            if !first(&fields, name).is_some_and(is_there) {
                has_errors = true;
                cx.adjust_karma(-1);
                cx.store_deferred_reject(format!("We require a valid {name} header"))?;
                cx.log(LOGINFO, format!("fail, no {name} header"));
            }
        }
        for name in SINGULAR {
            let number = named(&fields, name).count();
            if number > 1 && first(&fields, name).is_some_and(is_there) {
                has_errors = true;
                cx.adjust_karma(-1);
                cx.store_deferred_reject(format!(
                    "Only one {name} header allowed. See RFC 5322, Section 3.6"
                ))?;
                cx.log(LOGINFO, format!("fail, too many {name} headers"));
            }
        }
        if let Some(why) = self.wrong_date(cx, &fields) {
            return cx.get_reject(why, why);
        }
        if has_errors {
            // The original gives the number of its verdict in the place of a text.
            let code = cx.get_reject_type(Code::Deny).number();
            let text = code.unwrap_or_default().to_string();
            return cx.get_reject(text, "RFC 5322 validation errors");
        }
        cx.log(LOGINFO, "pass");
        declined()
    }

    fn wrong_date(&self, cx: &Cx<'_>, fields: &[Field]) -> Option<&'static str> {
        let date = &first(fields, "Date").filter(|field| is_there(field))?.value;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs() as i64);
        let told = |text: &str| cx.log(LOGINFO, [text.as_bytes(), b" (", date, b")"].concat());
        let Some(time) = date::seconds(date, now).filter(|time| *time != 0) else {
            told("skip, date not parseable");
            return None;
        };
        let (time, now) = (time as f64, now as f64);
        let Args { past, future, .. } = self.0;
        if past != 0.0 && time < now - past * DAY {
            told("fail, date too old");
            cx.adjust_karma(-1);
            return Some("The Date header is too far in the past");
        }
        if future != 0.0 && time > now + future * DAY {
            told("fail, date in future");
            cx.adjust_karma(-1);
            return Some("The Date header is too far in the future");
        }
        None
    }
}

fn named<'a>(fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a Field> {
    let same = move |field: &&Field| field.name.eq_ignore_ascii_case(name.as_bytes());
    fields.iter().filter(same)
}

fn first<'a>(fields: &'a [Field], name: &'a str) -> Option<&'a Field> {
    named(fields, name).next()
}

/// Of a field without a value there is nothing.
fn is_there(field: &Field) -> bool {
    !field.value.is_empty()
}
