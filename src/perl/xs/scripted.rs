//! Session objects that Perl code makes and drives itself: each has a session of its own, which it
//! owns by magic. A method of such an object runs in that session; one of the daemon's object, or
//! of a class, in the session that Perl code runs in.

use std::rc::Rc;

use super::keys::bind_session_keys;
use crate::perl::ffi::frame::{Frame, Raise};
use crate::perl::ffi::object;
use crate::perl::ffi::value::Sv;
use crate::perl::host;
use crate::perl::host::Host;
use crate::perl::host::port::Port;
use crate::perl::host::present::Present;
use crate::perl::host::script::OwnSession;

/// Puts back what was before, also after a panic.
struct Restore<'a> {
    present: &'a Present,
    port: Option<Rc<dyn Port>>,
    object: Option<Sv>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        if let Some(port) = self.port.take() {
            let own = self.present.enter(port);
            drop(own);
        }
        let own = self.present.set_other(self.object.take());
        drop(own);
    }
}

/// Runs a body in the session of the object that is its first argument.
pub(super) fn within(
    frame: &mut Frame<'_>,
    body: fn(&mut Frame<'_>, &dyn Port) -> Result<(), Raise>,
) -> Result<(), Raise> {
    let host = host::current()?;
    in_session_of(&host, &frame.sv(0), |port| body(frame, &*port))
}

/// Does some work in the session of this object or class.
pub(in crate::perl) fn in_session_of<T>(
    host: &Rc<Host>,
    invocant: &Sv,
    work: impl FnOnce(Rc<dyn Port>) -> Result<T, Raise>,
) -> Result<T, Raise> {
    let Some(port) = session_of(host, invocant) else {
        return work(host.present.port());
    };
    let _restore = Restore {
        present: &host.present,
        port: Some(host.present.enter(port.clone())),
        object: host.present.set_other(Some(Sv::copied(invocant.raw()))),
    };
    work(port)
}

/// The session that an object drives; `None` for the one that Perl code runs in.
fn session_of(host: &Rc<Host>, invocant: &Sv) -> Option<Rc<dyn Port>> {
    let address = invocant.address()?;
    if host.present.qp.address() == Some(address) {
        return None;
    }
    if host.present.other_is(address) {
        return None;
    }
    if let Some(own) = object::data::<OwnSession>(invocant.raw()) {
        return Some(own.0.clone());
    }
    adopt(host, invocant)
}

/// An object that some constructor has made gets its session when it is first needed.
fn adopt(host: &Rc<Host>, invocant: &Sv) -> Option<Rc<dyn Port>> {
    let make_port = host.make_port.get()?;
    // A parser from a parse hook gets one that is there to log only.
    let is_session = invocant.is_a(c"Qpsmtpd") && !invocant.is_a(c"Qpsmtpd::Command");
    if !is_session || !invocant.is_plain_hash() {
        return None;
    }
    let own = Rc::new(OwnSession(make_port(host, invocant)));
    object::attach(invocant, own.clone());
    bind_session_keys(invocant, Some(own.clone()));
    Some(own.0.clone())
}
