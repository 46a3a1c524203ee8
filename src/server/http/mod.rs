//! What the daemon serves by HTTP, each on an address of its own: metrics, and the page for people. As little
//! HTTP as that takes. A client that is slow, or means harm, costs one of a few places for some seconds and nothing
//! else. What is served, a [`Site`] says.

#![forbid(unsafe_code)]

mod request;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, JoinSet};

pub(super) use self::request::{Head, PLAIN, Refusal, UNAVAILABLE};
use super::control::{Command, Outcome, Status, query};
use super::event::Event;

/// Clients at a time; one that comes then has the place of another that is idle.
const CLIENTS: usize = 8;
/// How long a client has its place for sure, from its coming on, while it is answered.
const RESPONSE: Duration = Duration::from_secs(1);
/// How long a client may take for its request, and for the response.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read of a client after its response, so that closing does not take that away.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;
/// How often, and how long apart, an address that is still in use is tried after an upgrade.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

pub(super) const OK: &str = "200 OK";

/// What is served on an address: its pages are the values.
pub(super) trait Site: Copy + Send + 'static {
    /// For errors: what it is, and the option that names its address. With `-public` that lets others than this
    /// machine see it.
    const WHAT: &'static str;
    const OPTION: &'static str;
    /// Whether it is private to this machine, unless others may see it: a browser is then not to be led here by
    /// a name of somebody else's (DNS rebinding).
    const IS_PRIVATE: bool;

    /// Which page is asked for.
    fn page(head: &Head) -> Result<Self, Refusal>;

    /// What has to be asked of the supervisor for it.
    fn command(self) -> Option<Command>;

    /// The page; with a status where one was asked for.
    fn answer(self, status: Option<&Status>) -> Answer;
}

/// A response.
pub(super) struct Answer {
    pub(super) status: &'static str,
    pub(super) content_type: &'static str,
    /// Lines with their ends.
    pub(super) headers: &'static str,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn new(status: &'static str, content_type: &'static str, text: String) -> Answer {
        Answer {
            status,
            content_type,
            headers: "",
            text,
        }
    }

    fn bytes(&self, head: &Head) -> Vec<u8> {
        let mut response = request::head(
            self.status,
            self.content_type,
            self.text.len(),
            self.headers,
        );
        if !head.is_head {
            response.push_str(&self.text);
        }
        response.into_bytes()
    }
}

/// Where something is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpAddress {
    pub address: SocketAddr,
    /// Others than this machine may be able to reach it.
    pub public: bool,
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<HttpAddress, String> {
        match text.parse() {
            Ok(address) => Ok(HttpAddress {
                address,
                public: false,
            }),
            Err(_) => Err(format!(
                "`{text}` is not an IP address with a port, such as 127.0.0.1:9125 or [::1]:9125"
            )),
        }
    }
}

/// The mail sockets do not listen yet, so that the kernel would give their address away.
pub(super) fn is_free_of_mail<S: Site>(
    wanted: HttpAddress,
    mail: &[SocketAddr],
) -> Result<(), String> {
    let HttpAddress { address, .. } = wanted;
    let (ip, port) = (address.ip().to_canonical(), address.port());
    let clash = mail.iter().find(|mail| {
        let same = mail.ip() == ip || mail.ip().is_unspecified() || ip.is_unspecified();
        same && mail.port() == port && port > 0
    });
    match clash {
        Some(mail) => Err(format!(
            "cannot serve {} on {address}: mail is received on {mail}; choose another {}",
            S::WHAT,
            S::OPTION
        )),
        None => Ok(()),
    }
}

/// Takes the address; who connects is served once the supervisor runs.
pub(super) fn bind<S: Site>(wanted: HttpAddress) -> Result<TcpListener, String> {
    let HttpAddress { address, public } = wanted;
    let (what, option) = (S::WHAT, S::OPTION);
    if !public && !address.ip().to_canonical().is_loopback() {
        return Err(format!(
            "cannot serve {what} on {address}: not a loopback address, and others could read \
             it; add {option}-public if they may"
        ));
    }
    let listener = TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => format!(
                    "the address is in use: stop the program that listens there, or choose another {option}"
                ),
                io::ErrorKind::AddrNotAvailable => {
                    format!("this machine does not have that address: check {option}")
                }
                _ => format!("{}; check {option}", crate::config::reason(&error)),
            };
            format!("cannot serve {what} on {address}: {hint}")
        })?;
    Ok(listener)
}

/// Serves until the supervisor's loop is over; says where. Needs a LocalSet.
pub(super) fn serve<S: Site>(
    wanted: HttpAddress,
    listener: TcpListener,
    events: UnboundedSender<Event>,
) -> io::Result<(SocketAddr, AbortHandle)> {
    let address = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let task = tokio::task::spawn_local(accept::<S>(wanted.public, listener, events));
    Ok((address, task.abort_handle()))
}

/// The same for an address that another process of this service is about to let go.
pub(super) async fn serve_when_free<S: Site>(wanted: HttpAddress, events: UnboundedSender<Event>) {
    let mut tries = 0;
    let listener = loop {
        tries += 1;
        let bound = bind::<S>(wanted).and_then(|listener| {
            tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string())
        });
        match bound {
            Ok(listener) => break listener,
            Err(problem) if tries == TRIES => return tracing::error!("{problem}"),
            Err(_) => tokio::time::sleep(BETWEEN_TRIES).await,
        }
    };
    accept::<S>(wanted.public, listener, events).await;
}

