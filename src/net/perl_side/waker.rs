//! Wakes the pump. What wakes it while it is at work only makes it look again: the runtime's own
//! waker would write to a descriptor and read it in the kernel each time, twice for each piece of
//! Perl work. Does not know what is waited for.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// After so many rounds without waiting the runtime looks at sockets and timers: a client that
/// always has something to say does not keep others from being heard.
const ROUNDS: u32 = 16;

#[derive(Default)]
struct Rope {
    rung: AtomicBool,
    /// The pump waits in the runtime, whose waker is needed.
    waits: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Rope {
    fn outer(&self) -> MutexGuard<'_, Option<Waker>> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if self.waits.swap(false, Ordering::SeqCst) {
            let outer = self.outer().take();
            outer.into_iter().for_each(Waker::wake);
        }
    }
}

/// What wakes the pump, and knows whether it is at work.
pub(crate) struct PumpWaker {
    rope: Arc<Rope>,
    waker: Waker,
    rounds: Cell<u32>,
}

impl PumpWaker {
    pub(crate) fn new() -> PumpWaker {
        let rope = Arc::new(Rope::default());
        PumpWaker {
            waker: Waker::from(rope.clone()),
            rope,
            rounds: Cell::new(0),
        }
    }

    /// Whether it is time to go through the runtime's own loop.
    pub(crate) fn is_time_to_look_around(&self) -> bool {
        let rounds = self.rounds.get() + 1;
        self.rounds.set(rounds % ROUNDS);
        rounds == ROUNDS
    }

    /// Polls until something is there or nobody has rung meanwhile.
    pub(crate) fn poll<T>(
        &self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.rope.waits.store(false, Ordering::SeqCst);
        for _ in 0..ROUNDS {
            self.rope.rung.store(false, Ordering::SeqCst);
            let polled = poll(&mut Context::from_waker(&self.waker));
            if polled.is_ready() {
                return polled;
            }
            *self.rope.outer() = Some(context.waker().clone());
            // Who rings from here on sees that it waits; who rang before is heard now.
            self.rope.waits.store(true, Ordering::SeqCst);
            if !self.rope.rung.load(Ordering::SeqCst) {
                self.rounds.set(0);
                return Poll::Pending;
            }
            self.rope.waits.store(false, Ordering::SeqCst);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn outer() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    #[test]
    fn who_rings_during_a_poll_has_it_polled_again_and_wakes_nobody() {
        let (bell, (count, waker)) = (PumpWaker::new(), outer());
        let mut polls = 0;
        let polled = bell.poll(&mut Context::from_waker(&waker), |context| {
            polls += 1;
            if polls < 3 {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert_eq!((polled, polls), (Poll::Pending, 3));
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn who_rings_while_it_waits_wakes_it_once() {
        let (bell, (count, waker)) = (PumpWaker::new(), outer());
        let pending = |_: &mut Context<'_>| Poll::<()>::Pending;
        assert_eq!(
            bell.poll(&mut Context::from_waker(&waker), pending),
            Poll::Pending
        );
        for _ in 0..3 {
            bell.waker.wake_by_ref();
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_always_rings_lets_the_runtime_look_around() {
        let (bell, (count, waker)) = (PumpWaker::new(), outer());
        let polled = bell.poll(&mut Context::from_waker(&waker), |context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(polled, Poll::Pending);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        let times = (0..ROUNDS).filter(|_| bell.is_time_to_look_around());
        assert_eq!(times.count(), 1);
    }
}
