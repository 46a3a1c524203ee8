//! The supervisor's queue of events, as one who speaks to the supervisor has it: only so many of its
//! words are in it at a time. The others wait in its socket, and then whoever says them, so that a
//! worker in which a plugin goes mad takes none of the supervisor's memory.

#![forbid(unsafe_code)]

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(in crate::server) struct Bounded<E> {
    pub(in crate::server) events: UnboundedSender<E>,
    room: Arc<Semaphore>,
}

/// Goes with an event; dropped with it, once that is handled, it lets the next one in.
pub(in crate::server) struct Room {
    _permit: OwnedSemaphorePermit,
}

impl<E> Bounded<E> {
    pub(in crate::server) fn new(events: UnboundedSender<E>, most: usize) -> Bounded<E> {
        let room = Arc::new(Semaphore::new(most));
        Bounded { events, room }
    }

    /// Waits until one word more may be taken. To be called before that is received: what has been
    /// received is in the queue, whatever happens next.
    pub(in crate::server) async fn room(&self) -> Option<Room> {
        // The semaphore is never closed.
        let permit = self.room.clone().acquire_owned().await.ok()?;
        Some(Room { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[test]
    fn no_more_words_than_allowed_are_in_the_queue_and_each_that_is_handled_makes_room() {
        let (events, _queue) = unbounded_channel::<()>();
        let bounded = Bounded::new(events, 2);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let first = bounded.room().await;
            let _second = bounded.room().await;
            tokio::select! {
                biased;
                _ = bounded.room() => panic!("a third had room"),
                () = tokio::task::yield_now() => {}
            }
            drop(first);
            assert!(bounded.room().await.is_some());
        });
    }
}
