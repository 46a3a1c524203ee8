//! Threads for what native plugins offload, some at a time, and none while the process forks. Does not
//! know what they do.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::plugin::{Job, PerProcess};
use crate::server::spawn_without_signals;

/// How many run at a time.
const MOST: u32 = 16;

thread_local! {
    static SLOTS: PerProcess<Slots> = const { PerProcess::new() };
}

/// Each thread has one until it has ended.
struct Slots(Rc<Semaphore>);

fn slots() -> Rc<Semaphore> {
    let make = || Slots(Rc::new(Semaphore::new(MOST as usize)));
    SLOTS.with(|own| own.get_or(make)).0.clone()
}

/// Runs it in a thread to its end. Who does not wait for that leaves it running, and its slot taken.
pub(in crate::net) async fn run(job: Job) -> io::Result<()> {
    let slots = slots();
    // It is never closed.
    let taken = slots.acquire().await.map_err(io::Error::other)?;
    taken.forget();
    let (ended, end) = oneshot::channel();
    let thread = spawn_without_signals("offload", move || {
        job();
        let _ = ended.send(());
    });
    let thread = thread.inspect_err(|_| slots.add_permits(1))?;
    let (told, tell) = oneshot::channel();
    let given_back = slots.clone();
    tokio::task::spawn_local(async move {
        // An error: it has ended without a word, which is an end.
        let _ = end.await;
        let _ = thread.join();
        given_back.add_permits(1);
        let _ = told.send(());
    });
    tell.await.map_err(io::Error::other)
}

/// No thread runs, and none begins, as long as this lives.
pub(super) struct NoThreads(Rc<Semaphore>);

impl Drop for NoThreads {
    fn drop(&mut self) {
        self.0.add_permits(MOST as usize);
    }
}

/// Waits for the threads that run, for so long at most.
pub(super) async fn pause(most: Duration) -> Option<NoThreads> {
    let slots = slots();
    let all = tokio::time::timeout(most, slots.acquire_many(MOST)).await;
    all.ok()?.ok()?.forget();
    Some(NoThreads(slots))
}
