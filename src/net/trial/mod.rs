//! The session of `camelpost try`: the service's own, loaded for it alone, in a process that serves no other. What
//! happens in it is written to who asked for it. Does not know who plays the client.

mod looker;
mod snapshot;

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::SystemTime;

use rustix::stdio;

use self::looker::Looker;
use crate::base::trace;
use crate::base::trial::{Told, Trial};
use crate::mail::{Connection, Note, REMOTE_HOST, REMOTE_INFO, UNKNOWN};
use crate::net::client::transport::{open_null, release_stdio};
use crate::net::perl_side::pump::{Exited, Pump};
use crate::net::process::load::Loaded;
use crate::net::process::one_session::{converse, transport};
use crate::net::process::post_fork;
use crate::net::process::worker::environment;
use crate::net::session::{Arrival, Seat, Session};
use crate::perl::ffi::interpreter;
use crate::server::catch_sigpipe;
use crate::session::{Neighbours, State};

/// The port that the client has come from, and the service's.
const PORTS: [i64; 2] = [40_000, 25];
/// What the service allows to an address where nothing else is said (`--max-from-ip`).
const MAX_FROM_IP: i64 = 5;

/// Runs the session of what `load` loads; `rdns` is whether the client's name is looked up where none was given.
pub(crate) fn serve(
    trial: &Trial,
    rdns: bool,
    load: impl FnOnce() -> Result<Loaded, String>,
) -> Result<(), String> {
    let io = |error: std::io::Error| format!("cannot use standard input and output: {error}");
    // What plugins print while they load is not for the client, nor for who is told.
    let own = |end| Ok::<OwnedFd, std::io::Error>(rustix::io::fcntl_dupfd_cloexec(end, 3)?);
    let (client, told) = (
        own(stdio::stdin()).map_err(io)?,
        own(stdio::stdout()).map_err(io)?,
    );
    let null = open_null().map_err(io)?;
    release_stdio(&null).map_err(io)?;
    catch_sigpipe();
    let loaded = load()?;
    if let Some(host) = &loaded.host {
        crate::perl::stdio::flush();
        let prepared = host.present.prepare_dump();
        prepared.map_err(|error| String::from_utf8_lossy(&error.message()).into_owned())?;
    }
    crate::base::log::set_level(loaded.log_level);
    let pump = Pump::new().map_err(io)?;
    // As each worker begins.
    post_fork::run(&loaded, &pump)
        .map_err(|Exited| "a plugin has called exit in its hook post-fork".to_owned())?;
    stdio::dup2_stdin(&client).map_err(|error| io(error.into()))?;
    stdio::dup2_stdout(&client).map_err(|error| io(error.into()))?;
    drop(client);
    // They are told.
    crate::base::log::keep_lines();
    session(trial, rdns, &loaded, &pump, File::from(told)).map_err(io)?;
    if loaded.host.is_some() {
        interpreter::stop();
    }
    Ok(())
}

fn session(
    trial: &Trial,
    rdns: bool,
    loaded: &Loaded,
    pump: &Rc<Pump>,
    told: File,
) -> std::io::Result<()> {
    let transport = pump.run(async { transport() })?;
    let connection = connection(trial);
    if trial.tls {
        assume_tls(&connection, loaded);
    }
    let address = trial.ip.to_canonical();
    let arrival = Arrival {
        look_up: (rdns && trial.host.is_none()).then_some(address),
        accepted: Some(format!("Accepted connection 1/1 from {address} / ")),
    };
    let seat = Seat {
        number: None,
        stage: None,
        on_secured: Box::new(|| {}),
        environment: environment(&connection),
    };
    let neighbours = Neighbours {
        max_conn_ip: MAX_FROM_IP,
        child_addrs: Vec::new(),
    };
    let state = State::new(
        loaded.settings.clone(),
        connection,
        Some(neighbours),
        SystemTime::now(),
    );
    let session = Session::new(1, Rc::new(state), transport, loaded, pump, arrival, seat);
    let looker = Rc::new(Looker::new(trial, &session, told));
    let listener = looker.clone();
    trace::listen(move |_, event| listener.take(event));
    session.watch(looker.clone());
    let ended = converse(&session);
    session.transport.shutdown();
    if ended.is_ok() {
        looker.tell(&Told::Ended);
    }
    Ok(())
}

/// The client, as the service knows one that has just come.
fn connection(trial: &Trial) -> Connection {
    let ip = trial.ip.to_canonical();
    let text = |text: String| Some(text.into_bytes());
    let connection = Connection::default();
    connection.remote_ip.replace(text(ip.to_string()));
    connection.remote_host.replace(Some(UNKNOWN.to_vec()));
    connection.remote_info.replace(Some(UNKNOWN.to_vec()));
    if let Some(name) = &trial.host {
        connection.tell(REMOTE_INFO, &connection.remote_info, name.clone().into());
        connection.tell(REMOTE_HOST, &connection.remote_host, name.clone().into());
    }
    let [remote, local] = PORTS.map(Some);
    connection.remote_port.set(remote);
    connection.local_port.set(local);
    let local = match ip {
        IpAddr::V4(_) => "127.0.0.1",
        IpAddr::V6(_) => "::1",
    };
    connection.local_ip.replace(text(local.to_owned()));
    connection
}

/// The notes of a session in TLS, with an object that answers what plugins ask of the client's TLS.
fn assume_tls(connection: &Connection, loaded: &Loaded) {
    let facts = [
        ("version", "TLSv1.3"),
        ("cipher", "TLS_AES_256_GCM_SHA384"),
        ("reused", "0"),
    ];
    let facts = facts.map(|(name, value)| (name, value.as_bytes().to_vec()));
    if let Some(host) = &loaded.host
        && host.present.prepare_tls().is_ok()
        && let Ok(socket) = host.present.tls_socket(&facts)
    {
        connection.notes.set(b"tls_socket", socket);
    }
    connection.notes.set(b"tls_socket_is_duped", Note::Int(1));
    connection.notes.set(b"tls_enabled", Note::Int(1));
}
