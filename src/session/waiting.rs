//! Clients that do not wait: which commands must be the last of what a client sends at a time (RFC 2920,
//! RFC 5321 4.3.1), and what becomes of one that sends on (`unauth_pipelining`). Does not read ahead
//! itself; what was sent behind STARTTLS is dropped where TLS begins.

use super::core::{Conversation, Flow, LOGWARN};
use super::step::Step;
use crate::config::UnauthPipelining;

/// What has to wait for its reply. Behind other verbs of plugins' it is theirs to say whether more may
/// follow (BDAT).
const LAST_IN_GROUP: [&[u8]; 10] = [
    b"helo",
    b"ehlo",
    b"auth",
    b"starttls",
    b"data",
    b"vrfy",
    b"expn",
    b"turn",
    b"noop",
    b"quit",
];

impl Conversation {
    /// Looks whether the client has sent more than the command whose verb this is, in lower case, and
    /// must not. A client that is to be sent away is gone then.
    pub(super) async fn look_ahead(&self, verb: &[u8]) -> Flow {
        if self.state.settings.strictness.unauth_pipelining == UnauthPipelining::Original
            || !self.must_wait(verb)
            || !self.has_sent_more().await
        {
            return Ok(());
        }
        let verb = verb.to_ascii_uppercase();
        self.does_not_wait(&[b"the reply to ", &verb[..]].concat())
            .await
    }

    /// The same before the greeting.
    pub(super) async fn look_before_greeting(&self) -> Flow {
        if self.state.settings.strictness.unauth_pipelining == UnauthPipelining::Original
            || !self.has_sent_more().await
        {
            return Ok(());
        }
        self.does_not_wait(b"the greeting").await
    }

    fn must_wait(&self, verb: &[u8]) -> bool {
        LAST_IN_GROUP.contains(&verb)
    }

    /// What a plugin has read ahead itself, or an encrypted connection has not given yet, is not seen.
    async fn has_sent_more(&self) -> bool {
        if !self.state.input.borrow().is_empty() {
            return true;
        }
        self.ask(Step::Waiting).await
    }

    async fn does_not_wait(&self, what: &[u8]) -> Flow {
        if !self.state.ahead_logged.replace(true) {
            let text = [b"the client does not wait for ", what].concat();
            self.log(LOGWARN, text);
        }
        if self.state.settings.strictness.unauth_pipelining != UnauthPipelining::Reject {
            return Ok(());
        }
        let text = [b"SMTP synchronization error: wait for ", what].concat();
        self.say(554, text).await;
        Err(self.disconnect().await)
    }
}
