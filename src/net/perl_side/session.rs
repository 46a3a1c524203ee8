//! What a session has of Perl, where there is an interpreter: whose turn it is, what its Perl code has
//! put aside, and the way out of the runtime to run more of it. Everything goes through the pump.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::base::log::LOGCRIT;
use crate::net::perl_side::once::Once;
use crate::net::perl_side::pump::Exited;
use crate::net::perl_side::stage::Stage;
use crate::net::session::{FLUSH_TIMEOUT, Session};
use crate::perl::fast;
use crate::perl::ffi::call::Unwind;
use crate::perl::host::Host;
use crate::perl::stdio;
use crate::perl::turn::Belongings;
use crate::perl::{Dropped, Sv, any_dropped, release_dropped};
use crate::watch;

/// A session's Perl: its host, its turn, and what it has put aside.
pub(crate) struct PerlSide {
    pub host: Rc<Host>,
    /// Where sessions take turns; none where this is the process's only one.
    stage: Option<Rc<Stage>>,
    /// A plugin has put handles of its own in the place of STDIN and STDOUT: all traffic goes
    /// through them.
    pub(in crate::net) taken: Cell<bool>,
    /// `{__client_socket}`, once a plugin has asked for it.
    client: RefCell<Option<Sv>>,
    /// While it is another one's turn.
    pub(in crate::net) belongings: RefCell<Option<Belongings>>,
    /// What it has dropped while it was another one's turn.
    dropped: RefCell<Dropped>,
    /// Its plugins have changed the table of hooks or the process's state.
    pub(in crate::net) changed: Cell<bool>,
    /// What plugins find in %ENV.
    environment: RefCell<Vec<(&'static str, Vec<u8>)>>,
    /// Perl code called exit.
    exited: Once,
    /// What STDIN was given of the input: lost with its handle, if a plugin closes that.
    pub(in crate::net) lent: RefCell<Vec<u8>>,
}

impl PerlSide {
    pub(in crate::net) fn new(
        host: Rc<Host>,
        stage: Option<Rc<Stage>>,
        environment: Vec<(&'static str, Vec<u8>)>,
    ) -> PerlSide {
        PerlSide {
            host,
            stage,
            taken: Cell::new(false),
            client: RefCell::default(),
            belongings: RefCell::default(),
            dropped: RefCell::default(),
            changed: Cell::new(false),
            environment: RefCell::new(environment),
            exited: Once::default(),
            lent: RefCell::default(),
        }
    }

    /// The session goes on here.
    pub(in crate::net) fn take_over(&self, other: &PerlSide) {
        self.taken.set(other.taken.get());
        self.client.swap(&other.client);
        self.dropped.swap(&other.dropped);
        self.changed.set(other.changed.get());
    }
}

impl Session {
    /// What plugins find in %ENV.
    pub(crate) fn environment(&self) -> Vec<(&'static str, Vec<u8>)> {
        let perl = self.perl_side.as_ref();
        perl.map_or_else(Vec::new, |perl| perl.environment.borrow().clone())
    }

    /// Whether what the host knows without Perl's help is what this session's Perl code would
    /// find: it is its turn, or all sessions find the same.
    pub(crate) fn is_here(&self) -> bool {
        let perl = self.perl_side.as_ref();
        perl.is_none_or(|perl| !perl.changed.get() || self.is_on())
    }

    /// Whether Perl code that runs now, or next, runs for this session.
    pub(crate) fn is_on(&self) -> bool {
        let stage = self.perl_side.as_ref().and_then(|perl| perl.stage.as_ref());
        stage.is_none_or(|stage| stage.is_on(self))
    }

    /// The machine is to know which of its methods Perl code has replaced.
    pub(crate) fn note_replaced(&self) {
        if let Some(perl) = &self.perl_side {
            self.state.replaced.set(perl.host.present.replaced());
        }
    }

    /// Returns once Perl code has called exit.
    pub(crate) async fn exited(&self) {
        match &self.perl_side {
            Some(perl) => perl.exited.wait().await,
            None => std::future::pending().await,
        }
    }

    /// Values that were dropped in the runtime are the session's that dropped them.
    pub(crate) fn keep_dropped(&self) {
        if let Some(perl) = &self.perl_side {
            perl.dropped.borrow_mut().take();
        }
    }

    /// The handle, for as long as it has to live on.
    pub(crate) fn take_client(&self) -> Option<Sv> {
        self.perl_side.as_ref()?.client.take()
    }

    /// A handle of Perl's on the client.
    pub(crate) fn client(&self) -> Option<Sv> {
        let perl = self.perl_side.as_ref()?;
        if perl.client.borrow().is_none() {
            let handle = self.transport.handle();
            perl.client.replace(handle);
        }
        perl.client.borrow().clone()
    }

