//! `native/loop [N]`: refuses a message that has gone through N servers (100) as its `Received` and
//! `Delivered-To` fields tell, as qpsmtpd's plugin of that name. What is no number is told of in the log,
//! and stands for 100.

use crate::config::Profile;
use crate::log::LOGWARN;
use crate::plugin::twin::Port;
use crate::plugin::{Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, Words, declined, deny};

const USUAL: usize = 100;

pub(super) struct Loop {
    max: usize,
}

impl Plugin for Loop {
    const NAME: &'static str = "loop";

    type Args = Words;

    fn load(Words(words): Words, env: &LoadEnv<'_>) -> Result<Loop, PluginError> {
        let max = match words.first().map(Vec::as_slice) {
            None | Some(b"0") => USUAL,
            Some(word) if word.iter().all(u8::is_ascii_digit) => {
                let digits = String::from_utf8_lossy(word);
                digits.parse().unwrap_or(usize::MAX)
            }
            Some(_) => {
                env.log(LOGWARN, "Invalid max_hops value -- using default");
                USUAL
            }
        };
        if words.len() > 1 {
            env.log(LOGWARN, "Ignoring additional arguments");
        }
        Ok(Loop { max })
    }

    fn hooks(hooks: &mut Hooks<Loop>) {
        hooks.data_post(Loop::data_post);
    }
}

impl Port for Loop {
    const FILES: &'static [(&'static str, Profile)] = &[(
        "0a2b4b5853d2ca07c05447235c711044ba822eb7de915fc2e3ea748b9b63859b",
        Profile::V100,
    )];

    const SPEAKS_FIRST: bool = true;

    fn perl_args(words: &[Vec<u8>]) -> Words {
        Words(words.to_vec())
    }
}

impl Loop {
    async fn data_post(&self, cx: &mut Cx<'_>) -> HookResult {
        let message = cx.message();
        let header = message.header();
        let hops = header.all("Received").await?.len() + header.all("Delivered-To").await?.len();
        match hops >= self.max {
            true => deny("Too many hops (#5.4.6)"),
            false => declined(),
        }
    }
}
