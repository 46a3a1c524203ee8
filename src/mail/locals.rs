//! Values of native plugins' own types that live as long as what they are kept with. Does not know
//! what they are, nor whose.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// One of them, by its owner's name and its type.
type Kept = (Rc<str>, TypeId, Rc<dyn Any>);

/// The values that are kept with one object.
#[derive(Default)]
pub struct Locals(RefCell<Vec<Kept>>);

impl Locals {
    /// The owner's value of this type; the first call makes it.
    pub fn of<T: Default + 'static>(&self, owner: &Rc<str>) -> Rc<RefCell<T>> {
        let kind = TypeId::of::<T>();
        let find = |kept: &Kept| match (&kept.0 == owner, kept.1 == kind) {
            (true, true) => kept.2.clone().downcast::<RefCell<T>>().ok(),
            _ => None,
        };
        let found = self.0.borrow().iter().find_map(find);
        found.unwrap_or_else(|| {
            // Made before the list is borrowed: it may be anything that a plugin does.
            let made = Rc::new(RefCell::new(T::default()));
            let kept: Kept = (owner.clone(), kind, made.clone());
            self.0.borrow_mut().push(kept);
            made
        })
    }

    /// Another list of these values, which both hold.
    pub fn share(&self) -> Locals {
        Locals(RefCell::new(self.0.borrow().clone()))
    }

    /// Changes what is kept here for what is kept there.
    pub fn swap(&self, other: &Locals) {
        self.0.swap(&other.0);
    }
}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.borrow().len();
        write!(f, "Locals({count})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_its_owner_s_and_of_its_type() {
        let locals = Locals::default();
        let (one, other): (Rc<str>, Rc<str>) = ("one".into(), "other".into());
        *locals.of::<u32>(&one).borrow_mut() += 5;
        assert_eq!(*locals.of::<u32>(&one).borrow(), 5);
        assert_eq!(*locals.of::<u32>(&other).borrow(), 0);
        assert_eq!(*locals.of::<u64>(&one).borrow(), 0);
        assert_eq!(*locals.share().of::<u32>(&one).borrow(), 5);
    }
}
