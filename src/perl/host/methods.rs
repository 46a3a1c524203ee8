//! Methods of session objects that Perl code has replaced: by a subclass, or at run time by an
//! assignment to the glob. Which they are is found once per class and looked up again when a
//! package changes.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use super::answer::{to_code, to_sv, to_verdict};
use crate::hook::{Arg, Method, MethodSet, Verdict};
use crate::perl::ffi::call::{Unwind, Want, call_method, stringify};
use crate::perl::ffi::object;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host::{Host, Said};

/// The sets of methods that classes have of their own.
#[derive(Default)]
pub struct Methods {
    /// The addresses of the host's own subs, which are kept alive.
    own: RefCell<HashMap<usize, Sv>>,
    /// The class that was asked about last, its generation, and the set of its methods.
    last: Cell<(usize, u64, MethodSet)>,
    known: RefCell<HashMap<usize, (u64, MethodSet)>>,
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
            _ => self.look(object),
        };
        self.known.borrow_mut().insert(class, (generation, set));
        self.last.set((class, generation, set));
        set
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

impl Host {
    /// Whether the present session's object has a method of its own in the place of the host's.
    pub fn is_replaced(&self, method: Method) -> bool {
        self.replaced().has(method)
    }

    /// The methods for which that is so.
    pub fn replaced(&self) -> MethodSet {
        match &*self.other.borrow() {
            Some(object) => self.methods.replaced(object),
            None => self.methods.replaced(&self.qp),
        }
    }

    /// Whether this is the object of the sessions that the host itself runs, and has the host's
    /// own `varlog`.
    pub fn logs_plainly(&self, object: &Sv) -> bool {
        self.qp.address() == object.address() && !self.methods.is_replaced(object, Method::Varlog)
    }

    /// Calls a method of the present session's object.
    pub fn call_replaced(&self, method: Method, args: &[Arg]) -> Result<Values, Unwind> {
        let mut all = vec![self.object()];
        all.extend(args.iter().map(to_sv));
        if method == Method::Queue {
            all.push(object::of(&self.port().transaction()));
        }
        let want = match method {
            Method::RunHooks => Want::List,
            _ => Want::Scalar,
        };
        let returned = call_method(method.name(), &all, want)?;
        if method == Method::Respond {
            let value = returned.first().cloned();
            self.note_said(value.map_or(Said::Nothing, Said::Value));
        }
        let Some(first) = returned.first() else {
            return Ok(Values::default());
        };
        let text = match first.is_defined() {
            true => Some(stringify(first)?),
            false => None,
        };
        if method != Method::RunHooks {
            return Ok(Values {
                first: text,
                verdict: None,
            });
        }
        let verdict = to_verdict(to_code(first), &returned[1..])?;
        Ok(Values {
            first: text,
            verdict: Some(verdict),
        })
    }
}
