//! What a trial comes to: what was refused, by which plugin, and where the message would go. Does not know how it
//! is shown.

use serde::Serialize;

use super::play::{HUNG_UP, Heard};
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

impl Decider {
    fn of(call: &Call) -> Decider {
        Decider {
            plugin: call.plugin.clone(),
            hook: call.hook.clone(),
            verdict: call.verdict.clone(),
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "plugin {}, hook {}: {}",
            self.plugin, self.hook, self.verdict
        )
    }
}

/// What stands for a command before the first one.
const CONNECTION: &str = "the connection";

/// Whether a plugin has not come to a verdict.
fn has_failed(call: &Call) -> bool {
    matches!(
        &*call.verdict,
        "died" | "exited" | "undef" | "too late" | "quarantined" | "unsafe"
    )
}

/// A whole trial.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    pub refusals: Vec<Refusal>,
    /// Plugins that have failed, whatever that has meant for the client.
    pub failures: Vec<Decider>,
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
                Told::Plugin(call) if has_failed(call) => self.failures.push(Decider::of(call)),
                _ => {}
            }
        }
        let command = heard.command.as_deref();
        let ends = |word: &str| word == HUNG_UP || word.trim().eq_ignore_ascii_case("quit");
        let is_end = command.is_some_and(ends);
        match heard.code() {
            Some(code) if code < 400 && !is_end => {
                self.reached = Some(command.unwrap_or(CONNECTION).to_owned());
            }
            Some(code) if code < 400 => {}
            // An end has a farewell, or no reply.
            None if is_end => {}
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
        let by = calls().find(denies).or_else(|| calls().rfind(decides));
        self.refusals.push(Refusal {
            command: heard.command.clone(),
            by: by.map(Decider::of),
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
        let at = self.command.as_deref().unwrap_or(CONNECTION);
        let reply = match &self.reply {
            Some(reply) => format!("reply: {reply}"),
            None => "the client got no reply".to_owned(),
        };
        match &self.by {
            Some(by) => format!("{at}: {}; {reply}", by.text()),
            None => format!("{at}: by the server itself; {reply}"),
        }
    }
}
