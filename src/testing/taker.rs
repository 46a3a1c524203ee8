//! The plugin behind those under test: it lets every recipient pass and takes the messages.

use std::cell::RefCell;

use super::client::{Taken, texts};
use crate::plugin::{Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, ok, ok_with};
use crate::smtp::Address;

thread_local! {
    /// A session under test has a thread of its own.
    static TAKEN: RefCell<Vec<Taken>> = const { RefCell::new(Vec::new()) };
}

/// What was taken in this thread.
pub(super) fn take() -> Vec<Taken> {
    TAKEN.take()
}

pub(super) struct Taker;

impl Plugin for Taker {
    const NAME: &'static str = "testing_taker";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Taker, PluginError> {
        Ok(Taker)
    }

    fn hooks(hooks: &mut Hooks<Taker>) {
        hooks.rcpt(async |_: &Taker, _: &mut RcptCx<'_>| ok());
        hooks.queue(Taker::queue);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Taker {
    async fn queue(&self, cx: &mut Cx<'_>) -> HookResult {
        let (message, envelope) = (cx.message(), cx.envelope());
        let mut body = Vec::new();
        let mut chunks = message.chunks();
        while let Some(chunk) = chunks.next().await? {
            body.extend_from_slice(&chunk);
        }
        let path = |address: &Address| text(&address.format());
        let taken = Taken {
            sender: envelope.sender().as_ref().map(path).unwrap_or_default(),
            recipients: envelope.recipients().iter().map(path).collect(),
            header: text(&message.header().text().await?),
            // The blank line between the two is neither's.
            body: text(body.strip_prefix(b"\n").unwrap_or(&body)),
            notes: envelope.notes().with(texts),
        };
        TAKEN.with_borrow_mut(|all| all.push(taken));
        ok_with("taken")
    }
}
