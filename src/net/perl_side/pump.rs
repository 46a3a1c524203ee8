//! The pump: the one place where async code and Perl meet. Perl is synchronous and may call
//! back, and a runtime cannot be entered twice; so Perl never runs inside the runtime. Session
//! code asks for a piece of Perl work and awaits it; the pump leaves the runtime, does the work
//! and goes in again. A call back from Perl runs a nested pump, which is legal as no block_on is
//! active then.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::net::perl_side::waker::PumpWaker;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// Perl code called exit: the session that asked for it is over, at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exited;

/// Why a nested pump has not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    Exited,
    /// A plugin call around it has taken too long.
    Interrupted,
}

/// What a piece of Perl work leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    GoOn,
    /// It called exit.
    Exited,
}

/// Why the runtime was left.
enum Event<T> {
    Finished(T),
    Work(Request),
}

struct Request {
    session: u64,
    work: Box<dyn FnOnce() -> After>,
}

/// The worker's loop: a runtime that is left for each piece of Perl work. One per worker.
pub(crate) struct Pump {
    runtime: Runtime,
    local: LocalSet,
    requests: RefCell<VecDeque<Request>>,
    waker: RefCell<Option<Waker>>,
    bell: PumpWaker,
    /// The pump's own future is being polled: what it asks for is found right afterwards, and
    /// nobody has to be woken.
    polling: Cell<bool>,
    /// Becomes readable when a plugin call is to be interrupted.
    wake: OnceCell<AsyncFd<BorrowedFd<'static>>>,
}

