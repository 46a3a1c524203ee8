//! The bench's SMTP client for many connections at a time: asynchronous, on one thread, so that it
//! costs little itself. Speaks only what the bench needs, and takes any unexpected reply for a
//! failure. Its errors are plain text, since tasks pass them on.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;
use crate::site::{RECIPIENT, SENDER};

/// What tasks end with.
pub type Outcome<T> = std::result::Result<T, String>;

/// For one reply. Ample on a busy machine, and short enough to end a hang.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Clients come from this many addresses: one alone has too few ports for many connections.
const SOURCES: usize = 16;

/// One connection.
pub struct Talk {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Talk {
    /// Connects as the client of this number, which only chooses the address it comes from.
    pub async fn open(port: u16, number: usize) -> Outcome<Self> {
        let cannot = |error| format!("cannot connect to port {port}: {error}");
        let source = Ipv4Addr::new(127, 0, 0, (number % SOURCES) as u8 + 1);
        let socket = TcpSocket::new_v4().map_err(cannot)?;
        socket.bind((source, 0).into()).map_err(cannot)?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let connected = timeout(TIMEOUT, socket.connect(server)).await;
        let stream = connected
            .map_err(|_| format!("no connection to port {port} after {TIMEOUT:?}"))?
            .map_err(cannot)?;
        stream.set_nodelay(true).map_err(cannot)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// As far as EHLO.
    pub async fn connect(port: u16, number: usize) -> Outcome<Self> {
        let mut talk = Self::open(port, number).await?;
        talk.greeting().await?;
        talk.hello().await?;
        Ok(talk)
    }

    pub async fn greeting(&mut self) -> Outcome<()> {
        self.expect("the greeting", b'2').await
    }

    pub async fn hello(&mut self) -> Outcome<()> {
        self.command("EHLO client.example", b'2').await
    }

    pub async fn send_message(&mut self, message: &[u8]) -> Outcome<()> {
        self.command(&format!("MAIL FROM:<{SENDER}>"), b'2').await?;
        self.command(&format!("RCPT TO:<{RECIPIENT}>"), b'2')
            .await?;
        self.command("DATA", b'3').await?;
        self.send(message).await?;
        self.expect("the end of DATA", b'2').await
    }

    /// Ends when the server has closed: its work for this client is done then, or nearly so.
    pub async fn quit(mut self) -> Outcome<()> {
        self.command("QUIT", b'2').await?;
        let mut rest = Vec::new();
        let end = timeout(TIMEOUT, self.stream.read_to_end(&mut rest)).await;
        end.map_err(|_| format!("still open {TIMEOUT:?} after QUIT"))?
            .map_err(|error| format!("after QUIT: {error}"))?;
        Ok(())
    }

    async fn command(&mut self, line: &str, wanted: u8) -> Outcome<()> {
        self.send(format!("{line}\r\n").as_bytes()).await?;
        self.expect(line, wanted).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        let sent = timeout(TIMEOUT, self.stream.write_all(bytes)).await;
        sent.map_err(|_| format!("not taken after {TIMEOUT:?}"))?
            .map_err(|error| format!("cannot send: {error}"))
    }

    /// Reads a reply, which has to begin with this digit.
    async fn expect(&mut self, what: &str, wanted: u8) -> Outcome<()> {
        loop {
            let line = timeout(TIMEOUT, self.line()).await;
            let line = line
                .map_err(|_| format!("no reply to {what} after {TIMEOUT:?}"))?
                .map_err(|error| format!("no reply to {what}: {error}"))?;
            if line.first() != Some(&wanted) {
                return Err(format!(
                    "reply to {what}: {}",
                    String::from_utf8_lossy(&line)
                ));
            }
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    async fn line(&mut self) -> Outcome<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                return Ok(self.unread.drain(..=end).collect());
            }
            let mut buffer = [0; 1024];
            let read = self.stream.read(&mut buffer).await;
            match read.map_err(|error| error.to_string())? {
                0 => return Err(String::from("closed")),
                length => self.unread.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

/// Connection, one message, QUIT.
pub async fn session(port: u16, number: usize, message: &[u8]) -> Outcome<()> {
    let mut talk = Talk::connect(port, number).await?;
    talk.send_message(message).await?;
    talk.quit().await
}

/// Does the work for each item, for so many at a time.
pub async fn for_each<T, Made, Work>(
    items: impl IntoIterator<Item = T>,
    at_once: usize,
    work: impl Fn(T) -> Work,
) -> Outcome<Vec<Made>>
where
    Made: Send + 'static,
    Work: Future<Output = Outcome<Made>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut made = Vec::new();
    for item in items {
        while running.len() >= at_once
            && let Some(done) = running.join_next().await
        {
            made.push(joined(done)?);
        }
        running.spawn(work(item));
    }
    while let Some(done) = running.join_next().await {
        made.push(joined(done)?);
    }
    Ok(made)
}

pub fn joined<T>(done: std::result::Result<Outcome<T>, tokio::task::JoinError>) -> Outcome<T> {
    done.map_err(|error| format!("a client broke off: {error}"))?
}

/// Runs this client on a thread of its own making, the caller's.
pub fn run<T>(work: impl Future<Output = Outcome<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(work)?)
}

/// The CPU time that this program has used so far: the client's, none of any server's.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Allows this program as many open files as it may have; fails where those are too few.
pub fn need_files(wanted: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum;
    if most.is_some_and(|most| most < wanted as u64) {
        return Err(format!(
            "{wanted} open files are needed, and the limit is {}: raise it (ulimit -Hn) or ask \
             for fewer connections",
            most.unwrap_or(0)
        )
        .into());
    }
    let all = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, all)?;
    Ok(())
}

/// Times of single events, by rank.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this share of them do not exceed; 1.0: the longest.
    pub fn rank(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort();
        let place = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied()
    }
}
