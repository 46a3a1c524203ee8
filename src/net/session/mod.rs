//! A session in a worker: its state, its socket, its log, and the chain of plugins that a step may
//! run. What it has of Perl, where there is an interpreter, is its Perl side.

pub(super) mod driver;
pub(super) mod log;
pub(super) mod native_access;
pub(super) mod natives;
pub(super) mod onlooker;
pub(super) mod rdns;
pub(super) mod reentry;
mod refused;
mod tls;
mod told;
mod traffic;

use std::cell::{Cell, OnceCell, RefCell};
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::base::log::{LOGERROR, LOGINFO};
use crate::base::trace::{self, Event};
use crate::chain::{self, Course, Given};
use crate::hook::{Hook, HookCall, Verdict};
use crate::mail::{REMOTE_HOST, REMOTE_INFO, Shown};
use crate::net::client::transport::Transport;
use crate::net::perl_side::pump::Pump;
use crate::net::perl_side::session::PerlSide;
use crate::net::perl_side::stage::Stage;
use crate::net::process::load::Loaded;
use crate::net::session::log::LogLine;
use crate::net::session::native_access::NativeAccess;
use crate::perl::fast::at_once;
use crate::perl::host::Host;
use crate::perl::{Chain, Progress};
use crate::plugin::{Handler, declined};
use crate::session::State;
use crate::watch;

/// How long replies may wait for a client that does not read them before a plugin runs.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(300);

/// What is still to be done for a client that has just come.
pub(super) struct Arrival {
    /// The client's address, if its name is to be looked up.
    pub look_up: Option<IpAddr>,
    /// The daemon's log line of a new connection, to which the client's name is added.
    pub accepted: Option<String>,
}

/// Where a session runs.
pub(super) struct Seat {
    /// What the session is known by; none where it is known by its process.
    pub number: Option<u32>,
    pub stage: Option<Rc<Stage>>,
    /// Called when what the client is sent is encrypted from now on.
    pub on_secured: Box<dyn Fn()>,
    /// What plugins find in %ENV.
    pub environment: Vec<(&'static str, Vec<u8>)>,
}

/// One client's session, from its socket to its end, in this worker.
pub(super) struct Session {
    pub id: u64,
    pub number: Option<u32>,
    pub state: Rc<State>,
    pub transport: Transport,
    pub loaded: Loaded,
    pub pump: Rc<Pump>,
    pub arrival: Arrival,
    /// Where there is an interpreter.
    pub perl_side: Option<PerlSide>,
    /// From now on nobody else may write to the client in clear.
    pub(super) on_secured: Box<dyn Fn()>,
    pub(super) log: RefCell<Vec<LogLine>>,
    config_said: natives::ConfigSaid,
    /// A native plugin has ended it: its hooks have run, and nothing more is to.
    pub(super) over: Cell<bool>,
    /// The process serves no other session as long as this one lasts.
    pub(super) alone: Cell<bool>,
    /// What the next reply is about.
    stage: Cell<Option<watch::RefusalStage>>,
    onlooker: OnceCell<Rc<dyn onlooker::Onlooker>>,
}

impl Session {
    pub(super) fn new(
        id: u64,
        state: Rc<State>,
        transport: Transport,
        loaded: &Loaded,
        pump: &Rc<Pump>,
        arrival: Arrival,
        seat: Seat,
    ) -> Rc<Session> {
        let number = seat.number;
        let host = loaded.host.clone();
        told::name_connection(&state, number);
        Rc::new(Session {
            id,
            number,
            state,
            transport,
            loaded: loaded.clone(),
            pump: pump.clone(),
            arrival,
            perl_side: host.map(|host| PerlSide::new(host, seat.stage, seat.environment)),
            on_secured: seat.on_secured,
            log: RefCell::default(),
            config_said: natives::ConfigSaid::default(),
            over: Cell::new(false),
            alone: Cell::new(false),
            stage: Cell::new(None),
            onlooker: OnceCell::new(),
        })
    }

    /// The same session in a process that was forked from this one, where it goes on.
    pub(super) fn moved(
        &self,
        transport: Transport,
        loaded: &Loaded,
        pump: &Rc<Pump>,
        seat: Seat,
    ) -> Rc<Session> {
        let arrival = Arrival {
            look_up: self.arrival.look_up,
            accepted: self.arrival.accepted.clone(),
        };
        let state = self.state.clone();
        let session = Session::new(self.id, state, transport, loaded, pump, arrival, seat);
        session.transport.queue_bytes(&self.transport.take_queued());
        session.transport.take_tls(&self.transport);
        session.log.swap(&self.log);
        if let (Some(new), Some(old)) = (&session.perl_side, &self.perl_side) {
            new.take_over(old);
        }
        session.alone.set(true);
        session.stage.set(self.stage.get());
        session
    }

    /// Finds the client's name, unless names are not looked up, and tells of the connection.
    pub(super) async fn look_up_client(self: &Rc<Self>) {
        let found = match self.arrival.look_up {
            Some(address) => rdns::name_of(address).await,
            None => None,
        };
        let connection = self.state.connection.borrow().clone();
        if let Some(name) = &found {
            connection.tell(REMOTE_INFO, &connection.remote_info, name.clone());
            connection.tell(REMOTE_HOST, &connection.remote_host, name.clone());
        }
        self.tell_connected();
        // Of a client that did not come by the daemon, others have told.
        let Some(accepted) = &self.arrival.accepted else {
            return;
        };
        if let Some(name) = found {
            self.tell_perl_of_client(name).await;
        }
        let mut accepted = accepted.clone().into_bytes();
        let host = connection.remote_host.borrow().clone();
        accepted.extend_from_slice(&host.unwrap_or_default());
        self.log(LOGINFO, None, None, accepted);
    }

