//! A session in a worker: its state, its socket, its log, and the chain of plugins that a step
//! may run. Everything that needs Perl goes through the pump.

mod client;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::access::Access;
use super::flag::Flag;
use super::load::Loaded;
use super::log::LogLine;
use super::pump::{Exited, Pump};
use super::rdns;
use super::stage::Stage;
use super::transport::Transport;
use crate::hook::{Hook, HookCall, Verdict};
use crate::mail::{REMOTE_HOST, REMOTE_INFO, Shown};
use crate::perl::call::Unwind;
use crate::perl::host::Host;
use crate::perl::turn::Belongings;
use crate::perl::{Chain, Dropped, Progress, Sv, any_dropped, release_dropped, stdio};
use crate::plugin::Loaded as Natives;
use crate::session::State;
use crate::watch;

/// How long replies may wait for a client that does not read them before a plugin runs.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(300);

/// What is still to be done for a client that has just come.
pub struct Arrival {
    /// The client's address, if its name is to be looked up.
    pub look_up: Option<IpAddr>,
    /// The daemon's log line of a new connection, to which the client's name is added.
    pub accepted: Option<String>,
}

/// Where a session runs.
pub struct Place {
    /// What the session is known by; none where it is known by its process.
    pub number: Option<u32>,
    pub stage: Option<Rc<Stage>>,
    /// Called when a plugin has put handles of its own in the place of STDIN and STDOUT.
    pub on_taken: Box<dyn Fn()>,
    /// What plugins find in %ENV.
    pub environment: Vec<(&'static str, Vec<u8>)>,
}

/// See the module's description.
pub struct Session {
    pub id: u64,
    pub number: Option<u32>,
    pub state: Rc<State>,
    pub transport: Transport,
    pub host: Rc<Host>,
    pub pump: Rc<Pump>,
    pub natives: Rc<Natives>,
    pub arrival: Arrival,
    pub(super) log: RefCell<Vec<LogLine>>,
    /// A plugin has put handles of its own in the place of STDIN and STDOUT: all traffic goes
    /// through them.
    taken: Cell<bool>,
    on_taken: Box<dyn Fn()>,
    /// `{__client_socket}`, once a plugin has asked for it.
    client: RefCell<Option<Sv>>,
    /// Where sessions take turns; none where this is the process's only one.
    stage: Option<Rc<Stage>>,
    /// While it is another one's turn.
    pub(super) belongings: RefCell<Option<Belongings>>,
    /// What it has dropped while it was another one's turn.
    dropped: RefCell<Dropped>,
    /// Its plugins have changed the table of hooks or the process's state.
    changed: Cell<bool>,
    /// What plugins find in %ENV.
    environment: RefCell<Vec<(&'static str, Vec<u8>)>>,
    /// Perl code called exit.
    exited: Flag,
    /// The process serves no other session as long as this one lasts.
    pub(super) alone: Cell<bool>,
    /// What STDIN was given of the input: lost with its handle, if a plugin closes that.
    lent: RefCell<Vec<u8>>,
}

impl Session {
    pub fn new(
        id: u64,
        state: Rc<State>,
        transport: Transport,
        loaded: &Loaded,
        pump: &Rc<Pump>,
        arrival: Arrival,
        place: Place,
    ) -> Rc<Session> {
        Rc::new(Session {
            id,
            number: place.number,
            state,
            transport,
            host: loaded.host.clone(),
            pump: pump.clone(),
            natives: loaded.natives.clone(),
            arrival,
            log: RefCell::default(),
            taken: Cell::new(false),
            on_taken: place.on_taken,
            client: RefCell::default(),
            stage: place.stage,
            belongings: RefCell::default(),
            dropped: RefCell::default(),
            changed: Cell::new(false),
            environment: RefCell::new(place.environment),
            exited: Flag::default(),
            alone: Cell::new(false),
            lent: RefCell::default(),
        })
    }

    /// The same session in a process that was forked from this one, where it goes on.
    pub fn moved(
        &self,
        transport: Transport,
        loaded: &Loaded,
        pump: &Rc<Pump>,
        place: Place,
    ) -> Rc<Session> {
        let arrival = Arrival {
            look_up: self.arrival.look_up,
            accepted: self.arrival.accepted.clone(),
        };
        let state = self.state.clone();
        let session = Session::new(self.id, state, transport, loaded, pump, arrival, place);
        session.transport.queue_bytes(&self.transport.take_queued());
        session.log.swap(&self.log);
        session.taken.set(self.taken.get());
        session.client.swap(&self.client);
        session.dropped.swap(&self.dropped);
        session.changed.set(self.changed.get());
        session.alone.set(true);
        session
    }

    /// What plugins find in %ENV.
    pub fn environment(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.environment.borrow().clone()
    }

