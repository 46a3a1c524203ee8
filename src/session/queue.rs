//! Queueing: queue_pre, queue and queue_post, with the transaction's end before the reply.

use super::core::{Conversation, Flow, LOGERROR, verdict_lines};
use super::step::Step;
use crate::hook::{Code, Hook, Method, Verdict};
use crate::watch::QueueOutcome;

impl Conversation {
    pub(super) async fn queue(&self) -> Flow {
        if self.is_replaced(Method::Queue) {
            self.call(Method::Queue, Vec::new()).await?;
            return Ok(());
        }
        self.queue_message().await
    }

    pub(super) async fn queue_message(&self) -> Flow {
        self.run_hooks(Hook::QueuePre, Vec::new()).await
    }

    pub(super) async fn queue_pre_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::Ok | Code::Declined => match self.damage().await {
                false => self.run_hooks(Hook::Queue, Vec::new()).await,
                true => self.refuse_damaged().await,
            },
            Code::Done => {
                self.tell_outcome(QueueOutcome::Done);
                Ok(())
            }
            _ => {
                self.tell_outcome(outcome(&verdict.code));
                self.reset_transaction().await;
                self.reply_queued(verdict).await;
                Ok(())
            }
        }
    }

    /// Whether the message is not known to be what the client has sent: the log is told why.
    async fn damage(&self) -> bool {
        let transaction = self.transaction();
        let damage = transaction.body.borrow().damage().map(str::to_owned);
        drop(transaction);
        match damage {
            None => false,
            Some(text) => {
                let text = format!("the message is not acknowledged: {text}");
                self.log(LOGERROR, text);
                true
            }
        }
    }

    async fn refuse_damaged(&self) -> Flow {
        self.tell_outcome(QueueOutcome::Deferred);
        self.reset_transaction().await;
        self.say(451, "Cannot store the message; try again later")
            .await;
        Ok(())
    }

    pub(super) async fn queue_respond(&self, verdict: &Verdict) -> Flow {
        if verdict.code == Code::Ok && self.damage().await {
            return self.refuse_damaged().await;
        }
        self.tell_outcome(outcome(&verdict.code));
        // The message is there until queue_post has run, as some plugins expect of its files.
        let message = self.transaction();
        self.reset_transaction().await;
        if verdict.code == Code::Done {
            return Ok(());
        }
        self.reply_queued(verdict).await;
        let flow = self.run_hooks(Hook::QueuePost, Vec::new()).await;
        drop(message);
        flow
    }

    fn tell_outcome(&self, outcome: QueueOutcome) {
        let message = self.transaction();
        self.tell(|to| Step::Queued(outcome, message, to));
    }

    async fn reply_queued(&self, verdict: &Verdict) {
        let (code, default) = match verdict.code {
            Code::Ok => (250, "Queued"),
            Code::Deny => (552, "Message denied"),
            Code::DenySoft => (452, "Message denied temporarily"),
            _ => (451, "Queuing declined or disabled; try again later"),
        };
        let mut lines = verdict_lines(verdict, default.as_bytes());
        if code == 250 && self.state.settings.show_id.queued {
            self.add_id(&mut lines);
        }
        self.reply(code, lines).await;
    }

    /// Too late for a reply: what went wrong is logged.
    pub(super) async fn queue_post_respond(&self, verdict: &Verdict) {
        if verdict.code != Code::Ok {
            let text = verdict_lines(verdict, b"").join(&b' ');
            if !text.is_empty() {
                self.log(LOGERROR, text);
            }
        }
    }
}

/// What a verdict means for the message.
fn outcome(code: &Code) -> QueueOutcome {
    match code {
        Code::Ok => QueueOutcome::Queued,
        Code::Deny => QueueOutcome::Refused,
        Code::Declined => QueueOutcome::None,
        Code::Done => QueueOutcome::Done,
        // Also what does not belong here, such as DENY_DISCONNECT: the client gets a 45x.
        _ => QueueOutcome::Deferred,
    }
}
