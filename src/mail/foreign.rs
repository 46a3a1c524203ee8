//! Values of a scripting language that pass through Rust untouched, and the pairing of a piece
//! of state with the object that such a language shows for it.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// A value owned on behalf of a scripting language (a Perl reference, object or code). Rust
/// only keeps and drops it; a drop may happen anywhere, so an implementation must defer what
/// could run foreign code.
pub trait Foreign: std::fmt::Debug {
    /// For who knows its type.
    fn as_any(&self) -> &dyn Any;
    /// Another owner of the same value.
    fn share(&self) -> Box<dyn Foreign>;
    /// The object was shown for a piece of state, and is no longer: others may still have it.
    fn not_shown(&self);
}

/// State and the foreign object that stands for it, if one was asked for. The object may own
/// the state, never this pair: so no cycle arises, and the object keeps its identity (and the
/// private keys that plugins put into it) for as long as the pair lives.
#[derive(Debug)]
pub struct Shown<T> {
    /// What is shown.
    pub data: Rc<T>,
    object: RefCell<Option<Box<dyn Foreign>>>,
}

impl<T> Shown<T> {
    /// Shows this; no object stands for it yet.
    pub fn new(data: T) -> Shown<T> {
        Shown::of(Rc::new(data))
    }

    /// Shows what others hold, too; no object stands for it yet.
    pub fn of(data: Rc<T>) -> Shown<T> {
        Shown {
            data,
            object: RefCell::new(None),
        }
    }

    /// A pair whose object exists already.
    pub fn with_object(data: Rc<T>, object: Box<dyn Foreign>) -> Shown<T> {
        Shown {
            data,
            object: RefCell::new(Some(object)),
        }
    }

    /// Looks at the object, if one was made. What is done there must not replace it.
    pub fn look<R>(&self, at: impl FnOnce(&dyn Foreign) -> R) -> Option<R> {
        self.object.borrow().as_deref().map(at)
    }

    /// Whether an object stands for it.
    pub fn has_object(&self) -> bool {
        self.object.borrow().is_some()
    }

    /// From now on this object stands for it.
    pub fn set_object(&self, object: Box<dyn Foreign>) {
        let old = self.object.replace(Some(object));
        if let Some(old) = old {
            old.not_shown();
        }
    }
}

impl<T> Drop for Shown<T> {
    fn drop(&mut self) {
        if let Some(object) = self.object.get_mut() {
            object.not_shown();
        }
    }
}

impl<T> std::ops::Deref for Shown<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}
