//! Queueing: queue_pre, queue and queue_post, with the transaction's end before the reply.

use super::core::{Flow, LOGERROR, Session, verdict_lines};
use crate::hook::{Code, Hook, Verdict};

impl Session {
    pub async fn queue(&self) -> Flow {
        let verdict = self.hook(Hook::QueuePre, Vec::new()).await;
        self.queue_pre_respond(&verdict).await
    }

    pub async fn queue_pre_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::Done => Ok(()),
            Code::Ok | Code::Declined => {
                let verdict = self.hook(Hook::Queue, Vec::new()).await;
                self.queue_respond(&verdict).await
            }
            _ => {
                self.reset_transaction().await;
                self.reply_queued(verdict).await;
                Ok(())
            }
        }
    }

    pub async fn queue_respond(&self, verdict: &Verdict) -> Flow {
        // The message is there until queue_post has run, as some plugins expect of its files.
        let message = self.transaction();
        self.reset_transaction().await;
        if verdict.code == Code::Done {
            return Ok(());
        }
        self.reply_queued(verdict).await;
        let verdict = self.hook(Hook::QueuePost, Vec::new()).await;
        self.queue_post_respond(&verdict).await;
        drop(message);
        Ok(())
    }

    async fn reply_queued(&self, verdict: &Verdict) {
        let (code, default) = match verdict.code {
            Code::Ok => (250, "Queued"),
            Code::Deny => (552, "Message denied"),
            Code::DenySoft => (452, "Message denied temporarily"),
            _ => (451, "Queuing declined or disabled; try again later"),
        };
        self.reply_verdict(code, verdict, default).await;
    }

    /// Too late for a reply: what went wrong is logged.
    pub async fn queue_post_respond(&self, verdict: &Verdict) {
        if verdict.code != Code::Ok {
            let text = verdict_lines(verdict, b"").join(&b' ');
            if !text.is_empty() {
                self.log(LOGERROR, text).await;
            }
        }
    }
}
