//! One session on descriptors 0 and 1, for a program that accepts the connections itself:
//! tcpserver and its kin, which say in the environment who the client is, or inetd, which passes
//! the client's socket. No supervisor, no worker; everything is loaded for this one session.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::SystemTime;

use rustix::fs::FileType;
use rustix::stdio;

use super::load::Loaded;
use crate::mail::{
    Connection, LOCAL_IP, LOCAL_PORT, REMOTE_HOST, REMOTE_INFO, REMOTE_IP, REMOTE_PORT,
};
use crate::net::client::transport::{Transport, open_null};
use crate::net::perl_side::port::SessionPort;
use crate::net::perl_side::pump::{Exited, Pump};
use crate::net::session::driver::drive;
use crate::net::session::{Arrival, Seat, Session};
use crate::perl::ffi::interpreter;
use crate::perl::host::port::Port;
use crate::perl::release_dropped;
use crate::server::{OneSessionError, catch_sigpipe};
use crate::session::{self, State};

/// For a client that came before the configuration could be loaded.
const NOT_LOADED: &str = "421 4.3.0 Service not available, closing connection\r\n";

/// Runs the session of what `load` loads; `rdns` is whether the client's name is looked up. The result is the
/// process's exit status.
pub(crate) fn serve(
    rdns: bool,
    load: impl FnOnce() -> Result<Loaded, String>,
) -> Result<i32, OneSessionError> {
    let refused = |message: String| OneSessionError {
        message: format!("camelpost: {message}"),
        status: 1,
    };
    let (connection, look_up) = client(rdns)?;
    take_log_from_client().map_err(|error| refused(format!("cannot set up the log: {error}")))?;
    catch_sigpipe();
    // Not as the engine does it: nothing is said of what sessions cannot share.
    let loaded = load().map_err(|message| {
        // A client that is told comes again later. One that is gone is told nothing.
        let _ = std::io::stdout().write_all(NOT_LOADED.as_bytes());
        OneSessionError { message, status: 1 }
    })?;
    crate::base::log::set_level(loaded.log_level);

    let arrival = Arrival {
        look_up,
        accepted: None,
    };
    one_session(&loaded, connection, arrival)
        .map_err(|error| refused(format!("cannot use the client's stream: {error}")))
}

fn one_session(loaded: &Loaded, connection: Connection, arrival: Arrival) -> std::io::Result<i32> {
    let pump = Pump::new()?;
    let transport = pump.run(async { transport() })?;
    let state = Rc::new(State::new(
        loaded.settings.clone(),
        connection,
        None,
        SystemTime::now(),
    ));
    let seat = Seat {
        number: None,
        stage: None,
        on_secured: Box::new(|| {}),
        environment: Vec::new(),
    };
    let session = Session::new(1, state, transport, loaded, &pump, arrival, seat);
    let ended = converse(&session);
    session.transport.shutdown();
    if loaded.host.is_none() {
        return Ok(0);
    }
    let status = match ended {
        Ok(()) => 0,
        Err(_) => interpreter::exit_status(),
    };
    interpreter::stop();
    Ok(status)
}

/// A whole session, with all that its Perl code needs set up before and put back after it. What
/// remains is to shut the client's socket down.
pub(in crate::net) fn converse(session: &Rc<Session>) -> Result<(), Exited> {
    let ended = conversation(session);
    if session.perl_side.is_some() {
        // After an exit, what a plugin has printed is still in its handle.
        crate::perl::stdio::flush();
    }
    session.transport.flush_blocking();
    ended
}

fn conversation(session: &Rc<Session>) -> Result<(), Exited> {
    let perl = session.perl_side.as_ref();
    let idle = match perl {
        Some(perl) => {
            let port: Rc<dyn Port> = Rc::new(SessionPort(Rc::downgrade(session)));
            Some({
                let environment = session.environment();
                perl.host
                    .begin_session(port, &environment)
                    .map_err(|_| Exited)?
            })
        }
        None => {
            session.loaded.config.begin_session();
            None
        }
    };
    let machine = session::conversation(session.state.clone());
    session.pump.run(async {
        tokio::select! {
            biased;
            _ = drive(session.clone(), machine) => Ok(()),
            () = session.exited() => Err(Exited),
        }
    })?;
    session.let_go();
    session.run_perl(|_| Ok(()))?;
    if let (Some(perl), Some(idle)) = (perl, idle) {
        perl.host.end_session(idle).map_err(|_| Exited)?;
        release_dropped().map_err(|_| Exited)?;
    }
    Ok(())
}

