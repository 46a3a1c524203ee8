//! What a trial comes to: what was refused, by which plugin, and where the message would go. Does not know how it
//! is shown.

use serde::Serialize;

use super::play::Heard;
use crate::base::trial::{Call, Told};

/// A command that was refused or put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    /// The command; none: before the first one.
    pub command: Option<String>,
    /// Who has decided it; none: the server itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Decider>,
    /// The last line of the reply; none where there was none.
    pub reply: Option<String>,
}

/// A plugin that has had the last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Decider {
    pub plugin: String,
    pub hook: String,
    pub verdict: String,
}

/// A whole trial.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    pub refusals: Vec<Refusal>,
    /// Where the messages would go.
    pub would_go_to: Vec<String>,
    /// Messages that were taken: queued, or kept from it.
    pub messages: usize,
    /// The last command that was taken, besides QUIT.
    pub reached: Option<String>,
}

impl Summary {
    pub(super) fn is_accepted(&self) -> bool {
        self.refusals.is_empty()
    }

    /// Takes in what came of a command.
    pub(super) fn take(&mut self, heard: &Heard) {
        for told in &heard.told {
            match told {
                Told::NotQueued { plugins } => self.would_go_to.clone_from(plugins),
                Told::Message { outcome, .. } if outcome == "queued" || outcome == "not queued" => {
                    self.messages += 1;
                }
                _ => {}
            }
        }
        let Some(command) = &heard.command else {
            // The end of a session has no reply; its beginning has.
            let begins = heard
                .told
                .iter()
                .any(|told| matches!(told, Told::Connected { .. }));
            let refused = heard.code().is_some_and(|code| code >= 400);
            if refused || begins && heard.code().is_none() {
                self.refuse(heard);
            }
            return;
        };
        let is_quit = command.trim().eq_ignore_ascii_case("quit");
        match heard.code() {
            Some(code) if code < 400 && !is_quit => self.reached = Some(command.clone()),
            Some(code) if code < 400 => {}
            None if is_quit => {}
            _ => self.refuse(heard),
        }
    }

    fn refuse(&mut self, heard: &Heard) {
        let calls = || {
            heard.told.iter().filter_map(|told| match told {
                Told::Plugin(call) => Some(call),
                _ => None,
            })
        };
        // Behind the one that refuses come reset_transaction, disconnect and their like.
        let denies = |call: &&Call| call.verdict.starts_with("DENY");
        let decides = |call: &&Call| call.verdict != "DECLINED" && !is_of_an_end(&call.hook);
        let by = calls()
            .find(denies)
            .or_else(|| calls().filter(decides).last());
        self.refusals.push(Refusal {
            command: heard.command.clone(),
            by: by.map(|call| Decider {
                plugin: call.plugin.clone(),
                hook: call.hook.clone(),
                verdict: call.verdict.clone(),
            }),
            reply: heard.reply.last().cloned(),
        });
    }
}

/// Whether a hook runs because something ends, and decides nothing.
fn is_of_an_end(hook: &str) -> bool {
    matches!(hook, "reset_transaction" | "disconnect" | "post-connection")
}

impl Refusal {
    /// In one line, without a word for what it is.
    pub(super) fn text(&self) -> String {
        let at = match self.command.as_deref() {
            None => "the connection".to_owned(),
            Some(".") => "the message".to_owned(),
            Some(command) => command.to_owned(),
        };
        let reply = match &self.reply {
            Some(reply) => format!("reply: {reply}"),
            None => "the client got no reply".to_owned(),
        };
        match &self.by {
            Some(by) => format!(
                "{at}: plugin {}, hook {}: {}; {reply}",
                by.plugin, by.hook, by.verdict
            ),
            None => format!("{at}: by the server itself; {reply}"),
        }
    }
}
