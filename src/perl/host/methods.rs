//! Methods of session objects that Perl code has replaced: by a subclass, or at run time by an
//! assignment to the glob. Which they are is looked up by their names; `fast/by_class.rs` keeps it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use crate::hook::{Method, MethodSet, Verdict};
use crate::perl::fast::by_class::ByClass;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

/// The sets of methods that classes have of their own.
#[derive(Default)]
pub struct Methods {
    /// The addresses of the host's own subs, which are kept alive.
    own: RefCell<HashMap<usize, Sv>>,
    by_class: ByClass,
}

impl Methods {
    /// Notes what the methods are while no plugin is loaded.
    pub fn note(&self, classes: &[&str]) {
        let mut own = self.own.borrow_mut();
        let mut seen = HashSet::new();
        for class in classes {
            let class = Sv::bytes(class.as_bytes());
            for method in Method::ALL {
                let code = find(&class, *method);
                if !code.is_null() && seen.insert(code as usize) {
                    own.insert(code as usize, Sv::share(code));
                }
            }
        }
    }

    /// Whether the object's class has a method of its own in the place of the host's.
    pub fn is_replaced(&self, object: &Sv, method: Method) -> bool {
        self.replaced(object).has(method)
    }

    /// The methods for which that is so.
    pub fn replaced(&self, object: &Sv) -> MethodSet {
        self.by_class.of(object, || self.look(object))
    }

    fn look(&self, object: &Sv) -> MethodSet {
        let own = self.own.borrow();
        let is_other = |invocant: &Sv, method: Method| {
            let code = find(invocant, method);
            !code.is_null() && !own.contains_key(&(code as usize))
        };
        // Some methods of the daemon's class only lead to those of its parent.
        let parent = object
            .is_a(c"Qpsmtpd::TcpServer")
            .then(|| Sv::bytes(b"Qpsmtpd::SMTP"));
        let replaced = |method: &&Method| {
            let parent = parent.as_ref();
            is_other(object, **method) || parent.is_some_and(|parent| is_other(parent, **method))
        };
        Method::ALL.iter().filter(replaced).copied().collect()
    }
}

fn find(invocant: &Sv, method: Method) -> *mut sys::cp_sv {
    let name = method.name();
    // SAFETY: a live SV and a range of bytes; looks the method up.
    unsafe { sys::cp_find_method(invocant.raw(), name.as_ptr().cast(), name.len()) }
}

/// What a method returned.
#[derive(Debug, Default)]
pub struct Values {
    pub first: Option<Vec<u8>>,
    /// The values as a hook's answer.
    pub verdict: Option<Verdict>,
}