/// Who the client is, and its address where its name is still to be looked up.
fn client(rdns: bool) -> Result<(Connection, Option<IpAddr>), OneSessionError> {
    if let Some(ip) = variable("TCPREMOTEIP") {
        return Ok((told_by_environment(ip), None));
    }
    let peer = rustix::net::getpeername(stdio::stdin());
    let peer = peer.map(|peer| peer.and_then(|peer| SocketAddr::try_from(peer).ok()));
    match peer {
        Ok(Some(peer)) => {
            let address = peer.ip().to_canonical();
            let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
            let known = rdns.then(|| name_in_hosts(&hosts, address)).flatten();
            // In the end, what there is without a name.
            let look_up = (rdns && known.is_none()).then_some(address);
            let name = known.unwrap_or_else(|| format!("[{address}]")).into_bytes();
            let connection = Connection::default();
            let ip = address.to_string().into_bytes();
            connection.remote_ip.replace(Some(ip));
            // A name of the machine's own table is nobody else's here, as it is in the original.
            connection.remote_host.replace(Some(name.clone()));
            connection.remote_info.replace(Some(name));
            Ok((connection, look_up))
        }
        Ok(None) => Err(no_client("its other end has no IP address", 1)),
        Err(errno) => {
            let reason = crate::config::reason(&errno.into());
            Err(no_client(&reason, errno.raw_os_error()))
        }
    }
}

/// The name in the machine's own table, which the original asks before the DNS here.
fn name_in_hosts(hosts: &str, address: IpAddr) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next()?;
        let mut words = line.split_whitespace();
        let found: IpAddr = words.next()?.parse().ok()?;
        (found == address).then(|| words.next().map(str::to_owned))?
    })
}

fn no_client(reason: &str, status: i32) -> OneSessionError {
    OneSessionError {
        message: format!(
            "camelpost: standard input is no client's socket ({reason}), and TCPREMOTEIP is not \
             set: to be started by tcpserver, inetd or a similar program, else use \
             `camelpost serve`"
        ),
        status,
    }
}

/// The variables of tcpserver and its kin.
fn told_by_environment(ip: Vec<u8>) -> Connection {
    let host = variable("TCPREMOTEHOST").unwrap_or_else(|| [b"[", &ip[..], b"]"].concat());
    let info = match variable("TCPREMOTEINFO") {
        Some(user) => [&user[..], b"@", &host].concat(),
        None => host.clone(),
    };
    let connection = Connection::default();
    connection.tell(REMOTE_IP, &connection.remote_ip, ip);
    connection.tell(REMOTE_HOST, &connection.remote_host, host);
    connection.tell(REMOTE_INFO, &connection.remote_info, info);
    if let Some(ip) = variable("TCPLOCALIP") {
        connection.tell(LOCAL_IP, &connection.local_ip, ip);
    }
    if let Some(port) = port("TCPREMOTEPORT") {
        connection.tell_port(REMOTE_PORT, &connection.remote_port, port);
    }
    if let Some(port) = port("TCPLOCALPORT") {
        connection.tell_port(LOCAL_PORT, &connection.local_port, port);
    }
    connection
}

fn variable(name: &str) -> Option<Vec<u8>> {
    let value = std::env::var_os(name)?.into_vec();
    (!value.is_empty()).then_some(value)
}

fn port(name: &str) -> Option<i64> {
    std::str::from_utf8(&variable(name)?).ok()?.parse().ok()
}

/// The client's stream. The descriptors 0 and 1 stay, for Perl.
pub(in crate::net) fn transport() -> std::io::Result<Transport> {
    let (input, output) = (stdio::stdin(), stdio::stdout());
    for end in [input, output] {
        // Perl plugins and the programs they start expect a stream that waits.
        rustix::io::ioctl_fionbio(end, false)?;
    }
    let own = |end: BorrowedFd<'_>| -> std::io::Result<OwnedFd> {
        Ok(rustix::io::fcntl_dupfd_cloexec(end, 3)?)
    };
    if same_socket(input, output) {
        Transport::new(own(input)?)
    } else {
        Transport::pair(own(input)?, own(output)?)
    }
}

fn same_socket(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => {
            FileType::from_raw_mode(one.st_mode) == FileType::Socket
                && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        }
        _ => false,
    }
}

/// inetd puts the client on standard error, too: the log must not be sent to it.
fn take_log_from_client() -> std::io::Result<()> {
    if same_socket(stdio::stdin(), stdio::stderr()) {
        stdio::dup2_stderr(open_null()?.as_fd())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_address_in_the_table_counts() {
        let hosts = "# a table\n127.0.0.1 localhost other # 192.0.2.1 no\n::1\tip6-localhost\n";
        let name = |address: &str| name_in_hosts(hosts, address.parse().unwrap());
        assert_eq!(name("127.0.0.1").as_deref(), Some("localhost"));
        assert_eq!(name("::1").as_deref(), Some("ip6-localhost"));
        assert_eq!(name("192.0.2.1"), None);
    }
}