    pub(super) fn set_changed(&self, changed: bool) {
        self.changed.set(changed);
    }

    /// Whether what the host knows without Perl's help is what this session's Perl code would
    /// find: it is its turn, or all sessions find the same.
    pub fn is_here(&self) -> bool {
        !self.changed.get() || self.is_on()
    }

    /// Whether Perl code that runs now, or next, runs for this session.
    pub fn is_on(&self) -> bool {
        self.stage.as_ref().is_none_or(|stage| stage.is_on(self))
    }

    /// Returns once Perl code has called exit.
    pub async fn exited(&self) {
        self.exited.wait().await;
    }

    /// Values that were dropped in the runtime are the session's that dropped them.
    pub fn keep_dropped(&self) {
        self.dropped.borrow_mut().take();
    }

    /// The handle, for as long as it has to live on.
    pub fn take_client(&self) -> Option<Sv> {
        self.client.take()
    }

    /// A handle of Perl's on the client.
    pub fn client(&self) -> Option<Sv> {
        if self.client.borrow().is_none() {
            let handle = self.transport.handle();
            self.client.replace(handle);
        }
        self.client.borrow().clone()
    }

    /// Finds the client's name, unless names are not looked up, and tells of the connection.
    pub async fn look_up_client(self: &Rc<Self>) {
        let found = match self.arrival.look_up {
            Some(address) => rdns::name_of(address).await,
            None => None,
        };
        let connection = self.state.connection.borrow().clone();
        if let Some(name) = &found {
            connection.tell(REMOTE_INFO, &connection.remote_info, name.clone());
            connection.tell(REMOTE_HOST, &connection.remote_host, name.clone());
        }
        // Of a client that did not come by the daemon, others have told.
        let Some(accepted) = &self.arrival.accepted else {
            return;
        };
        if let Some(name) = found {
            for (known, value) in self.environment.borrow_mut().iter_mut() {
                if *known == "TCPREMOTEHOST" {
                    value.clone_from(&name);
                }
            }
            self.perl(move |session| {
                session.host.set_environment(&[("TCPREMOTEHOST", name)]);
                Ok(())
            })
            .await;
        }
        let mut accepted = accepted.clone().into_bytes();
        let host = connection.remote_host.borrow().clone();
        accepted.extend_from_slice(&host.unwrap_or_default());
        self.log(6, None, None, accepted);
    }

    /// The session is over: what plugins have tied to its transaction and connection ends while
    /// it can still be asked for, and not in the next client's session.
    pub fn let_go(&self) {
        let transaction = self.state.replace_transaction(SystemTime::now());
        let rest = self.state.connection.borrow().without_notes();
        let connection = self.state.connection.replace(Rc::new(Shown::new(rest)));
        drop((transaction, connection));
    }

    /// Does a piece of Perl work in this session, outside the runtime.
    pub async fn perl<T: 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&Session) -> Result<T, Unwind> + 'static,
    ) -> Option<T> {
        if !self.taken.get() {
            self.transport.flush(FLUSH_TIMEOUT).await;
        }
        let session = self.clone();
        let pump = self.pump.clone();
        match pump.outside(self.id, move || session.run_perl(work)).await {
            Ok(value) => value,
            Err(Exited) => {
                // Nothing of the session goes on: who runs it waits for this.
                self.exited.set();
                std::future::pending().await
            }
        }
    }

