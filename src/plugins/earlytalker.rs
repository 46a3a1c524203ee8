//! `native/earlytalker [wait SECONDS] [check-at CONNECT] [check-at DATA] [defer-reject 1] [action A] [reject R]
//! [reject_type T] [loglevel L]`: refuses clients that talk before they are spoken to, as qpsmtpd's plugin of that
//! name. While it waits, its session costs no process. 1.00 takes the note `earlytalker_wait` (seconds) for its time.

use std::time::Duration;

use super::pairs;
use crate::config::Profile;
use crate::log::{LOGERROR, LOGINFO};
use crate::mail::Note;
use crate::plugin::twin::Port;
use crate::plugin::{
    Cx, HookResult, Hooks, LoadEnv, MailCx, Peek, Plugin, PluginError, Words, declined,
};

const NOTE: &str = "earlytalker";
const KNOWN: [&str; 4] = ["wait", "check-at", "defer-reject", "action"];

#[derive(Default)]
pub(super) struct EarlyTalker {
    /// The line cannot be used: there are no hooks.
    is_off: bool,
    wait: Duration,
    at_connect: bool,
    at_data: bool,
    defers: bool,
    of_1_00: bool,
}

impl Plugin for EarlyTalker {
    const NAME: &'static str = "earlytalker";

    /// `check-at` may stand there twice.
    type Args = Words;

    const REJECTS: bool = true;

    fn load(Words(words): Words, env: &LoadEnv<'_>) -> Result<EarlyTalker, PluginError> {
        let words = &words[..];
        if !env.is_twin() {
            pairs::check(words, &KNOWN)?;
        } else if pairs::are_odd(words) {
            env.log(LOGERROR, "Unrecognized/mismatched arguments");
            return Ok(EarlyTalker {
                is_off: true,
                ..EarlyTalker::default()
            });
        }
        let checked = words
            .chunks(2)
            .filter(|pair| pair[0].eq_ignore_ascii_case(b"check-at"));
        let checked: Vec<&[u8]> = checked.filter_map(|pair| Some(&**pair.get(1)?)).collect();
        let is_checked = |at: &str| {
            checked
                .iter()
                .any(|name| name.eq_ignore_ascii_case(at.as_bytes()))
        };
        let action = pairs::get(words, "action");
        if let Some(action) = action {
            env.usually_rejects(action.len() >= 4 && action[..4].eq_ignore_ascii_case(b"deny"));
        }
        // The original compares the action with a word as if both were numbers: any word is the same as another.
        let is_word = action.is_none_or(|action| pairs::number(action) == 0.0);
        let defers = pairs::get(words, "defer-reject");
        env.usual_reject_type(match defers.is_some() && is_word {
            true => "temp",
            false => "perm",
        });
        Ok(EarlyTalker {
            is_off: false,
            wait: seconds(pairs::get(words, "wait").map_or(1.0, pairs::number)),
            at_connect: checked.is_empty() || is_checked("connect"),
            at_data: is_checked("data"),
            defers: pairs::get_true(words, "defer-reject").is_some(),
            of_1_00: env.profile() == Profile::V100,
        })
    }

    fn hooks(hooks: &mut Hooks<EarlyTalker>) {
        let plugin = hooks.plugin();
        if plugin.is_off {
            return;
        }
        hooks.connect(EarlyTalker::connect);
        hooks.data(EarlyTalker::data);
        if plugin.defers {
            hooks.mail(EarlyTalker::mail);
        }
    }
}

impl Port for EarlyTalker {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "e1d44ff46f2c3976065650e8cd77e75e0ac7d576aaec8d9f0c313677967349b9",
            Profile::V094,
        ),
        (
            "a1a2ecdaebfa54ff68216562341f1aa157ffdc3b0ee062ce47149d8e7daae382",
            Profile::V100,
        ),
    ];

    fn perl_args(words: &[Vec<u8>]) -> Words {
        Words(words.to_vec())
    }
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

impl EarlyTalker {
    async fn connect(&self, cx: &mut Cx<'_>) -> HookResult {
        if !self.at_connect || cx.is_immune() {
            return declined();
        }
        let karma = cx.notes().int("karma_history");
        if let Some(karma) = karma.filter(|karma| *karma > 5) {
            cx.log(LOGINFO, format!("skip, karma {karma}"));
            return declined();
        }
        if !self.talks(cx).await {
            return passed(cx);
        }
        if !self.defers {
            return denied(cx);
        }
        cx.notes().set(NOTE, 1);
        cx.adjust_karma(-1);
        declined()
    }

    async fn data(&self, cx: &mut Cx<'_>) -> HookResult {
        if !self.at_data || cx.is_immune() {
            return declined();
        }
        match self.talks(cx).await {
            true => denied(cx),
            false => passed(cx),
        }
    }

    async fn mail(&self, cx: &mut MailCx<'_>) -> HookResult {
        match cx.notes().is_true(NOTE) {
            true => denied(cx),
            false => declined(),
        }
    }

    /// Whether the client says something, or is gone, though it is not its turn.
    async fn talks(&self, cx: &Cx<'_>) -> bool {
        let noted = cx.notes().get("earlytalker_wait");
        let noted = noted.filter(|note| self.of_1_00 && note.is_true());
        let noted = noted.as_ref().and_then(Note::bytes);
        let wait = noted.map_or(self.wait, |text| seconds(pairs::number(&text)));
        cx.peek_beyond(wait).await != Peek::Silent
    }
}

fn passed(cx: &Cx<'_>) -> HookResult {
    cx.log(LOGINFO, "pass, not spontaneous");
    declined()
}

fn denied(cx: &Cx<'_>) -> HookResult {
    cx.notes().set(NOTE, 1);
    cx.adjust_karma(-1);
    cx.get_reject(
        "Connecting host started transmitting before SMTP greeting",
        "remote started talking before we said hello",
    )
}
