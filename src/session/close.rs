//! The ways in which a transaction and a session end: reset_transaction, disconnect and
//! post-connection in the order that each occasion has. Says nothing to the client.

use super::core::{Conversation, Ended, LOGINFO};
use super::state::Profile;
use super::step::Step;
use crate::hook::{Hook, Method};
use crate::mail::Note;

impl Conversation {
    /// Ends the transaction.
    pub(super) async fn reset_transaction(&self) {
        if self.is_replaced(Method::ResetTransaction) {
            return self.try_call(Method::ResetTransaction, Vec::new()).await;
        }
        self.reset_own_transaction().await;
    }

    /// Its hook, then a new one in its place.
    pub(super) async fn reset_own_transaction(&self) {
        self.hook(Hook::ResetTransaction, Vec::new()).await;
        self.state.utf8_replies.set(false);
        let old = self.state.replace_transaction(self.now().await);
        drop(old);
        self.tell(Step::TransactionEnded);
    }

    /// The server ends the session: after QUIT, after a verdict that says so, and from plugins.
    pub(super) async fn disconnect(&self) -> Ended {
        if self.is_replaced(Method::Disconnect) {
            self.try_call(Method::Disconnect, Vec::new()).await;
            return Ended;
        }
        self.end_session().await
    }

    pub(super) async fn end_session(&self) -> Ended {
        if self.state.is_scripted {
            return self.end_scripted().await;
        }
        if self.state.disconnected.replace(true) {
            return Ended;
        }
        self.log(LOGINFO, "click, disconnecting");
        self.hook(Hook::Disconnect, Vec::new()).await;
        self.connection().notes.set(b"disconnected", Note::Int(1));
        self.end_last_transaction().await;
        self.hook(Hook::PostConnection, Vec::new()).await;
        Ended
    }

    /// A script that drives the session may go on after it.
    async fn end_scripted(&self) -> Ended {
        self.hook(Hook::Disconnect, Vec::new()).await;
        self.connection().notes.set(b"disconnected", Note::Int(1));
        self.end_last_transaction().await;
        Ended
    }

    /// Under 1.00 plugins hear of its end, but it stays: post-connection still sees it.
    async fn end_last_transaction(&self) {
        match self.state.settings.profile {
            Profile::V094 => self.reset_transaction().await,
            Profile::V100 => {
                self.hook(Hook::ResetTransaction, Vec::new()).await;
            }
        }
    }

    /// The client is gone, or has said nothing for too long.
    pub(super) async fn hang_up(&self) -> Ended {
        if self.state.disconnected.replace(true) {
            return Ended;
        }
        self.reset_transaction().await;
        self.hook(Hook::Disconnect, Vec::new()).await;
        self.hook(Hook::PostConnection, Vec::new()).await;
        Ended
    }
}