    /// The session is over: what plugins have tied to its transaction and connection ends while
    /// it can still be asked for, and not in the next client's session.
    pub(super) fn let_go(&self) {
        self.tell(&Event::Ended);
        let transaction = self.state.replace_transaction(SystemTime::now());
        let rest = self.state.connection.borrow().without_notes();
        let connection = self.state.connection.replace(Rc::new(Shown::new(rest)));
        drop((transaction, connection));
    }

    /// Runs a hook's chain: Perl plugins in one go, native ones in between.
    pub(super) async fn chain(self: &Rc<Self>, call: HookCall) -> Verdict {
        match self.perl_side {
            Some(_) => self.chain_in_table(call).await,
            None => self.native_chain(call).await,
        }
    }

    async fn chain_in_table(self: &Rc<Self>, call: HookCall) -> Verdict {
        let mut chain = Chain::new(call);
        let mut given = None;
        loop {
            let advance = self.perl(move |host| host.advance(chain, given)).await;
            match advance {
                None => return Verdict::declined(),
                Some(Progress::Finished(verdict)) => return verdict,
                Some(Progress::Native { chain: rest, id }) => {
                    given = Some(self.call_native(id, rest.call()).await);
                    chain = rest;
                }
            }
        }
    }

    pub(super) async fn native_chain(self: &Rc<Self>, call: HookCall) -> Verdict {
        // As before a Perl plugin: the replies do not wait for what it does.
        self.transport.flush(FLUSH_TIMEOUT).await;
        let mut course = Course::new(call);
        let mut given = None;
        loop {
            let Ok(next) = chain::advance(&mut course, &mut natives::InOrder(self), given);
            match next {
                None => return course.verdict(),
                Some(id) => given = Some(self.call_native(id, &course.call).await),
            }
        }
    }

    /// Calls a native plugin for a chain.
    pub(super) async fn call_native(self: &Rc<Self>, id: i32, call: &HookCall) -> Given {
        let Some(handler) = self.loaded.natives.get(id) else {
            return Given::Nothing;
        };
        let access = NativeAccess(self.clone());
        watch::set_session(self.id);
        let listed = handler.listed.as_bytes();
        let guard = self.loaded.guards.of(listed, handler.hook, true);
        let began = (trace::is_on() && !handler.hook.is_internal()).then(Instant::now);
        let given = guard.run(handler.call(&access, call)).await;
        self.tell_native(&handler, began, &given);
        given
    }

    /// Calls a native plugin's hook that never waits; `None` where it is no such hook.
    pub(super) fn call_native_now(
        self: &Rc<Self>,
        handler: &Handler,
        call: &HookCall,
    ) -> Option<Given> {
        if !handler.never_waits() {
            return None;
        }
        let access = NativeAccess(self.clone());
        watch::set_session(self.id);
        let listed = handler.listed.as_bytes();
        let guard = self.loaded.guards.of(listed, handler.hook, true);
        let began = (trace::is_on() && !handler.hook.is_internal()).then(Instant::now);
        let given = guard.run_now(|| handler.call_now(&access, call).unwrap_or_else(declined));
        self.tell_native(handler, began, &given);
        Some(given)
    }

    /// Whether no plugin is registered for a hook, as far as that can be told at once.
    pub(super) fn has_no_entries(&self, hook: Hook) -> bool {
        match &self.perl_side {
            Some(perl) => self.is_here() && at_once::declines(&perl.host, hook),
            None => !self.loaded.natives.has_entries(hook),
        }
    }

    /// A config value as `config()` gives it, where Perl code has no say in it.
    pub(super) fn config_at_once(self: &Rc<Self>, name: &str) -> Option<Vec<Vec<u8>>> {
        let asks = |perl: &PerlSide| !self.is_here() || !at_once::config_is_the_file_s(&perl.host);
        let natives_ask = || self.loaded.natives.has_entries(Hook::Config);
        match self.perl_side.as_ref().map_or_else(natives_ask, asks) {
            true => None,
            false => Some(self.file_config(name)),
        }
    }

    /// A config value as `config()` gives it.
    pub(super) async fn config(self: &Rc<Self>, name: &str) -> Vec<Vec<u8>> {
        if let Some(values) = self.config_at_once(name) {
            return values;
        }
        if self.perl_side.is_none() {
            return self.config_of_natives(name).await;
        }
        let name = name.to_owned();
        let work = move |host: &Host| host.config().values(name.as_bytes());
        self.perl(work).await.unwrap_or_default()
    }

    pub(super) fn file_config(self: &Rc<Self>, name: &str) -> Vec<Vec<u8>> {
        let problem = |text: String| {
            self.log(LOGERROR, None, None, text.into_bytes());
            Ok::<(), Infallible>(())
        };
        let Ok(lines) = chain::look_up(&self.loaded.config, name, None, problem);
        match lines {
            Some(lines) => lines.to_vec(),
            None => {
                let default = chain::default_of(&self.loaded.defaults, name.as_bytes());
                default.map(<[u8]>::to_vec).into_iter().collect()
            }
        }
    }
}
