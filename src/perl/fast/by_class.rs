//! Which of its methods Perl code has replaced, kept by class until perl's method generation changes. The
//! plain way looks all of them up at each question (`host/methods.rs`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::hook::MethodSet;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

/// The sets of methods that Perl code has replaced, by class.
#[derive(Default)]
pub(crate) struct ByClass {
    /// The class that was asked about last, its generation, and the set of its methods.
    last: Cell<(usize, u64, MethodSet)>,
    known: RefCell<HashMap<usize, (u64, MethodSet)>>,
}

impl ByClass {
    /// The set of an object's class, found by `look` where it is not known.
    pub(crate) fn of(&self, object: &Sv, look: impl FnOnce() -> MethodSet) -> MethodSet {
        if !super::are_on() {
            return look();
        }
        let mut class = 0;
        // SAFETY: a live SV; looks at its class.
        let generation = unsafe { sys::cp_class_generation(object.raw(), &mut class) };
        let (last, of, set) = self.last.get();
        if (last, of) == (class, generation) {
            return set;
        }
        if class == 0 {
            return MethodSet::default();
        }
        let known = self.known.borrow().get(&class).copied();
        let set = match known {
            Some((of, set)) if of == generation => set,
            _ => look(),
        };
        self.known.borrow_mut().insert(class, (generation, set));
        self.last.set((class, generation, set));
        set
    }
}
