//! `native/count_unrecognized_commands [N]`: sends a client away at its Nth command that the session does
//! not know (4), as qpsmtpd's plugin of that name. The connection's note `unrec_cmd_count` has how many there
//! were. Words behind N are told of in the log.

use crate::config::Profile;
use crate::log::{LOGINFO, LOGWARN};
use crate::plugin::twin::Port;
use crate::plugin::{
    CommandCx, HookResult, Hooks, LoadEnv, Plugin, PluginError, Words, declined, deny_disconnect,
};

const COUNT: &str = "unrec_cmd_count";

pub(super) struct CountUnrecognized {
    max: i64,
}

impl Plugin for CountUnrecognized {
    const NAME: &'static str = "count_unrecognized_commands";

    type Args = Words;

    fn load(Words(words): Words, env: &LoadEnv<'_>) -> Result<CountUnrecognized, PluginError> {
        if words.len() > 1 {
            env.log(LOGWARN, "Ignoring additional arguments.");
        }
        let max = match words.first().map(Vec::as_slice) {
            None | Some(b"0") => 4,
            Some(word) => number(word),
        };
        Ok(CountUnrecognized { max })
    }

    fn hooks(hooks: &mut Hooks<CountUnrecognized>) {
        // Not a plain one: its lines would come behind the chain's where a Perl plugin logs.
        hooks.unrecognized_command(CountUnrecognized::command);
    }
}

impl Port for CountUnrecognized {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "2ff9c64d804902b74924566ada78757c41faa9effe8e14e2dd4ea74d3703819a",
            Profile::V094,
        ),
        (
            "88c1424361b379b71e996ab592577bd4ef0a36ed8267d4f43ae9a32762e1b281",
            Profile::V100,
        ),
    ];

    fn perl_args(words: &[Vec<u8>]) -> Words {
        Words(words.to_vec())
    }
}

/// What a word begins with, as Perl takes it for a number; of 2.5, three are too many.
fn number(word: &[u8]) -> i64 {
    let starts = (1..=word.len()).rev().map(|end| &word[..end]);
    let mut starts = starts.filter_map(|start| std::str::from_utf8(start).ok());
    let number = starts.find_map(|start| start.parse::<f64>().ok());
    number.unwrap_or_default().ceil() as i64
}

impl CountUnrecognized {
    async fn command(&self, cx: &mut CommandCx<'_>) -> HookResult {
        let notes = cx.notes();
        let count = notes.int(COUNT).unwrap_or_default().saturating_add(1);
        notes.set(COUNT, count);
        let verb = cx.verb();
        if count < self.max {
            let told = format!("', ({count})");
            cx.log(LOGINFO, [b"'", verb, told.as_bytes()].concat());
            return declined();
        }
        let told = format!("' ({count})");
        cx.log(LOGINFO, [b"fail, '", verb, told.as_bytes()].concat());
        deny_disconnect(format!(
            "Closing connection, {count} unrecognized commands. Perhaps you should read RFC 2821?"
        ))
    }
}
