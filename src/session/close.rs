//! The ways in which a transaction and a session end: reset_transaction, disconnect and
//! post-connection in the order that each occasion has. Says nothing to the client.

use super::core::{Ended, LOGINFO, Session};
use super::machine::Step;
use super::state::Profile;
use crate::hook::Hook;

impl Session {
    /// Ends the transaction: its hook, then a new one in its place.
    pub async fn reset_transaction(&self) {
        self.hook(Hook::ResetTransaction, Vec::new()).await;
        let old = self.state.replace_transaction();
        drop(old);
        self.give(Step::TransactionEnded).await;
    }

    /// The server ends the session: after QUIT, after a verdict that says so, and from plugins.
    pub async fn disconnect(&self) -> Ended {
        if self.state.disconnected.replace(true) {
            return Ended;
        }
        self.log(LOGINFO, "click, disconnecting").await;
        self.hook(Hook::Disconnect, Vec::new()).await;
        if self.state.settings.profile == Profile::V094 {
            self.reset_transaction().await;
        }
        self.hook(Hook::PostConnection, Vec::new()).await;
        Ended
    }

    /// The client is gone, or has said nothing for too long.
    pub async fn hang_up(&self) -> Ended {
        if self.state.disconnected.replace(true) {
            return Ended;
        }
        self.reset_transaction().await;
        self.hook(Hook::Disconnect, Vec::new()).await;
        self.hook(Hook::PostConnection, Vec::new()).await;
        Ended
    }
}
