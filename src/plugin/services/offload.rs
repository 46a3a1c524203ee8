//! What blocks, in a thread of its own, while the session waits and others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::plugin::access::SessionAccess;
use crate::plugin::failure::Failure;

/// What a thread does.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Runs it in a thread, and gives what it gave.
pub(in crate::plugin) async fn offload<T: Send + 'static>(
    session: &dyn SessionAccess,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        // Who waited may have been given up.
        let _ = sender.send(done.map_err(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "for a reason that is no text".to_owned())
        }));
    };
    session.offload(Box::new(job)).await?;
    match receiver.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(Failure::new(format!(
            "what was offloaded panicked: {panic}"
        ))),
        Err(_) => Err(Failure::new(
            "what was offloaded has ended without an answer",
        )),
    }
}
