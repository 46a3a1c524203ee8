//! A worker's life: takes one session after the other from the supervisor and runs it.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::driver::drive;
use super::load::Loaded;
use super::port::SessionPort;
use super::pump::{Exited, Pump};
use super::session::{Arrival, Session};
use super::transport::{Transport, open_null, release_stdio};
use crate::hook::{Hook, HookCall};
use crate::mail::Connection;
use crate::perl::port::Port;
use crate::perl::{interpreter, release_dropped, stdio};
use crate::server::{AsyncLink, Incoming, SessionEnd, WorkerLink};
use crate::session::{self, Neighbours, State};

/// Runs sessions until the supervisor has no more for this worker. The result is the process's
/// exit status.
pub fn work(loaded: Loaded, link: WorkerLink, rdns: bool) -> i32 {
    match Worker::new(loaded, link, rdns) {
        Ok(worker) => worker.run(),
        Err(error) => {
            tracing::error!("a worker could not start: {error}");
            1
        }
    }
}

struct Worker {
    loaded: Loaded,
    pump: Rc<Pump>,
    link: Rc<AsyncLink>,
    null: OwnedFd,
    rdns: bool,
}

impl Worker {
    fn new(loaded: Loaded, link: WorkerLink, rdns: bool) -> std::io::Result<Worker> {
        let mut seed = [0; 4];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        interpreter::adopt(u32::from_ne_bytes(seed));
        let pump = Pump::new()?;
        let link = pump
            .run(None, async { link.into_async() })
            .unwrap_or_else(|Exited| Err(std::io::Error::other("exit was called")))?;
        let null = open_null()?;
        release_stdio(&null)?;
        Ok(Worker {
            loaded,
            pump,
            link: Rc::new(link),
            null,
            rdns,
        })
    }

    fn run(self) -> i32 {
        let host = &self.loaded.host;
        if host.has_entries(Hook::PostFork)
            && host.run_quiet(HookCall::new(Hook::PostFork)).is_err()
        {
            return 1;
        }
        while let Ok(Some(incoming)) = self.pump.run(None, self.link.next()) {
            let id = incoming.session;
            match self.serve(incoming) {
                Ok(Some(session)) => {
                    // A client that sees the close may come again at once, and is then to find
                    // this worker free: the supervisor hears of the end before the client does.
                    self.link.done(id, SessionEnd { reuse: true });
                    session.transport.shutdown();
                }
                Ok(None) => self.link.done(id, SessionEnd { reuse: true }),
                Err(Exited) => self.link.done(id, SessionEnd { reuse: false }),
            }
        }
        interpreter::stop();
        0
    }

    /// One session from its socket to its end; what remains is to shut its socket down. `None`
    /// where it could not begin. After an error this worker takes no other.
    fn serve(&self, incoming: Incoming) -> Result<Option<Rc<Session>>, Exited> {
        let connection = connection(&incoming);
        let environment = environment(&connection);
        let arrival = arrival(&incoming, self.rdns);
        let neighbours = Neighbours {
            max_conn_ip: incoming.max_from_ip.into(),
            child_addrs: incoming.child_addrs.iter().map(packed).collect(),
        };
        let settings = self.loaded.settings.clone();
        let state = Rc::new(State::new(settings, connection, Some(neighbours)));
        let transport = self
            .pump
            .run(None, async { Transport::new(incoming.socket) })?;
        let Ok(transport) = transport else {
            return Ok(None);
        };
        if transport.take_stdio().is_err() {
            transport.shutdown();
            return Err(Exited);
        }
        let (link, id) = (self.link.clone(), incoming.session);
        // From here on the supervisor must not write to the client in clear.
        let on_taken = Box::new(move || link.tls_started(id));
        let session = Session::new(
            incoming.session,
            state,
            transport,
            &self.loaded,
            &self.pump,
            arrival,
            on_taken,
        );
        let ended = converse(&session, &environment);
        let released = release_stdio(&self.null).map_err(|_| Exited);
        // The handles of a plugin that took the client over are the process's: it serves nobody
        // else.
        let reusable = ended.is_ok() && released.is_ok() && !session.is_taken();
        if !reusable {
            session.transport.shutdown();
            return Err(Exited);
        }
        Ok(Some(session))
    }
}

/// A whole session, with all that its Perl code needs set up before and put back after it. What
/// remains is to shut the client's socket down.
pub fn converse(session: &Rc<Session>, environment: &[(&str, Vec<u8>)]) -> Result<(), Exited> {
    let ended = conversation(session, environment);
    // After an exit, what a plugin has printed is still in its handle.
    stdio::flush();
    session.transport.flush_blocking();
    ended
}

fn conversation(session: &Rc<Session>, environment: &[(&str, Vec<u8>)]) -> Result<(), Exited> {
    let port: Rc<dyn Port> = Rc::new(SessionPort(Rc::downgrade(session)));
    let host = &session.host;
    let idle = host.begin_session(port, environment).map_err(|_| Exited)?;
    let conversation = session::conversation(session.state.clone());
    session
        .pump
        .run(None, drive(session.clone(), conversation))?;
    session.let_go();
    session.run_perl(|_| Ok(()))?;
    host.end_session(idle).map_err(|_| Exited)?;
    release_dropped().map_err(|_| Exited)
}

/// What is still to be done for the client.
pub fn arrival(incoming: &Incoming, rdns: bool) -> Arrival {
    let (open, limit) = (incoming.open, incoming.limit);
    let address = incoming.peer.ip();
    Arrival {
        look_up: rdns.then_some(address),
        accepted: Some(format!(
            "Accepted connection {open}/{limit} from {address} / "
        )),
    }
}

/// What is known of the client before it is looked up.
pub fn connection(incoming: &Incoming) -> Connection {
    let text = |address: SocketAddr| canonical(address.ip()).to_string().into_bytes();
    let connection = Connection::default();
    connection.remote_ip.replace(Some(text(incoming.peer)));
    connection.remote_host.replace(Some(b"Unknown".to_vec()));
    connection.remote_info.replace(Some(b"Unknown".to_vec()));
    connection
        .remote_port
        .set(Some(incoming.peer.port().into()));
    connection.local_ip.replace(Some(text(incoming.local)));
    connection
        .local_port
        .set(Some(incoming.local.port().into()));
    connection
}

/// The variables that plugins know from the original.
fn environment(connection: &Connection) -> Vec<(&'static str, Vec<u8>)> {
    let value = |field: &RefCell<Option<Vec<u8>>>| field.borrow().clone().unwrap_or_default();
    vec![
        ("TCPLOCALIP", value(&connection.local_ip)),
        ("TCPREMOTEIP", value(&connection.remote_ip)),
        ("TCPREMOTEHOST", value(&connection.remote_host)),
    ]
}

/// An IPv4 client on an IPv6 socket is an IPv4 client.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn packed(address: &IpAddr) -> Vec<u8> {
    match canonical(*address) {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