impl Pump {
    /// Makes the worker's runtime; only after its fork, as a runtime does not survive one.
    pub(crate) fn new() -> std::io::Result<Rc<Pump>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Rc::new(Pump {
            runtime,
            local: LocalSet::new(),
            requests: RefCell::default(),
            waker: RefCell::default(),
            bell: PumpWaker::new(),
            polling: Cell::new(false),
            wake: OnceCell::new(),
        }))
    }

    /// Plugin calls can be interrupted from now on.
    pub(crate) fn take_interrupts(&self) -> std::io::Result<()> {
        let _inside = self.runtime.enter();
        let wake = crate::server::wake_by_interrupt(|signal, wake| {
            crate::perl::ffi::interrupt::take(signal, wake)
        })?;
        let _ = self.wake.set(wake);
        Ok(())
    }

    /// Runs `until` to its end, doing Perl work in between. An exit ends the session that asked for
    /// the work, which hears of it; others go on.
    pub(crate) fn run<T>(&self, until: impl Future<Output = T>) -> T {
        let mut until = pin!(until);
        loop {
            match self.next(None, until.as_mut()) {
                Event::Finished(value) => return value,
                Event::Work(request) => {
                    (request.work)();
                }
            }
        }
    }

    /// The same for Perl code that waits for `until`: does only the work of that session, as
    /// another one's may have to wait for what runs outside. Ends early where a plugin call that
    /// waits here is interrupted.
    pub(crate) fn run_nested<T>(
        &self,
        session: u64,
        until: impl Future<Output = T>,
    ) -> Result<T, Left> {
        let mut until = pin!(until);
        let mut until = pin!(poll_fn(|context| {
            // The state of the page counts; the descriptor only wakes.
            while let Some(wake) = self.wake.get()
                && let Poll::Ready(Ok(mut ready)) = wake.poll_read_ready(context)
            {
                let _ = rustix::io::read(wake.get_ref(), &mut [0; 8]);
                ready.clear_ready();
            }
            if crate::watch::is_interrupted() {
                return Poll::Ready(None);
            }
            until.as_mut().poll(context).map(Some)
        }));
        loop {
            match self.next(Some(session), until.as_mut()) {
                Event::Finished(value) => return value.ok_or(Left::Interrupted),
                Event::Work(request) => {
                    if (request.work)() == After::Exited {
                        return Err(Left::Exited);
                    }
                }
            }
        }
    }

    fn next<T>(
        &self,
        session: Option<u64>,
        mut until: Pin<&mut impl Future<Output = T>>,
    ) -> Event<T> {
        let next = poll_fn(|context| {
            self.polling.set(true);
            let polled = until.as_mut().poll(context);
            self.polling.set(false);
            if let Poll::Ready(value) = polled {
                return Poll::Ready(Event::Finished(value));
            }
            match self.take(session) {
                Some(request) => Poll::Ready(Event::Work(request)),
                None => {
                    self.waker.replace(Some(context.waker().clone()));
                    Poll::Pending
                }
            }
        });
        let mut all = pin!(self.local.run_until(next));
        let mut looks_around = self.bell.is_time_to_look_around();
        self.runtime.block_on(poll_fn(|context| {
            if std::mem::take(&mut looks_around) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.bell
                .poll(context, |context| all.as_mut().poll(context))
        }))
    }

    fn take(&self, session: Option<u64>) -> Option<Request> {
        let mut requests = self.requests.borrow_mut();
        match session {
            None => requests.pop_front(),
            Some(session) => {
                let at = requests
                    .iter()
                    .position(|request| request.session == session)?;
                requests.remove(at)
            }
        }
    }

    /// Has a piece of work done outside the runtime.
    pub(crate) async fn outside<T: 'static>(
        &self,
        session: u64,
        work: impl FnOnce() -> Result<T, Exited> + 'static,
    ) -> Result<T, Exited> {
        struct Slot<T> {
            value: Option<Result<T, Exited>>,
            waker: Option<Waker>,
        }
        let slot = Rc::new(RefCell::new(Slot {
            value: None,
            waker: None,
        }));
        let filled = slot.clone();
        let request = Request {
            session,
            work: Box::new(move || {
                let value = work();
                let after = match &value {
                    Ok(_) => After::GoOn,
                    Err(Exited) => After::Exited,
                };
                let mut slot = filled.borrow_mut();
                slot.value = Some(value);
                if let Some(waker) = slot.waker.take() {
                    waker.wake();
                }
                after
            }),
        };
        self.requests.borrow_mut().push_back(request);
        if !self.polling.get()
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
        poll_fn(|context| {
            let mut slot = slot.borrow_mut();
            match slot.value.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    // The pump polls its own future after each piece of work.
                    slot.waker = (!self.polling.get()).then(|| context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_outside_may_run_a_nested_pump() {
        let pump = Pump::new().unwrap();
        let inner = pump.clone();
        let task = async {
            pump.outside(1, move || {
                let nested = async {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    inner.outside(1, || Ok(20)).await.map(|value| value + 1)
                };
                let nested = inner.run_nested(1, nested).map_err(|_| Exited)??;
                Ok(nested * 2)
            })
            .await
        };
        assert_eq!(pump.run(task), Ok(42));
    }

    #[test]
    fn a_nested_pump_leaves_the_work_of_other_sessions_alone() {
        let pump = Pump::new().unwrap();
        let (inner, order) = (pump.clone(), Rc::new(RefCell::new(Vec::new())));
        let (first, second) = (order.clone(), order.clone());
        let one = async {
            pump.outside(1, move || {
                inner
                    .run_nested(1, async {
                        for _ in 0..3 {
                            tokio::task::yield_now().await;
                        }
                    })
                    .map_err(|_| Exited)?;
                first.borrow_mut().push("one");
                Ok(())
            })
            .await
            .unwrap();
        };
        let other = async {
            pump.outside(2, move || {
                second.borrow_mut().push("two");
                Ok(())
            })
            .await
            .unwrap();
        };
        pump.run(async { tokio::join!(one, other) });
        assert_eq!(*order.borrow(), ["one", "two"]);
    }

    #[test]
    fn an_interrupt_wakes_a_nested_pump_and_ends_it() {
        use crate::watch::{Page, PluginHook, Spot, attach, begin};
        let page: &Page = Box::leak(Page::empty());
        attach(page);
        let pump = Pump::new().unwrap();
        let descriptor = Cell::new(None);
        let wake = {
            let _inside = pump.runtime.enter();
            crate::server::wake_by_interrupt(|_, wake| {
                descriptor.set(Some(wake));
                Ok(())
            })
        };
        pump.wake.set(wake.unwrap()).unwrap();
        let spot = Spot::new(
            PluginHook {
                plugin: 0,
                hook: 0,
                native: false,
            },
            1,
            false,
        );
        let (call, wake) = (begin(&spot), descriptor.get().unwrap());
        let serial = page.running()[0].serial;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // A signal for a call that is over wakes, and changes nothing.
                rustix::io::write(wake, &1u64.to_ne_bytes()).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(20));
                page.interrupt(serial, crate::watch::Reason::Time);
                rustix::io::write(wake, &1u64.to_ne_bytes()).unwrap();
            });
            let ended = pump.run_nested(1, std::future::pending::<()>());
            assert_eq!(ended, Err(Left::Interrupted));
        });
        assert!(call.is_interrupted());
        drop(call);
        assert_eq!(pump.run_nested(1, async { 5 }), Ok(5));
    }

    #[test]
    fn an_exit_is_told_to_who_asked_and_others_go_on() {
        let pump = Pump::new().unwrap();
        let one = async { pump.outside(1, || Err::<(), _>(Exited)).await };
        let other = async { pump.outside(2, || Ok(5)).await };
        let ended = pump.run(async { tokio::join!(one, other) });
        assert_eq!(ended, (Err(Exited), Ok(5)));
    }

    #[test]
    fn an_exit_ends_a_nested_pump_at_once() {
        let pump = Pump::new().unwrap();
        let inner = pump.clone();
        let task = async {
            pump.outside(1, move || {
                let nested = async {
                    let _ = inner.outside(1, || Err::<(), _>(Exited)).await;
                    std::future::pending::<()>().await;
                };
                inner.run_nested(1, nested).map_err(|left| {
                    assert_eq!(left, Left::Exited);
                    Exited
                })
            })
            .await
        };
        assert_eq!(pump.run(task), Err(Exited));
    }
}
