//! Session objects that Perl code makes and drives itself: each has a session of its own, which it
//! owns by magic. A method of such an object runs in that session; one of the daemon's object, or
//! of a class, in the session that Perl code runs in.

use std::cell::Cell;
use std::ffi::OsString;
use std::rc::Rc;

use super::port::{MakePort, Port};
use crate::perl::ffi::interpreter;
use crate::perl::ffi::object::{self, Owned};
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;
use crate::perl::xs::Raise;

/// Sets up the host for a script.
pub type Prepare = fn() -> Result<(), String>;

thread_local! {
    static PREPARE: Cell<Option<Prepare>> = const { Cell::new(None) };
}

/// Runs a perl program: the words of perl's command line after its name. `prepare` is called once
/// the host's modules are there, before the program's own text is compiled. The result is the
/// exit status, after END blocks.
pub fn run(words: Vec<OsString>, prepare: Prepare) -> i32 {
    PREPARE.set(Some(prepare));
    let mut all = vec![OsString::from("camelpost")];
    all.push("-MCamelpost::Start=script".into());
    all.extend(words);
    interpreter::run(all);
    interpreter::stop()
}

/// Called before a script's own text is compiled.
pub(in crate::perl) fn prepare() -> Result<(), String> {
    PREPARE.get().map_or(Ok(()), |prepare| prepare())
}

/// A session that belongs to an object.
pub struct OwnSession(pub Rc<dyn Port>);

impl Owned for OwnSession {
    const KIND: u16 = 4;
    const CLASS: &'static str = "Qpsmtpd::SMTP";
}

/// Puts back what was before, also after a panic.
struct Restore<'a> {
    host: &'a Host,
    port: Option<Rc<dyn Port>>,
    object: Option<Sv>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        if let Some(port) = self.port.take() {
            let own = self.host.enter(port);
            drop(own);
        }
        let own = self.host.other.replace(self.object.take());
        drop(own);
    }
}

impl Host {
    /// The object of the session that Perl code runs in. A copy of the reference: a plugin that
    /// assigns to its argument would change the host's otherwise.
    pub fn object(&self) -> Sv {
        match &*self.other.borrow() {
            Some(object) => Sv::copied(object.raw()),
            None => Sv::copied(self.qp.raw()),
        }
    }

    /// From now on objects that Perl code makes have sessions of their own.
    pub fn serve_scripts(&self, make_port: Box<MakePort>) {
        let _ = self.make_port.set(make_port);
    }

    /// Does some work in the session of this object or class.
    pub fn within<T>(
        self: &Rc<Host>,
        invocant: &Sv,
        work: impl FnOnce(Rc<dyn Port>) -> Result<T, Raise>,
    ) -> Result<T, Raise> {
        let Some(port) = self.session_of(invocant) else {
            return work(self.port());
        };
        let _restore = Restore {
            host: self,
            port: Some(self.enter(port.clone())),
            object: self.other.replace(Some(Sv::copied(invocant.raw()))),
        };
        work(port)
    }

    /// The session that an object drives; `None` for the one that Perl code runs in.
    fn session_of(self: &Rc<Host>, invocant: &Sv) -> Option<Rc<dyn Port>> {
        let address = invocant.address()?;
        if self.qp.address() == Some(address) {
            return None;
        }
        if let Some(object) = &*self.other.borrow()
            && object.address() == Some(address)
        {
            return None;
        }
        if let Some(own) = object::data::<OwnSession>(invocant.raw()) {
            return Some(own.0.clone());
        }
        self.adopt(invocant)
    }

    /// An object that some constructor has made gets its session when it is first needed.
    fn adopt(self: &Rc<Host>, invocant: &Sv) -> Option<Rc<dyn Port>> {
        let make_port = self.make_port.get()?;
        // A parser from a parse hook gets one that is there to log only.
        let is_session = invocant.is_a(c"Qpsmtpd") && !invocant.is_a(c"Qpsmtpd::Command");
        if !is_session || !invocant.is_plain_hash() {
            return None;
        }
        let own = Rc::new(OwnSession(make_port(self, invocant)));
        object::attach(invocant, own.clone());
        crate::perl::xs::keys::bind_session_keys(invocant, Some(own.clone()));
        Some(own.0.clone())
    }
}
