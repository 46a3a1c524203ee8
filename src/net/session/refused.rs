//! Counts the replies that refuse something, by the stage of the session: the hooks that run say which that
//! is. Knows nothing of who refuses, nor why.

use crate::hook::Hook;
use crate::net::session::Session;
use crate::smtp::Reply;
use crate::watch::{RefusalStage, count_refusal};

impl Session {
    /// A hook is about to run: the reply that comes next is of its stage.
    pub(super) fn note_stage(&self, hook: Hook) {
        if let Some(stage) = stage_of(hook) {
            self.stage.set(Some(stage));
        }
    }

    /// The client is sent a reply, by the session or by a plugin: counts it, and tells of it.
    pub(in crate::net) fn note_reply(&self, reply: &Reply) {
        let stage = self.stage.get().unwrap_or(RefusalStage::Other);
        count_refusal(stage, reply.code);
        // After a 3xx the command goes on.
        if reply.code / 100 != 3 {
            self.stage.set(None);
        }
        self.tell_reply(stage, reply);
    }

    pub(super) fn say(&self, reply: &Reply) {
        self.note_reply(reply);
        self.transport.queue(reply);
    }
}

/// The stage that a hook belongs to; none for those that run beside a command.
fn stage_of(hook: Hook) -> Option<RefusalStage> {
    Some(match hook {
        Hook::PreConnection | Hook::Connect => RefusalStage::Connect,
        Hook::EhloParse | Hook::Ehlo | Hook::HeloParse | Hook::Helo => RefusalStage::Helo,
        Hook::AuthParse | Hook::Auth | Hook::AuthPlain | Hook::AuthLogin | Hook::AuthCramMd5 => {
            RefusalStage::Auth
        }
        Hook::MailParse | Hook::MailPre | Hook::Mail => RefusalStage::Mail,
        Hook::RcptParse | Hook::RcptPre | Hook::Rcpt => RefusalStage::Rcpt,
        Hook::Data | Hook::DataHeadersEnd | Hook::DataPostHeaders | Hook::DataPost => {
            RefusalStage::Data
        }
        Hook::QueuePre | Hook::Queue => RefusalStage::Queue,
        Hook::Vrfy | Hook::Noop | Hook::Quit | Hook::Help | Hook::UnrecognizedCommand => {
            RefusalStage::Other
        }
        Hook::Logging
        | Hook::Config
        | Hook::UserConfig
        | Hook::PostFork
        | Hook::QueuePost
        | Hook::ResetTransaction
        | Hook::Disconnect
        | Hook::PostConnection
        | Hook::Deny
        | Hook::Ok
        | Hook::ReceivedLine => return None,
    })
}
