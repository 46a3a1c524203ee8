//! `native/spamassassin [spamd_socket PATH|HOST:PORT] [spamd_user USER] [reject SCORE] [munge_subject_threshold SCORE]
//! [leave_old_headers drop|rename|keep] [headers none] [reject_type T] [loglevel L]`: has SpamAssassin's spamd look at
//! messages, puts its fields into the header and refuses those with a score too high, as qpsmtpd's plugin of that name;
//! 1.00 has also `size_limit BYTES`, `subject_prefix TEXT` and `reject userprefs`. What is said to spamd is spamd.rs's,
//! what it answers is read by results.rs.

mod results;
mod spamd;

use serde::Deserialize;

use self::results::{Results, field_lines};
use super::list::is_true;
use super::pairs::{self, number};
use crate::base::user_name;
use crate::config::Profile;
use crate::hook::{Code, Verdict};
use crate::log::{LOGDEBUG, LOGERROR, LOGINFO, LOGNOTICE};
use crate::mail::Field;
use crate::plugin::twin::Port;
use crate::plugin::{Cx, Failure, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined};

const STATUS: &str = "X-Spam-Status";
const USER: &str = "X-Spam-User";
/// Bytes; larger messages are no spam, and spamd would need long for them.
const LIMIT: f64 = 500_000.0;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Args {
    reject: Option<String>,
    reject_threshold: Option<String>,
    reject_type: Option<String>,
    munge_subject_threshold: Option<String>,
    leave_old_headers: Option<String>,
    headers: Option<String>,
    spamd_socket: Option<String>,
    spamd_user: Option<String>,
    subject_prefix: Option<String>,
    /// Bytes.
    size_limit: Option<String>,
}

pub(super) struct SpamAssassin {
    args: Args,
    of: Profile,
}

impl Plugin for SpamAssassin {
    const NAME: &'static str = "spamassassin";

    type Args = Args;

    fn load(mut args: Args, env: &LoadEnv<'_>) -> Result<SpamAssassin, PluginError> {
        if pairs::are_odd(env.words()) {
            env.log(LOGERROR, "Bad parameters for the spamassassin plugin");
        }
        env.usual_reject_type("perm");
        // The number in `reject` is none of the policy's words, so this one is not left to it.
        if let Some(word) = args.reject_type.take().filter(|_| !env.is_twin())
            && !env.always_reject_type(&word)
        {
            let allowed = "takes temp, perm, disconnect or temp_disconnect";
            let problem = format!("{allowed}, not '{word}'");
            return Err(PluginError::argument("reject_type", problem));
        }
        if args.reject.is_none() {
            args.reject = args.reject_threshold.take();
        }
        Ok(SpamAssassin {
            args,
            of: env.profile(),
        })
    }

    fn hooks(hooks: &mut Hooks<SpamAssassin>) {
        hooks.data_post(SpamAssassin::data_post);
    }
}

impl Port for SpamAssassin {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "339083f010746a90a7551946774ad2a1cd11db7174b1a3ca7de5ebe8e41f8f1d",
            Profile::V094,
        ),
        (
            "bec96fdf41e1e62d7f582611a053be29c6af4bcd99bfd9078e565190611666fd",
            Profile::V100,
        ),
    ];

    const SPEAKS_FIRST: bool = true;

    const KEEPS_PAIRS: bool = true;

    fn perl_args(words: &[Vec<u8>]) -> Args {
        let defined = |name: &str| {
            let value = pairs::get(words, name);
            value.map(|value| String::from_utf8_lossy(value).into_owned())
        };
        Args {
            reject: defined("reject"),
            reject_threshold: defined("reject_threshold"),
            reject_type: None,
            munge_subject_threshold: pairs::text(words, "munge_subject_threshold"),
            leave_old_headers: pairs::text(words, "leave_old_headers"),
            headers: defined("headers"),
            spamd_socket: defined("spamd_socket"),
            spamd_user: pairs::text(words, "spamd_user"),
            subject_prefix: pairs::text(words, "subject_prefix"),
            size_limit: pairs::text(words, "size_limit"),
        }
    }
}

