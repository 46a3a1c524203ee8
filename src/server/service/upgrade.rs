//! The two ends of an upgrade in place: a running service starts the program that is on disk now
//! and passes it the listening sockets and the pid file; the new one says when it can serve. What
//! each does about it is the supervisor's.
//!
//! The new process finds a channel on descriptor 0 and its version in an environment variable. The
//! running one says: each socket, the pid file, where the count of sessions goes on, the end of these;
//! later that it has let go. The new
//! one says: that it is ready or why not; later that the service stops.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::server::event::{Event, FromPredecessor, FromSuccessor};
use crate::server::front::activation;
use crate::server::front::listen::Bound;
use crate::server::ipc::channel::{Channel, MAX_MESSAGE, Received, Wait};
use crate::server::process;

/// `VERSION NICE`: of this conversation, and the nice level that the service was started with.
pub(in crate::server) const VARIABLE: &str = "CAMELPOST_UPGRADE";
const VERSION: u32 = 2;
/// The oldest version that this program takes over from. 1 did not say how far sessions were counted.
const OLDEST: u32 = 1;

/// How long a new process that has failed may take to end.
const END: Duration = Duration::from_secs(2);

/// What is said, and the tag that it is said by.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Socket,
    PidFile,
    /// The number of the new process's first session.
    Sessions(u64),
    /// Nothing more is passed.
    End,
    /// The running process accepts no more.
    LetGo,
    Ready,
    Failed(String),
    Stop,
}

