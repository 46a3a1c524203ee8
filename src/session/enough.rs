//! A client that has had enough of what it may is sent away. What counts, `counts.rs` says.

use super::core::{Conversation, Flow, LOGNOTICE};

impl Conversation {
    /// A command line has been answered: a client that has had enough is sent away.
    pub(super) async fn count(&self, line: &[u8]) -> Flow {
        let verb = line.split(|byte| byte.is_ascii_whitespace()).next();
        let verb = verb.unwrap_or_default().to_ascii_lowercase();
        let Some(what) = self.state.counts.end(&verb, &self.state.settings.limits) else {
            return Ok(());
        };
        self.log(LOGNOTICE, format!("{what}, disconnecting"));
        self.say(421, format!("4.7.0 {what}, closing connection"))
            .await;
        Err(self.disconnect().await)
    }
}