impl SpamAssassin {
    async fn data_post(&self, cx: &mut Cx<'_>) -> HookResult {
        if cx.is_immune() {
            return declined();
        }
        let size = cx.message().size();
        let limit = self
            .args
            .size_limit
            .as_deref()
            .filter(|_| self.of == Profile::V100);
        let limit = limit.map_or(LIMIT, |limit| number(limit.as_bytes()));
        if size as f64 > limit {
            cx.log(LOGINFO, format!("skip, too large ({size})"));
            return declined();
        }
        let socket = self.args.spamd_socket.as_deref();
        let Some(spamd) = spamd::connect(cx, socket).await? else {
            return declined();
        };
        let user = self.user(cx);
        let message = whole_message(cx).await?;
        let answer = spamd::ask(cx, spamd, &message, &user).await;
        let fields = results::fields(cx, &answer);
        if fields.is_empty() {
            return declined();
        }
        let mut results = earlier(cx);
        if self.leaves_header() {
            if results.is_none() {
                let status = fields.iter().find(|(name, _)| name == STATUS);
                let status = status.map_or(&b""[..], |(_, value)| value);
                results = Some(noted(cx, Results::of(status)));
            }
        } else {
            self.put_into_header(cx, fields, &user).await?;
            if results.is_none() {
                let status = cx.message().header().fields().await?;
                let status = status.iter().find(|field| is_named(field, STATUS));
                results = status.map(|status| {
                    let results = Results::of(&status.value);
                    let (is_spam, score) = (&results.is_spam, results.get("score"));
                    let text = [is_spam, &b", "[..], score.unwrap_or_default()].concat();
                    cx.log(LOGDEBUG, text);
                    noted(cx, results)
                });
            }
            if let Some(results) = &results {
                self.mark_subject(cx, results).await?;
            }
        }
        self.verdict(cx, results)
    }

    fn leaves_header(&self) -> bool {
        self.args.headers.as_deref() == Some("none")
    }

    /// As whom spamd looks at it.
    fn user(&self, cx: &Cx<'_>) -> Vec<u8> {
        let user = self.args.spamd_user.clone().or_else(user_name);
        let user = user.unwrap_or_default().into_bytes();
        let recipients = cx.envelope().recipients();
        if recipients.len() > 1 {
            let number = recipients.len();
            cx.log(LOGDEBUG, format!("Message has {number} recipients"));
            return user;
        }
        match recipients.first().filter(|_| user == b"vpopmail") {
            Some(recipient) => recipient.address(),
            None => {
                cx.log(LOGDEBUG, "skipping per-user SA prefs");
                user
            }
        }
    }

    async fn put_into_header(
        &self,
        cx: &Cx<'_>,
        fields: Vec<(String, Vec<u8>)>,
        user: &[u8],
    ) -> Result<(), Failure> {
        let message = cx.message();
        let header = message.header();
        self.clean(cx, USER).await?;
        let recipients = cx.envelope().recipients().len();
        if recipients > 1 {
            let more = format!(", {recipients} recipients");
            let value = [user, more.as_bytes()].concat();
            header.add_on_top(USER, value).await?;
        }
        for (name, value) in fields {
            if name == "X-Spam-Prev-Subject" || name == "X-Spam-Report" {
                continue;
            }
            self.clean(cx, &name).await?;
            header.add_on_top(&name, field_lines(&value)).await?;
        }
        Ok(())
    }

    /// Fields of that name are somebody else's: they get another one, or go.
    async fn clean(&self, cx: &Cx<'_>, name: &str) -> Result<(), Failure> {
        let action = self.args.leave_old_headers.as_deref().unwrap_or("rename");
        let renames = action.eq_ignore_ascii_case("rename");
        if !renames && !action.eq_ignore_ascii_case("drop") {
            return Ok(());
        }
        let message = cx.message();
        let header = message.header();
        let fields = header.fields().await?;
        let old: Vec<&Field> = fields
            .iter()
            .filter(|field| is_named(field, name))
            .collect();
        if old.is_empty() {
            return Ok(());
        }
        header.remove(name).await?;
        let other = match name.strip_prefix("X-") {
            Some(rest) => format!("X-Old-{rest}"),
            None => format!("Old-{name}"),
        };
        for field in old.iter().filter(|_| renames) {
            header.add_on_top(&other, &field.value).await?;
        }
        Ok(())
    }