impl Word {
    fn encode(&self) -> Vec<u8> {
        match self {
            Word::Socket => b"S".to_vec(),
            Word::PidFile => b"P".to_vec(),
            Word::End => b"E".to_vec(),
            Word::LetGo => b"L".to_vec(),
            Word::Ready => b"R".to_vec(),
            Word::Stop => b"X".to_vec(),
            Word::Sessions(first) => format!("N{first}").into_bytes(),
            Word::Failed(why) => {
                let mut bytes = b"F".to_vec();
                bytes.extend(why.bytes().take(MAX_MESSAGE - 1));
                bytes
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Word> {
        Some(match bytes {
            b"S" => Word::Socket,
            b"P" => Word::PidFile,
            b"E" => Word::End,
            b"L" => Word::LetGo,
            b"R" => Word::Ready,
            b"X" => Word::Stop,
            [b'N', first @ ..] => Word::Sessions(std::str::from_utf8(first).ok()?.parse().ok()?),
            [b'F', why @ ..] => Word::Failed(String::from_utf8_lossy(why).into_owned()),
            _ => return None,
        })
    }
}

fn say(channel: &Channel, word: &Word, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    channel.send(&word.encode(), descriptor, Wait::No)
}

/// The next word; none once the other end is gone or says what nobody understands.
async fn hear(channel: &AsyncFd<Channel>) -> Option<Word> {
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let mut ready = channel.readable().await.ok()?;
        match ready.try_io(|channel| channel.get_ref().receive(&mut buffer, Wait::No)) {
            Ok(Ok(Received::Message { len, .. })) => return Word::decode(&buffer[..len]),
            Ok(Ok(Received::Closed) | Err(_)) => return None,
            Err(_would_block) => {}
        }
    }
}

/// The new process, as the running one holds it.
pub(in crate::server) struct Successor {
    channel: Rc<AsyncFd<Channel>>,
    /// Dropped before it is ready, this ends it.
    _cancel: oneshot::Sender<()>,
}

impl Successor {
    /// Starts the program that this one was started as, with the same arguments. What it says comes
    /// as events, and something does within `limit`. `prepare` sees to its environment.
    pub(in crate::server) fn start(
        sockets: &[BorrowedFd<'_>],
        pid_file: Option<BorrowedFd<'_>>,
        first_session: u64,
        nice: i32,
        limit: Duration,
        prepare: impl FnOnce(&mut std::process::Command),
        events: UnboundedSender<Event>,
    ) -> io::Result<Successor> {
        let (ours, theirs) = Channel::pair()?;
        for socket in sockets {
            say(&ours, &Word::Socket, Some(*socket))?;
        }
        if pid_file.is_some() {
            say(&ours, &Word::PidFile, pid_file)?;
        }
        say(&ours, &Word::Sessions(first_session), None)?;
        say(&ours, &Word::End, None)?;

        let mut arguments = crate::base::arguments().iter();
        let mut command = Command::new(crate::base::program_path());
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        for name in activation::VARIABLES {
            command.env_remove(name);
        }
        prepare(command.as_std_mut());
        let child = command
            .args(arguments)
            .env(VARIABLE, format!("{VERSION} {nice}"))
            // It names this process; the time that systemd gives is meant for the new one, too.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(theirs.into_descriptor()))
            .spawn()?;
        let channel = Rc::new(process::readiness(ours, Interest::READABLE)?);
        let (cancel, cancelled) = oneshot::channel();
        let task = attend(channel.clone(), child, cancelled, limit, events);
        tokio::task::spawn_local(task);
        Ok(Successor {
            channel,
            _cancel: cancel,
        })
    }

    /// This process accepts no more.
    pub(in crate::server) fn let_go(&self) {
        // One that has ended since says nothing any more.
        let _ = say(self.channel.get_ref(), &Word::LetGo, None);
    }
}

/// Follows the new process from its start to its end.
async fn attend(
    channel: Rc<AsyncFd<Channel>>,
    mut child: Child,
    cancelled: oneshot::Receiver<()>,
    limit: Duration,
    events: UnboundedSender<Event>,
) {
    let pid = child.id().unwrap_or_default();
    let failed = tokio::select! {
        word = hear(&channel) => match word {
            Some(Word::Ready) => None,
            Some(Word::Failed(why)) => Some(Some(why)),
            _ => Some(None),
        },
        () = tokio::time::sleep(limit) => {
            let _ = child.kill().await;
            Some(Some(format!(
                "the new process did not say within {} seconds (--upgrade-timeout) that it is ready",
                limit.as_secs()
            )))
        }
        _ = cancelled => {
            let _ = child.kill().await;
            return;
        }
    };
    if let Some(why) = failed {
        let status = end(&mut child).await;
        let why = why.unwrap_or_else(|| {
            format!("the new process ended ({status}) before it said that it is ready")
        });
        let _ = events.send(Event::Successor(FromSuccessor::Failed { why }));
        return;
    }
    let _ = events.send(Event::Successor(FromSuccessor::Ready { pid }));
    while let Some(word) = hear(&channel).await {
        if word == Word::Stop {
            let _ = events.send(Event::Successor(FromSuccessor::Stop));
        }
    }
    // It is this process's to reap.
    let _ = child.wait().await;
}

/// Sees to the end of a new process that has failed; gives how it ended.
async fn end(child: &mut Child) -> String {
    let ended = match tokio::time::timeout(END, child.wait()).await {
        Ok(status) => status.ok(),
        Err(_late) => {
            let _ = child.kill().await;
            None
        }
    };
    ended.map_or_else(|| "killed".to_owned(), |status| status.to_string())
}

/// The running process, as the new one holds it.
pub(in crate::server) struct Predecessor {
    line: Rc<Channel>,
    pub(in crate::server) sockets: Vec<Bound>,
    pub(in crate::server) pid_file: Option<File>,
    /// The number of the first session here.
    pub(in crate::server) first_session: Option<u64>,
}

/// For the new process: a way to say something to the running one.
#[derive(Clone)]
pub(in crate::server) struct Line {
    channel: Rc<Channel>,
    /// Whether it is listened to, so that its end will be heard.
    is_heard: Cell<bool>,
}

/// The nice level that the service was first started with, where this process upgrades it.
pub(in crate::server) fn nice_level() -> Option<i32> {
    let value = std::env::var(VARIABLE).ok()?;
    value.split_once(' ')?.1.parse().ok()
}

impl Predecessor {
    /// Takes what the running process passes; none if this process upgrades nothing. The error is
    /// one line.
    pub(in crate::server) fn take() -> Result<Option<Predecessor>, String> {
        let Ok(value) = std::env::var(VARIABLE) else {
            return Ok(None);
        };
        let channel = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
            .ok()
            .and_then(Channel::from_descriptor)
            .ok_or_else(|| {
                format!(
                    "the variable {VARIABLE} is set by a running service for its upgrade; unset it"
                )
            })?;
        let null = File::open("/dev/null").and_then(|null| Ok(rustix::stdio::dup2_stdin(null)?));
        null.map_err(|error| format!("cannot open /dev/null: {error}"))?;
        let mut predecessor = Predecessor {
            line: Rc::new(channel),
            sockets: Vec::new(),
            pid_file: None,
            first_session: None,
        };
        let taken = predecessor
            .check(&value)
            .and_then(|()| predecessor.receive());
        match taken {
            Ok(()) => Ok(Some(predecessor)),
            Err(why) => {
                predecessor.drain();
                predecessor.line().failed(&why);
                Err(why)
            }
        }
    }

    /// Takes what is left unread: closing with it would reset the channel, and may take the reason
    /// along.
    fn drain(&self) {
        let mut buffer = [0; 64];
        while let Ok(Received::Message { .. }) = self.line.receive(&mut buffer, Wait::No) {}
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let version = value.split(' ').next().unwrap_or_default();
        if (OLDEST..=VERSION).any(|known| known.to_string() == version) {
            return Ok(());
        }
        Err(format!(
            "the running service hands over by version {version}, this program takes versions \
             {OLDEST} to {VERSION}: stop the service and start it again"
        ))
    }

    /// Everything was sent before this process began.
    fn receive(&mut self) -> Result<(), String> {
        let mut buffer = [0; 64];
        let broken = |what: &str| format!("the running service did not hand over all: {what}");
        loop {
            let received = self.line.receive(&mut buffer, Wait::No);
            let (word, descriptor): (_, Option<OwnedFd>) = match received {
                Ok(Received::Message { len, descriptor }) => {
                    (Word::decode(&buffer[..len]), descriptor)
                }
                Ok(Received::Closed) => return Err(broken("it has ended")),
                Err(error) => return Err(broken(&error.to_string())),
            };
            match (word, descriptor) {
                (Some(Word::Socket), Some(socket)) => {
                    let bound = activation::adopt(socket).map_err(|found| broken(&found))?;
                    self.sockets.push(bound);
                }
                (Some(Word::PidFile), Some(file)) => self.pid_file = Some(File::from(file)),
                (Some(Word::Sessions(first)), None) => self.first_session = Some(first),
                (Some(Word::End), None) if !self.sockets.is_empty() => return Ok(()),
                (word, _) => return Err(broken(&format!("{word:?} came unexpectedly"))),
            }
        }
    }

    pub(in crate::server) fn line(&self) -> Line {
        Line {
            channel: self.line.clone(),
            is_heard: Cell::new(false),
        }
    }
}

impl Line {
    pub(in crate::server) fn ready(&self) -> io::Result<()> {
        say(&self.channel, &Word::Ready, None)
    }

    pub(in crate::server) fn failed(&self, why: &str) {
        // One that is gone need not be told.
        let _ = say(&self.channel, &Word::Failed(why.to_owned()), None);
    }

    /// The service stops: the old process is not to go on with its sessions for as long as they
    /// like.
    pub(in crate::server) fn stop(&self) {
        let _ = say(&self.channel, &Word::Stop, None);
    }

    /// Whether an event will tell of the old process's end.
    pub(in crate::server) fn is_heard(&self) -> bool {
        self.is_heard.get()
    }

    /// Sends as events what the running process says from now on. Needs a LocalSet.
    pub(in crate::server) fn listen(&self, events: UnboundedSender<Event>) -> io::Result<()> {
        let second = rustix::io::fcntl_dupfd_cloexec(self.channel.as_fd(), 3)?;
        let second = Channel::from_descriptor(second)
            .ok_or_else(|| io::Error::other("the channel of the upgrade is none"))?;
        let channel = process::readiness(second, Interest::READABLE)?;
        self.is_heard.set(true);
        tokio::task::spawn_local(async move {
            while let Some(word) = hear(&channel).await {
                if word == Word::LetGo {
                    let _ = events.send(Event::Predecessor(FromPredecessor::LetGo));
                }
            }
            let _ = events.send(Event::Predecessor(FromPredecessor::Gone));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_as_they_were_said() {
        for word in [
            Word::Socket,
            Word::PidFile,
            Word::Sessions(u64::MAX),
            Word::End,
            Word::LetGo,
            Word::Ready,
            Word::Stop,
            Word::Failed("no plugin".to_owned()),
        ] {
            assert_eq!(Word::decode(&word.encode()), Some(word));
        }
        assert_eq!(Word::decode(b""), None);
        assert_eq!(Word::decode(b"SS"), None);
        assert_eq!(Word::decode(b"Nx"), None);
    }

    #[test]
    fn a_long_reason_fits_into_a_message() {
        let long = Word::Failed("x".repeat(2 * MAX_MESSAGE)).encode();
        assert_eq!(long.len(), MAX_MESSAGE);
    }
}