    /// The same for what only looks at the host: at once, where that is this session's.
    pub async fn look<T: 'static>(
        self: &Rc<Self>,
        work: impl FnOnce(&Session) -> T + 'static,
    ) -> Option<T> {
        match self.is_on() {
            true => Some(work(self)),
            false => self.perl(move |session| Ok(work(session))).await,
        }
    }

    /// The same, where no runtime is active. An error is logged and gives `None`.
    pub fn run_perl<T>(
        self: &Rc<Self>,
        work: impl FnOnce(&Session) -> Result<T, Unwind>,
    ) -> Result<Option<T>, Exited> {
        watch::set_session(self.id);
        if let Some(stage) = &self.stage
            && stage.enter(self).is_err()
        {
            return Err(Exited);
        }
        self.dropped.borrow_mut().put();
        let lent = self.lend_input();
        let outcome = self
            .flush_log()
            .and_then(|()| self.flush_taken())
            .and_then(|()| work(self));
        let outcome = match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Unwind::Exited(_)) => Err(Exited),
            Err(died) => {
                let message = died.message();
                let texts = [
                    Sv::bytes(b"error in the host's Perl code: "),
                    Sv::bytes(&message),
                ];
                match self.host.log(2, None, None, &texts) {
                    Err(Unwind::Exited(_)) => Err(Exited),
                    _ => Ok(None),
                }
            }
        };
        stdio::end_alarm();
        if outcome.is_ok() {
            stdio::flush();
            let closed = stdio::closed();
            if !closed && !self.taken.get() && stdio::taken() {
                self.hand_over();
            } else if lent || self.state.input.borrow().is_empty() {
                self.take_input_back();
            }
            if closed && !self.mend() {
                return Err(Exited);
            }
            if let Err(Unwind::Exited(_)) = release_dropped() {
                return Err(Exited);
            }
        }
        outcome
    }

    /// A plugin has closed a handle that others find open. False where that cannot be undone.
    fn mend(&self) -> bool {
        self.host.restore_stderr().is_ok()
            && (self.taken.get() || (self.transport.take_stdio().is_ok() && stdio::fresh().is_ok()))
    }

    /// A plugin has taken the client over. What the client sent before the handshake was not
    /// protected by it, and is forgotten (RFC 3207 section 4.2).
    fn hand_over(&self) {
        self.taken.set(true);
        self.state.input.borrow_mut().clear();
        let forgotten = stdio::take_back().len();
        if forgotten > 0 {
            let text = format!("{forgotten} bytes sent before the handshake are ignored");
            self.log(4, None, None, text.into_bytes());
        }
        (self.on_taken)();
    }

    /// Runs a hook's chain: Perl plugins in one go, native ones in between.
    pub async fn chain(self: &Rc<Self>, call: HookCall) -> Verdict {
        let chain = Chain::new(call);
        let mut progress = self
            .perl(move |session| session.host.advance(chain, None))
            .await;
        loop {
            match progress {
                Some(Progress::Finished(verdict)) => return verdict,
                Some(Progress::Native { chain, id }) => {
                    let verdict = self.call_native(id, &chain.call).await;
                    let advance =
                        move |session: &Session| session.host.advance(chain, Some(verdict));
                    progress = self.perl(advance).await;
                }
                None => return Verdict::declined(),
            }
        }
    }

    pub async fn call_native(self: &Rc<Self>, id: i32, call: &HookCall) -> Verdict {
        let Some(handler) = self.natives.get(id) else {
            return Verdict::declined();
        };
        let access = Access(self.clone());
        let Some(guards) = self.host.guards.get() else {
            return handler.call(&access, call).await;
        };
        let (name, hook) = (handler.plugin.as_bytes(), handler.hook);
        let guard = guards.of(name, hook, true);
        watch::set_session(self.id);
        match guard.run(handler.call(&access, call)).await {
            Ok(verdict) => verdict,
            Err(unanswered) => {
                let (level, text) = unanswered.told(name, hook, &guard);
                self.log(level, None, None, text.into_bytes());
                guard.on_lateness().unwrap_or_else(Verdict::declined)
            }
        }
    }

    /// Whether no plugin is registered for a hook, as far as that can be told at once.
    pub fn has_no_entries(&self, hook: Hook) -> bool {
        self.is_here() && !self.host.has_entries(hook)
    }

    /// The machine is to know which of its methods Perl code has replaced.
    pub fn note_replaced(&self) {
        self.state.replaced.set(self.host.replaced());
    }

    /// A config value as `config()` gives it, where Perl code has no say in it.
    pub fn config_at_once(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        (self.is_here() && !self.host.config_is_perl()).then(|| self.file_config(name))
    }

    /// A config value as `config()` gives it.
    pub async fn config(self: &Rc<Self>, name: &str) -> Vec<Vec<u8>> {
        if let Some(values) = self.config_at_once(name) {
            return values;
        }
        let name = name.to_owned();
        let work = move |session: &Session| session.host.config(name.as_bytes());
        self.perl(work).await.unwrap_or_default()
    }

    /// The same where no Perl code decides.
    pub fn file_config(&self, name: &str) -> Vec<Vec<u8>> {
        let config = &self.host.settings.config;
        let found = config.lines(name);
        for problem in config.take_problems() {
            self.log(3, None, None, problem.to_string().into_bytes());
        }
        match found {
            Ok(Some(lines)) if !lines.is_empty() => lines.to_vec(),
            found => {
                if let Err(error) = found {
                    self.log(3, None, None, error.to_string().into_bytes());
                }
                let mut defaults = self.host.settings.defaults.iter();
                let default = defaults.find(|(known, _)| *known == name);
                default
                    .map(|(_, value)| vec![value.clone()])
                    .unwrap_or_default()
            }
        }
    }

    /// Whether Perl work waits that must be done before the transaction or connection ends.
    pub fn has_pending(&self) -> bool {
        let on = self.is_on();
        if !on {
            self.keep_dropped();
        }
        !self.log.borrow().is_empty() || !self.dropped.borrow().is_empty() || (on && any_dropped())
    }
}
