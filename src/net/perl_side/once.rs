//! Something that happens once in a session, and may be waited for.

use std::cell::Cell;

/// Set once, and waited for.
#[derive(Default)]
pub(crate) struct Once {
    set: Cell<bool>,
    notify: tokio::sync::Notify,
}

impl Once {
    pub(crate) fn set(&self) {
        self.set.set(true);
        self.notify.notify_waiters();
    }

    /// Returns at once where it has happened.
    pub(crate) async fn wait(&self) {
        let told = self.notify.notified();
        if !self.set.get() {
            told.await;
        }
    }
}
