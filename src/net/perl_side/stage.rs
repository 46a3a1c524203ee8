//! Whose turn it is: the session that Perl code runs for in this worker, with its client on
//! descriptors 0 and 1. A session keeps its turn while it waits for its client, until another one
//! has Perl work to do; where a worker has one session, nothing changes hands.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::pump::Exited;
use crate::net::client::transport::release_stdio;
use crate::net::session::Session;
use crate::perl::ffi::call::Unwind;
use crate::perl::host::Host;
use crate::perl::host::port::Port;
use crate::perl::stdio;
use crate::perl::turn::Belongings;

/// Where the sessions of a worker take turns with their Perl code. One per worker.
pub(crate) struct Stage {
    host: Rc<Host>,
    /// What Perl code sees where no session has its turn.
    idle: Rc<dyn Port>,
    /// What is on descriptors 0 and 1 then.
    null: OwnedFd,
    on: RefCell<Option<Rc<Session>>>,
}

impl Stage {
    /// No session has begun yet.
    pub(crate) fn new(host: &Rc<Host>, null: OwnedFd) -> Stage {
        Stage {
            host: host.clone(),
            idle: host.present.port(),
            null,
            on: RefCell::default(),
        }
    }

    /// A stage in a process that was forked from this one, where a session goes on alone.
    pub(crate) fn alone(other: &Stage, null: OwnedFd) -> Stage {
        Stage {
            host: other.host.clone(),
            idle: other.idle.clone(),
            null,
            on: RefCell::default(),
        }
    }

    /// This session has its turn already.
    pub(crate) fn put_on(&self, session: &Rc<Session>) {
        self.host.number.keep(session.number);
        self.on.replace(Some(session.clone()));
    }

    /// Whether it is this session's turn.
    pub(crate) fn is_on(&self, session: &Session) -> bool {
        let on = self.on.borrow();
        on.as_ref().is_some_and(|on| on.id == session.id)
    }

    /// A session begins, and has its turn.
    pub(crate) fn begin(&self, session: &Rc<Session>, port: Rc<dyn Port>) -> Result<(), Unwind> {
        self.set_aside()?;
        take_stdio(session)?;
        self.host.number.set(session.number);
        self.host.begin_session(port, &session.environment())?;
        self.on.replace(Some(session.clone()));
        Ok(())
    }

    /// It is this session's turn.
    pub(crate) fn enter(&self, session: &Rc<Session>) -> Result<(), Unwind> {
        if self.is_on(session) {
            return Ok(());
        }
        self.set_aside()?;
        take_stdio(session)?;
        self.host.number.set(session.number);
        if let Some(belongings) = belongings_of(session) {
            self.host.begin_turn(belongings, &session.environment())?;
        }
        self.on.replace(Some(session.clone()));
        Ok(())
    }

    /// It is no session's turn.
    pub(crate) fn clear(&self) -> Result<(), Unwind> {
        self.set_aside()?;
        self.host.number.set(None);
        self.release_stdio()
    }

    /// The same where another session is next, whose client comes to descriptors 0 and 1.
    fn set_aside(&self) -> Result<(), Unwind> {
        let Some(session) = self.on.take() else {
            return Ok(());
        };
        let belongings = self.take_from(&session)?;
        if let Some(perl) = &session.perl_side {
            perl.belongings.replace(Some(belongings));
        }
        Ok(())
    }

    /// What the session has left behind that went on elsewhere.
    pub(crate) fn leave(&self, session: &Session) -> Result<Option<Belongings>, Unwind> {
        if !self.is_on(session) {
            return Ok(belongings_of(session));
        }
        self.on.take();
        let belongings = self.take_from(session)?;
        self.host.number.set(None);
        self.release_stdio()?;
        Ok(Some(belongings))
    }

    fn take_from(&self, session: &Session) -> Result<Belongings, Unwind> {
        let belongings = self.host.end_turn(self.idle.clone())?;
        if let Some(perl) = &session.perl_side {
            perl.changed.set(belongings.changed());
        }
        Ok(belongings)
    }

    fn release_stdio(&self) -> Result<(), Unwind> {
        release_stdio(&self.null).map_err(|_| Unwind::Exited(0))
    }

    /// The session, whose turn it is, has ended.
    pub(crate) fn end(&self, session: &Session) -> Result<(), Exited> {
        debug_assert!(self.is_on(session));
        self.on.take();
        let cleared = self.host.number.clear_temporary();
        let ended = self.host.end_session(self.idle.clone());
        // Only now: objects that end with the session may look at it (File::Temp does).
        self.host.number.set(None);
        let released = release_stdio(&self.null);
        match (cleared.and(ended), released) {
            (Ok(()), Ok(())) => Ok(()),
            _ => Err(Exited),
        }
    }
}

fn belongings_of(session: &Session) -> Option<Belongings> {
    session.perl_side.as_ref()?.belongings.take()
}

fn take_stdio(session: &Session) -> Result<(), Unwind> {
    session.transport.carry_stdio();
    let outcome = session.transport.take_stdio();
    // What a plugin of the session printed before is out; a descriptor that cannot be had leaves
    // no way to serve the client.
    outcome.map_err(|_| {
        stdio::flush();
        Unwind::Exited(0)
    })
}