    async fn mark_subject(&self, cx: &Cx<'_>, results: &Results) -> Result<(), Failure> {
        let threshold = self.args.munge_subject_threshold.as_deref();
        let Some(threshold) = threshold.filter(|word| is_true(word.as_bytes())) else {
            cx.log(LOGDEBUG, "skipping munge, no user or qpsmtpd pref set");
            return Ok(());
        };
        let score = results.get("score");
        let required = results.get("required").filter(|required| is_true(required));
        let is_old = self.of == Profile::V094;
        if !is_old && score.is_none() {
            return Ok(());
        }
        let score = score.map_or(0.0, number);
        let is_required = required.is_some() || is_old;
        if is_required && score <= required.map_or(0.0, number) {
            return Ok(());
        }
        if score <= number(threshold.as_bytes()) {
            return Ok(());
        }
        let own = self.args.subject_prefix.clone().filter(|_| !is_old);
        let prefix = match own {
            Some(own) => Some(own.into_bytes()),
            None => cx.config_lines("subject_prefix").await.into_iter().next(),
        };
        let prefix = prefix.filter(|prefix| is_true(prefix));
        let prefix = prefix.unwrap_or_else(|| b"*** SPAM ***".to_vec());
        let message = cx.message();
        let header = message.header();
        let fields = header.fields().await?;
        let subject = fields.into_iter().find(|field| is_named(field, "Subject"));
        let subject = subject.map(|field| field.value).unwrap_or_default();
        let subject = [&prefix[..], b" ", &subject].concat();
        header.replace("Subject", subject).await
    }

    fn verdict(&self, cx: &Cx<'_>, results: Option<Results>) -> HookResult {
        let Some(results) = results else {
            cx.log(LOGNOTICE, "error, no results");
            return declined();
        };
        let Some(score) = results.get("score") else {
            cx.log(LOGERROR, "error, error getting score");
            return declined();
        };
        let is_spam = results.is_spam == b"Yes";
        if is_spam {
            cx.adjust_karma(-1);
        }
        let shown = String::from_utf8_lossy(score);
        let status = format!("{}, {shown}", if is_spam { "Spam" } else { "Ham" });
        let learned = results.get("autolearn").filter(|word| is_true(word));
        let by = match learned {
            Some(b"ham") => 1,
            Some(b"spam") => -1,
            _ => 0,
        };
        if by != 0 {
            cx.adjust_karma(by);
        }
        let learned = learned.map(|word| format!("learn={}", String::from_utf8_lossy(word)));
        let learned = learned.unwrap_or_default();
        let mut limit = self.args.reject.clone().map(String::into_bytes);
        if self.of == Profile::V100 && limit.as_deref() == Some(b"userprefs") {
            limit = results.get("required").map(<[u8]>::to_vec);
        }
        let Some(limit) = limit.filter(|limit| is_true(limit)) else {
            let text = format!("error, reject disabled ({status}, {learned})");
            cx.log(LOGERROR, text);
            return declined();
        };
        let told = String::from_utf8_lossy(&limit);
        if number(score) < number(&limit) {
            let how = if is_spam { "fail, tolerated" } else { "pass" };
            cx.log(LOGINFO, format!("{how}, {status} < {told}, {learned}"));
            return declined();
        }
        cx.log(LOGINFO, format!("fail, {status}, > {told}, {learned}"));
        let code = cx.get_reject_type(Code::Deny);
        Ok(Verdict::with_text(code, "spam score exceeded threshold"))
    }
}

fn is_named(field: &Field, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name.as_bytes())
}

/// What a plugin of the same kind has found before.
fn earlier(cx: &Cx<'_>) -> Option<Results> {
    let note = cx.envelope().notes().get(results::NOTE)?;
    Results::of_note(&note)
}

/// Found, for other plugins too.
fn noted(cx: &Cx<'_>, results: Results) -> Results {
    cx.envelope().notes().set(results::NOTE, results.note());
    results
}

/// The message as spamd gets it: with the sender in a field, and lines that end in CRLF.
async fn whole_message(cx: &Cx<'_>) -> Result<Vec<u8>, Failure> {
    let message = cx.message();
    let sender = cx.envelope().sender().map(|sender| sender.format());
    let mut text = [b"X-Envelope-From: ", &sender.unwrap_or_default()[..], b"\n"].concat();
    text.extend_from_slice(&message.header().text().await?);
    let mut chunks = message.chunks();
    while let Some(chunk) = chunks.next().await? {
        text.extend_from_slice(&chunk);
    }
    // Empty lines at the end do not count.
    while text.last() == Some(&b'\n') {
        text.pop();
    }
    let mut whole = Vec::with_capacity(text.len() + text.len() / 32 + 2);
    for line in text.split(|byte| *byte == b'\n') {
        whole.extend_from_slice(line);
        whole.extend_from_slice(b"\r\n");
    }
    Ok(whole)
}
