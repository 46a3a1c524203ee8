//! The machine: session code is written as plain `async` functions whose only await is "give a
//! step, take its answer"; this file turns such a function into `start` and `resume`. No
//! executor is involved: a poll always runs to the next step or to the end.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::step::{Answer, Answered, Outcome, Step, To};

/// A piece of session code that runs from step to step.
pub struct Machine {
    code: Option<Pin<Box<dyn Future<Output = Outcome>>>>,
    exchange: Steps,
}

impl Machine {
    /// A machine for `code`, which gets the handle by which it gives steps.
    pub fn new<F>(code: impl FnOnce(Steps) -> F) -> Machine
    where
        F: Future<Output = Outcome> + 'static,
    {
        let exchange = Steps::default();
        let code = Box::pin(code(exchange.clone()));
        Machine {
            code: Some(code),
            exchange,
        }
    }

    /// Runs to the first step.
    pub fn start(&mut self) -> Step {
        self.run()
    }

    /// Takes the answer to the step given last and runs to the next one.
    pub fn resume(&mut self, answered: Answered) -> Step {
        *self.exchange.0.answered.borrow_mut() = Some(answered);
        self.run()
    }

    fn run(&mut self) -> Step {
        let Some(code) = self.code.as_mut() else {
            return Step::Finished(Outcome::Closed);
        };
        let mut context = Context::from_waker(Waker::noop());
        match code.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => {
                self.code = None;
                Step::Finished(outcome)
            }
            // Session code awaits nothing but steps, so a pending poll has left one.
            Poll::Pending => match self.exchange.0.step.borrow_mut().take() {
                Some(step) => step,
                None => Step::Finished(Outcome::Closed),
            },
        }
    }
}

/// The handle by which session code gives steps and takes answers.
#[derive(Clone, Default)]
pub struct Steps(Rc<Exchange>);

#[derive(Default)]
struct Exchange {
    step: RefCell<Option<Step>>,
    answered: RefCell<Option<Answered>>,
}

impl Steps {
    /// Gives a step and waits for its answer. The answer to another machine's step is none: that
    /// one ends this machine, which has no step to give then.
    pub async fn ask<T: Answer>(&self, step: impl FnOnce(To<T>) -> Step) -> T {
        let step = step(To::new());
        *self.0.step.borrow_mut() = Some(step);
        std::future::poll_fn(|_| {
            let answered = self.0.answered.borrow_mut().take();
            match answered.and_then(Answered::take) {
                Some(answer) => Poll::Ready(answer),
                None => Poll::Pending,
            }
        })
        .await
    }
}