async fn accept<S: Site>(
    public: bool,
    listener: tokio::net::TcpListener,
    events: UnboundedSender<Event>,
) {
    let mut clients = Clients::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.make_room().await;
                clients.serve::<S>(public, stream, &events);
                // One that has said something already is heard before others come.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::error!("{}: {error}", S::WHAT);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Those that are being served, in the order of their coming.
#[derive(Default)]
struct Clients {
    tasks: JoinSet<()>,
    places: VecDeque<Served>,
}

struct Served {
    task: AbortHandle,
    /// Whether there is nothing to do for it but to wait: for its request, or for its end.
    idle: Rc<Cell<bool>>,
    since: Instant,
}

impl Clients {
    /// Whoever comes has a place: that of the one that has been idle for longest, else of one that does
    /// not take its response.
    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.places.retain(|place| !place.task.is_finished());
            if self.places.len() < CLIENTS {
                return;
            }
            let slow = |place: &Served| place.since.elapsed() >= RESPONSE;
            let idle = self.places.iter().position(|place| place.idle.get());
            if let Some(at) = idle.or_else(|| self.places.iter().position(slow))
                && let Some(place) = self.places.remove(at)
            {
                return place.task.abort();
            }
            // All are being answered.
            let _ = tokio::time::timeout(RESPONSE, self.tasks.join_next()).await;
        }
    }

    fn serve<S: Site>(&mut self, public: bool, stream: TcpStream, events: &UnboundedSender<Event>) {
        let idle = Rc::new(Cell::new(true));
        let (waits, events) = (idle.clone(), events.clone());
        let task = self.tasks.spawn_local(async move {
            // Whoever hangs up early does not want the response.
            let _ = converse::<S>(public, stream, &waits, &events).await;
        });
        let since = Instant::now();
        self.places.push_back(Served { task, idle, since });
    }
}

async fn converse<S: Site>(
    public: bool,
    mut stream: TcpStream,
    idle: &Cell<bool>,
    events: &UnboundedSender<Event>,
) -> io::Result<()> {
    let asked = match tokio::time::timeout(PATIENCE, read_head(&mut stream)).await {
        Ok(head) => head?.and_then(|head| request::parse(&head)),
        Err(_late) => Err(Refusal::TOO_SLOW),
    };
    idle.set(false);
    let asked =
        asked.and_then(
            |head| match S::IS_PRIVATE && !public && !head.is_for_this_machine() {
                true => Err(Refusal::MISDIRECTED),
                false => Ok(head),
            },
        );
    let asked = asked.and_then(|head| S::page(&head).map(|page| (head, page)));
    let response = match asked {
        Ok((head, page)) => answer(page, events)
            .await
            .map_or_else(Refusal::response, |answer| answer.bytes(&head)),
        Err(refusal) => refusal.response(),
    };
    let sent = tokio::time::timeout(PATIENCE, async {
        stream.write_all(&response).await?;
        stream.shutdown().await
    });
    sent.await
        .map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))??;
    idle.set(true);
    let _ = tokio::time::timeout(LINGER, read_away(&mut stream)).await;
    Ok(())
}

async fn answer<S: Site>(page: S, events: &UnboundedSender<Event>) -> Result<Answer, Refusal> {
    let Some(command) = page.command() else {
        return Ok(page.answer(None));
    };
    match query(events, command).await {
        Outcome::Status(status) => Ok(page.answer(Some(&status))),
        _ => Err(Refusal::STOPPING),
    }
}

/// The request up to the empty line, or what came before the client's end of it.
async fn read_head(stream: &mut TcpStream) -> io::Result<Result<Vec<u8>, Refusal>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let len = stream.read(&mut buffer).await?;
        head.extend_from_slice(&buffer[..len]);
        if len == 0 || request::is_whole(&head) {
            return Ok(Ok(head));
        }
        if head.len() > request::MAX_HEAD {
            return Ok(Err(Refusal::TOO_LONG));
        }
    }
}

async fn read_away(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let mut left = LINGER_BYTES;
    while let Ok(len) = stream.read(&mut buffer).await
        && len > 0
        && len < left
    {
        left -= len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::metrics::Metrics;

    #[test]
    fn an_address_needs_its_port() {
        assert!("127.0.0.1:9125".parse::<HttpAddress>().is_ok());
        for wrong in ["127.0.0.1", "9125", "localhost:9125", "::1:9125x", ""] {
            assert!(wrong.parse::<HttpAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_for_mail_is_none_for_metrics() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let mail = [at("127.0.0.1:25"), at("[::]:26")];
        for (address, free) in [
            ("127.0.0.1:25", false),
            ("127.0.0.2:25", true),
            ("127.0.0.1:26", false),
            ("[::ffff:127.0.0.1]:25", false),
            ("0.0.0.0:25", false),
            ("127.0.0.1:27", true),
            ("127.0.0.1:0", true),
        ] {
            let wanted = HttpAddress {
                address: at(address),
                public: true,
            };
            assert_eq!(
                is_free_of_mail::<Metrics>(wanted, &mail).is_ok(),
                free,
                "{address}"
            );
        }
    }

    #[test]
    fn only_loopback_is_served_unless_told_otherwise() {
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let wanted = |address, public| HttpAddress { address, public };
        assert!(
            bind::<Metrics>(wanted(any, false))
                .unwrap_err()
                .contains("--metrics-public")
        );
        assert!(bind::<Metrics>(wanted(any, true)).is_ok());
        assert!(bind::<Metrics>(wanted("127.0.0.2:0".parse().unwrap(), false)).is_ok());
        let mapped = "[::ffff:192.0.2.1]:0".parse().unwrap();
        assert!(
            bind::<Metrics>(wanted(mapped, false))
                .unwrap_err()
                .contains("not a loopback")
        );
    }
}
