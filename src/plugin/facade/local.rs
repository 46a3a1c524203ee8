//! A value of the plugin's own type that lives with a session or a transaction.

use std::cell::RefCell;
use std::rc::Rc;

/// The plugin's own value of one session or one transaction: other plugins, and other sessions, do not
/// see it.
pub struct Local<T>(pub(in crate::plugin) Rc<RefCell<T>>);

impl<T> Local<T> {
    /// Looks at the value, or changes it. There is nothing to hold it by outside of `at`.
    pub fn with<R>(&self, at: impl FnOnce(&mut T) -> R) -> R {
        at(&mut self.0.borrow_mut())
    }

    /// Puts another in its place, and gives the one before.
    pub fn replace(&self, value: T) -> T {
        self.0.replace(value)
    }

    /// A copy of it.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.0.borrow().clone()
    }
}
