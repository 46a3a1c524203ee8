//! A value that each process makes for itself. Does not know what it is.

use std::cell::RefCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::Rc;

/// A value that each process makes at first use: a connection to a backend, a thread's handle. Where a
/// process was forked from one that had made it, it makes its own, and leaves the other's alone: nothing
/// of that is closed or dropped here.
pub struct PerProcess<T>(RefCell<Option<Made<T>>>);

struct Made<T> {
    process: u32,
    value: ManuallyDrop<Rc<T>>,
}

impl<T> PerProcess<T> {
    /// None is made yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess(RefCell::new(None))
    }

    /// The process's value, where it was made.
    pub fn get(&self) -> Option<Rc<T>> {
        let made = self.0.borrow();
        let own = made
            .as_ref()
            .filter(|made| made.process == std::process::id());
        own.map(|made| Rc::clone(&made.value))
    }

    /// The process's value; the first call makes it.
    pub fn get_or(&self, make: impl FnOnce() -> T) -> Rc<T> {
        match self.get() {
            Some(value) => value,
            None => self.set(make()),
        }
    }

    /// This process's value, made by `make` where there is none. An error leaves none: the next call tries again.
    pub async fn get_or_try<E>(
        &self,
        make: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Rc<T>, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => Ok(self.set(make().await?)),
        }
    }

    /// From now on this is the process's value; one that it had before ends when nobody uses it.
    pub fn set(&self, value: T) -> Rc<T> {
        let value = Rc::new(value);
        let before = self.0.replace(Some(Made {
            process: std::process::id(),
            value: ManuallyDrop::new(value.clone()),
        }));
        if let Some(made) = before
            && made.process == std::process::id()
        {
            drop(ManuallyDrop::into_inner(made.value));
        }
        value
    }

    /// The process has none any more: the next call makes another, as after an error.
    pub fn forget(&self) {
        let before = self.0.take();
        if let Some(made) = before
            && made.process == std::process::id()
        {
            drop(ManuallyDrop::into_inner(made.value));
        }
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> PerProcess<T> {
        PerProcess::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        self.forget();
    }
}

impl<T> fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.get().is_some() { "made" } else { "none" };
        write!(f, "PerProcess({state})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told(Rc<RefCell<Vec<u32>>>, u32);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }

    #[test]
    fn a_value_is_made_once_and_ends_where_it_was_made() {
        let dropped = Rc::new(RefCell::new(Vec::new()));
        let own = PerProcess::new();
        assert!(own.get().is_none());
        own.get_or(|| Told(dropped.clone(), 1));
        assert_eq!(own.get_or(|| Told(dropped.clone(), 2)).1, 1);
        own.set(Told(dropped.clone(), 3));
        assert_eq!(*dropped.borrow(), [1]);
        drop(own);
        assert_eq!(*dropped.borrow(), [1, 3]);
    }

    #[test]
    fn a_value_of_the_process_that_this_one_was_forked_from_is_left_alone() {
        let dropped = Rc::new(RefCell::new(Vec::new()));
        let own = PerProcess::new();
        own.get_or(|| Told(dropped.clone(), 1));
        // As it is after a fork: the number of another process stands there.
        own.0.borrow_mut().as_mut().unwrap().process = 1;
        assert!(own.get().is_none());
        assert_eq!(own.get_or(|| Told(dropped.clone(), 2)).1, 2);
        drop(own);
        assert_eq!(*dropped.borrow(), [2]);
    }
}