    /// The client's name is known: it is in %ENV, too.
    pub(in crate::net) async fn tell_perl_of_client(self: &Rc<Self>, name: Vec<u8>) {
        let Some(perl) = &self.perl_side else { return };
        for (known, value) in perl.environment.borrow_mut().iter_mut() {
            if *known == "TCPREMOTEHOST" {
                value.clone_from(&name);
            }
        }
        self.perl(move |host| {
            host.process_state
                .set_environment(&[("TCPREMOTEHOST", name)]);
            Ok(())
        })
        .await;
    }

    /// Does a piece of Perl work in this session, outside the runtime. `None` where there is no
    /// interpreter, or where it died.
    pub(crate) async fn perl<T: 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&Host) -> Result<T, Unwind> + 'static,
    ) -> Option<T> {
        let perl = self.perl_side.as_ref()?;
        if !perl.taken.get() {
            self.transport.flush(FLUSH_TIMEOUT).await;
        }
        let session = self.clone();
        let outside = move || session.run_perl(work);
        match self.pump.outside(self.id, outside).await {
            Ok(value) => value,
            Err(Exited) => {
                // Nothing of the session goes on: who runs it waits for this.
                perl.exited.set();
                std::future::pending().await
            }
        }
    }

    /// What waits for Perl is done.
    pub(crate) async fn settle(self: &Rc<Self>) {
        if self.has_pending() {
            self.perl(|_| Ok(())).await;
        }
    }

    /// The same for what only looks at the host: at once, where that is this session's.
    pub(crate) async fn look<T: 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&Host) -> T + 'static,
    ) -> Option<T> {
        match fast::are_on() && self.is_on() {
            true => self.perl_side.as_ref().map(|perl| work(&perl.host)),
            false => self.perl(move |host| Ok(work(host))).await,
        }
    }

    /// The same, where no runtime is active. An error is logged and gives `None`.
    pub(crate) fn run_perl<T>(
        self: &Rc<Self>,
        work: impl FnOnce(&Host) -> Result<T, Unwind>,
    ) -> Result<Option<T>, Exited> {
        let Some(perl) = &self.perl_side else {
            return Ok(None);
        };
        watch::set_session(self.id);
        if let Some(stage) = &perl.stage
            && stage.enter(self).is_err()
        {
            return Err(Exited);
        }
        self.transport.carry_stdio();
        perl.dropped.borrow_mut().put();
        let lent = self.lend_input();
        let outcome = self
            .flush_log()
            .and_then(|()| self.flush_taken())
            .and_then(|()| work(&perl.host));
        let outcome = match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Unwind::Exited(_)) => Err(Exited),
            Err(died) => {
                let message = died.message();
                let texts = [
                    Sv::bytes(b"error in the host's Perl code: "),
                    Sv::bytes(&message),
                ];
                match perl.host.log(LOGCRIT, None, None, &texts) {
                    Err(Unwind::Exited(_)) => Err(Exited),
                    _ => Ok(None),
                }
            }
        };
        stdio::end_alarm();
        if outcome.is_ok() {
            stdio::flush();
            let closed = stdio::closed();
            if !closed && !perl.taken.get() && stdio::taken() {
                self.hand_over(perl);
            } else if lent || self.state.input.borrow().is_empty() {
                self.take_input_back();
            }
            if closed && !self.mend(perl) {
                return Err(Exited);
            }
            if let Err(Unwind::Exited(_)) = release_dropped() {
                return Err(Exited);
            }
        }
        outcome
    }

    /// A plugin has closed a handle that others find open. False where that cannot be undone.
    fn mend(&self, perl: &PerlSide) -> bool {
        perl.host.process_state.restore_stderr().is_ok()
            && (perl.taken.get() || (self.transport.take_stdio().is_ok() && stdio::fresh().is_ok()))
    }

    /// A plugin has taken the client over.
    fn hand_over(&self, perl: &PerlSide) {
        perl.taken.set(true);
        let ahead = self.state.input.take();
        drop(ahead);
        self.ignore_clear_text(stdio::take_back().len());
        (self.on_secured)();
    }

    /// Whether Perl work waits that must be done before the transaction or connection ends.
    pub(crate) fn has_pending(&self) -> bool {
        let Some(perl) = &self.perl_side else {
            return false;
        };
        let on = self.is_on();
        if !on {
            self.keep_dropped();
        }
        !self.log.borrow().is_empty() || !perl.dropped.borrow().is_empty() || (on && any_dropped())
    }
}
