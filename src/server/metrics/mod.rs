//! The metrics endpoint: `GET /metrics` for Prometheus and `GET /healthz` for monitors, as little HTTP as that takes. A scraper
//! that is slow, or means harm, costs one of a few places for some seconds and nothing else.

#![forbid(unsafe_code)]

mod request;
mod text;

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

use self::request::{Page, Refusal, Request};
use super::control::{Command, Outcome, query};
use super::event::Event;

/// Scrapers at a time; one that comes then has the place of another that is idle.
const SCRAPERS: usize = 8;
/// How long a scraper has its place for sure, from its coming on, while it is answered.
const RESPONSE: Duration = Duration::from_secs(1);
/// How long a scraper may take for its request, and for the response.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read of a scraper after its response, so that closing does not take that away.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;
/// How often, and how long apart, an address that is still in use is tried after an upgrade.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

const OK: &str = "200 OK";

/// Where metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsAddress {
    pub address: SocketAddr,
    /// Others than this machine may be able to reach it.
    pub public: bool,
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<MetricsAddress, String> {
        match text.parse() {
            Ok(address) => Ok(MetricsAddress {
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
pub(super) fn is_free_of_mail(wanted: MetricsAddress, mail: &[SocketAddr]) -> Result<(), String> {
    let MetricsAddress { address, .. } = wanted;
    let (ip, port) = (address.ip().to_canonical(), address.port());
    let clash = mail.iter().find(|mail| {
        let same = mail.ip() == ip || mail.ip().is_unspecified() || ip.is_unspecified();
        same && mail.port() == port && port > 0
    });
    match clash {
        Some(mail) => Err(format!(
            "cannot serve metrics on {address}: mail is received on {mail}; choose another --metrics"
        )),
        None => Ok(()),
    }
}

/// Takes the address; who connects is served once the supervisor runs.
pub(super) fn bind(wanted: MetricsAddress) -> Result<TcpListener, String> {
    let MetricsAddress { address, public } = wanted;
    if !public && !address.ip().to_canonical().is_loopback() {
        return Err(format!(
            "cannot serve metrics on {address}: not a loopback address, and others could read \
             them; add --metrics-public if they may"
        ));
    }
    let listener = TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "the address is in use: stop the program that \
                    listens there, or choose another --metrics"
                    .to_owned(),
                io::ErrorKind::AddrNotAvailable => {
                    "this machine does not have that address: check --metrics".to_owned()
                }
                _ => format!("{}; check --metrics", crate::config::reason(&error)),
            };
            format!("cannot serve metrics on {address}: {hint}")
        })?;
    Ok(listener)
}

/// Serves until the supervisor's loop is over; says where. Needs a LocalSet.
pub(super) fn serve(
    listener: TcpListener,
    events: UnboundedSender<Event>,
) -> io::Result<(SocketAddr, AbortHandle)> {
    let address = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let task = tokio::task::spawn_local(accept(listener, events));
    Ok((address, task.abort_handle()))
}

/// The same for an address that another process of this service is about to let go.
pub(super) async fn serve_when_free(wanted: MetricsAddress, events: UnboundedSender<Event>) {
    let mut tries = 0;
    let listener = loop {
        tries += 1;
        let bound = bind(wanted).and_then(|listener| {
            tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string())
        });
        match bound {
            Ok(listener) => break listener,
            Err(problem) if tries == TRIES => return tracing::error!("{problem}"),
            Err(_) => tokio::time::sleep(BETWEEN_TRIES).await,
        }
    };
    accept(listener, events).await;
}

async fn accept(listener: tokio::net::TcpListener, events: UnboundedSender<Event>) {
    let mut scrapers = Scrapers::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                scrapers.make_room().await;
                scrapers.serve(stream, &events);
                // One that has said something already is heard before others come.
                tokio::task::yield_now().await;
            }
            Err(error) => {
                tracing::error!("metrics: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Those that are being served, in the order of their coming.
#[derive(Default)]
struct Scrapers {
    tasks: JoinSet<()>,
    places: VecDeque<Served>,
}

struct Served {
    task: AbortHandle,
    /// Whether there is nothing to do for it but to wait: for its request, or for its end.
    idle: Rc<Cell<bool>>,
    since: Instant,
}

impl Scrapers {
    /// Whoever comes has a place: that of the one that has been idle for longest, else of one that does
    /// not take its response.
    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.places.retain(|place| !place.task.is_finished());
            if self.places.len() < SCRAPERS {
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

    fn serve(&mut self, stream: TcpStream, events: &UnboundedSender<Event>) {
        let idle = Rc::new(Cell::new(true));
        let (waits, events) = (idle.clone(), events.clone());
        let task = self.tasks.spawn_local(async move {
            // Whoever hangs up early does not want the response.
            let _ = converse(stream, &waits, &events).await;
        });
        let since = Instant::now();
        self.places.push_back(Served { task, idle, since });
    }
}

async fn converse(
    mut stream: TcpStream,
    idle: &Cell<bool>,
    events: &UnboundedSender<Event>,
) -> io::Result<()> {
    let request = match tokio::time::timeout(PATIENCE, read_head(&mut stream)).await {
        Ok(head) => head?.and_then(|head| request::parse(&head)),
        Err(_late) => Err(Refusal::TOO_SLOW),
    };
    idle.set(false);
    let response = match request {
        Ok((request, page)) => match query(events, wanted(page)).await {
            Outcome::Status(status) => match page {
                Page::Metrics => response(request, OK, text::CONTENT_TYPE, &text::metrics(&status)),
                Page::Health => health(request, status.trouble()),
            },
            _ => Refusal::STOPPING.response(),
        },
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

fn wanted(page: Page) -> Command {
    Command::Status {
        sessions: false,
        plugins: page == Page::Metrics,
        files: false,
    }
}

/// The request up to the empty line, or what came before the scraper's end of it.
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

/// Whether mail is taken, and why not.
fn health(request: Request, trouble: Option<&str>) -> Vec<u8> {
    let (status, text) = match trouble {
        None => (OK, "ok"),
        Some(why) => (request::UNAVAILABLE, why),
    };
    response(request, status, request::PLAIN, &format!("{text}\n"))
}

fn response(request: Request, status: &str, content_type: &str, text: &str) -> Vec<u8> {
    let mut response = request::head(status, content_type, text.len(), "");
    if request == Request::Get {
        response.push_str(text);
    }
    response.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_its_port() {
        assert!("127.0.0.1:9125".parse::<MetricsAddress>().is_ok());
        for wrong in ["127.0.0.1", "9125", "localhost:9125", "::1:9125x", ""] {
            assert!(wrong.parse::<MetricsAddress>().is_err(), "{wrong}");
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
            let wanted = MetricsAddress {
                address: at(address),
                public: true,
            };
            assert_eq!(is_free_of_mail(wanted, &mail).is_ok(), free, "{address}");
        }
    }

    #[test]
    fn only_loopback_is_served_unless_told_otherwise() {
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let wanted = |address, public| MetricsAddress { address, public };
        assert!(
            bind(wanted(any, false))
                .unwrap_err()
                .contains("--metrics-public")
        );
        assert!(bind(wanted(any, true)).is_ok());
        assert!(bind(wanted("127.0.0.2:0".parse().unwrap(), false)).is_ok());
        let mapped = "[::ffff:192.0.2.1]:0".parse().unwrap();
        assert!(
            bind(wanted(mapped, false))
                .unwrap_err()
                .contains("not a loopback")
        );
    }
}
