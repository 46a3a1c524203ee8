//! The machine: session code is written as plain `async` functions whose only await is "give a
//! step, take its answer"; this file turns such a function into `start` and `resume`. No
//! executor is involved: a poll always runs to the next step that has an answer or to the end. Steps
//! without one wait in a row before it and are given first.

use std::cell::RefCell;
use std::collections::VecDeque;
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
        // The code waits for the last step of the row: those before it have nothing to answer.
        if let Some(step) = self.exchange.first() {
            return step;
        }
        *self.exchange.0.answered.borrow_mut() = Some(answered);
        self.run()
    }

    fn run(&mut self) -> Step {
        let Some(code) = self.code.as_mut() else {
            return Step::Finished(Outcome::Closed);
        };
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = code.as_mut().poll(&mut context) {
            self.code = None;
            self.exchange.tell(Step::Finished(outcome));
        }
        // Session code awaits nothing but steps, so a pending poll has left one.
        self.exchange
            .first()
            .unwrap_or(Step::Finished(Outcome::Closed))
    }
}

/// The handle by which session code gives steps and takes answers.
#[derive(Clone, Default)]
pub struct Steps(Rc<Exchange>);

#[derive(Default)]
struct Exchange {
    steps: RefCell<VecDeque<Step>>,
    answered: RefCell<Option<Answered>>,
}

impl Steps {
    /// Gives a step whose answer nobody waits for: it is carried out before the next one that is
    /// asked, and before the end.
    pub fn tell(&self, step: Step) {
        self.0.steps.borrow_mut().push_back(step);
    }

    fn first(&self) -> Option<Step> {
        let mut steps = self.0.steps.borrow_mut();
        let first = steps.pop_front();
        if matches!(first, Some(Step::Read { .. })) {
            // A session that waits for its client keeps no room for steps.
            steps.shrink_to_fit();
        }
        first
    }

    /// Gives a step and waits for its answer. The answer to another machine's step is none: that
    /// one ends this machine, which has no step to give then.
    pub async fn ask<T: Answer>(&self, step: impl FnOnce(To<T>) -> Step) -> T {
        self.tell(step(To::new()));
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
