//! The session that Perl code runs in at present: its object, which methods of it Perl code has replaced, and
//! what it offers. Does not know how sessions take turns.

use std::cell::RefCell;
use std::rc::Rc;

use super::answer::{to_code, to_sv, to_verdict};
use super::methods::{Methods, Values};
use super::port::Port;
use crate::hook::{Arg, Method, MethodSet};
use crate::perl::ffi::call::{Unwind, Want, call_method, stringify};
use crate::perl::ffi::object;
use crate::perl::ffi::value::Sv;

/// What a method that answers the client returns to a script: what its last `respond` did, and
/// nothing once the session has ended.
#[derive(Default)]
pub enum Said {
    /// No such method runs: nothing is kept.
    #[default]
    Unasked,
    Nothing,
    Value(Sv),
    Ended,
}

/// The present session.
pub struct Present {
    /// The object of the sessions that the host itself runs.
    pub qp: Sv,
    /// The object of the session that Perl code runs in, where that is not `qp` but one that a
    /// script drives.
    other: RefCell<Option<Sv>>,
    pub(super) methods: Methods,
    /// What a script's own `respond` has returned last.
    said: RefCell<Said>,
    port: RefCell<Rc<dyn Port>>,
}

impl Present {
    pub(super) fn new(qp: Sv, port: Rc<dyn Port>) -> Present {
        Present {
            qp,
            other: RefCell::default(),
            methods: Methods::default(),
            said: RefCell::default(),
            port: RefCell::new(port),
        }
    }

    /// What the session offers to Perl code.
    pub fn port(&self) -> Rc<dyn Port> {
        self.port.borrow().clone()
    }

    /// Perl code runs in another session from now on. Returns the one before.
    pub fn enter(&self, port: Rc<dyn Port>) -> Rc<dyn Port> {
        self.port.replace(port)
    }

    /// The session's object. A copy of the reference: a plugin that assigns to its argument would
    /// change the host's otherwise.
    pub fn object(&self) -> Sv {
        match &*self.other.borrow() {
            Some(object) => Sv::copied(object.raw()),
            None => Sv::copied(self.qp.raw()),
        }
    }

    /// Another object's session is the present one, or that of `qp`. Returns the one before.
    pub(in crate::perl) fn set_other(&self, object: Option<Sv>) -> Option<Sv> {
        self.other.replace(object)
    }

    /// Whether the present session is that of the object at this address, and the object not `qp`.
    pub(in crate::perl) fn other_is(&self, address: usize) -> bool {
        let other = self.other.borrow();
        other
            .as_ref()
            .is_some_and(|object| object.address() == Some(address))
    }

    /// From now on what is said is kept. Returns what was before, to be put back.
    pub fn listen(&self) -> Said {
        self.said.replace(Said::Nothing)
    }

    /// What has been said since. `before` is what `listen` returned.
    pub fn end_listening(&self, before: Said) -> Said {
        self.said.replace(before)
    }

    /// Keeps what was said, where it is wanted.
    pub fn note_said(&self, said: Said) {
        if !matches!(*self.said.borrow(), Said::Unasked) {
            let earlier = self.said.replace(said);
            drop(earlier);
        }
    }

    /// Whether the object has a method of its own in the place of the host's.
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
    pub(in crate::perl) fn logs_plainly(&self, object: &Sv) -> bool {
        self.qp.address() == object.address() && !self.methods.is_replaced(object, Method::Varlog)
    }

    /// Calls a method of the object.
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
