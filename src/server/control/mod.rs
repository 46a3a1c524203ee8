//! The control socket: takes the requests of `camelpost status`, `reload`, `upgrade` and
//! `drain` and hands them to the supervisor as events. It decides nothing and never waits in the supervisor's
//! loop: each caller has a task, a time and a length for its line.

#![forbid(unsafe_code)]

mod changed;
mod client;
mod memory;
pub(super) mod message;
mod place;
mod search;
pub(crate) mod shown;
mod status;
mod trust;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, oneshot};

use super::event::{Asked, Event};

pub(super) use changed::KnownFiles;
pub use client::{ask, ask_within, control_path, control_paths};
pub use message::{Command, Outcome};
pub use place::ControlPlace;
pub(super) use place::ControlSocket;
pub(super) use place::{open, prepare};
pub use status::{
    CallStatus, ChangedFiles, Counters, DurationClass, FailedReload, Limits, LoadStatus,
    PluginStatus, QuarantineStatus, SessionState, SessionStatus, SharingKind, SharingStatus,
    StageRefusals, Status, WorkerState, WorkerStatus,
};

/// For `crate::fuzz`: a request that is understood is understood again when it is said again; an answer
/// has nothing in it that acts on a terminal but the lines of an error, and is then the same answer.
pub(super) fn fuzz(bytes: &[u8]) {
    match message::parse(bytes) {
        Ok(command) => {
            let version = message::VERSION;
            let request = message::Request { version, command };
            let line = message::line(&request);
            assert_eq!(message::parse(&line), Ok(request.command));
        }
        Err(text) => assert!(!text.contains(char::is_control)),
    }
    if let Ok(answer) = serde_json::from_slice(bytes).map(shown::shown) {
        assert_eq!(shown::shown(answer.clone()), answer);
        let acts = |character: char| character.is_control() && !"\n\t".contains(character);
        let texts = answer.as_object().into_iter().flatten();
        for (name, value) in texts {
            assert!(!name.contains(char::is_control));
            assert!(!value.as_str().is_some_and(|text| text.contains(acts)));
        }
    }
}

/// Callers at a time; further ones wait in the kernel.
const CALLERS: u32 = 32;
const MAX_REQUEST: usize = 4096;
/// How long a caller may take to send its line, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The callers that are being served.
#[derive(Clone)]
pub(super) struct Callers(std::sync::Arc<Semaphore>);

impl Callers {
    /// Returns when no caller is left.
    pub(super) async fn gone(&self) {
        // One place is held by whoever comes next. The semaphore is never closed.
        let _ = self.0.acquire_many(CALLERS - 1).await;
    }
}

/// Serves the socket until the supervisor's loop is over. Needs a LocalSet.
pub(super) fn serve(socket: &ControlSocket, events: UnboundedSender<Event>) -> io::Result<Callers> {
    let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
    let callers = Callers(std::sync::Arc::new(Semaphore::new(CALLERS as usize)));
    let places = callers.0.clone();
    tokio::task::spawn_local(async move {
        while let Ok(place) = places.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let events = events.clone();
                    tokio::task::spawn_local(async move {
                        // A caller that goes away has no answer; that is all the same to us.
                        let _ = converse(stream, &events).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    drop(place);
                    tracing::error!("control socket: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    });
    Ok(callers)
}

async fn converse(mut stream: UnixStream, events: &UnboundedSender<Event>) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let request = tokio::time::timeout(PATIENCE, read_line(&mut stream))
        .await
        .map_err(late)??;
    let outcome = match request.and_then(|line| message::parse(&line)) {
        Ok(command) => query(events, command).await,
        Err(error) => Outcome::Failed { error },
    };
    let reply = message::line(&message::Reply {
        version: message::VERSION,
        outcome,
    });
    tokio::time::timeout(PATIENCE, stream.write_all(&reply))
        .await
        .map_err(late)?
}

/// A line; the inner error is for the caller.
async fn read_line(stream: &mut UnixStream) -> io::Result<Result<Vec<u8>, String>> {
    let mut line = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let len = stream.read(&mut buffer).await?;
        line.extend_from_slice(&buffer[..len]);
        let end = memchr::memchr(b'\n', &line);
        if end.unwrap_or(line.len()) > MAX_REQUEST {
            return Ok(Err(format!(
                "not a request: longer than {MAX_REQUEST} bytes"
            )));
        }
        if len == 0 || end.is_some() {
            line.truncate(end.unwrap_or(line.len()));
            return Ok(Ok(line));
        }
    }
}

/// Puts a request to the supervisor and completes the answer.
pub(super) async fn query(events: &UnboundedSender<Event>, command: Command) -> Outcome {
    let (answer, outcome) = oneshot::channel();
    let asked = Event::Control(Asked { command, answer });
    let outcome = match events.send(asked) {
        Ok(()) => outcome.await.ok(),
        Err(_) => None,
    };
    match outcome {
        Some(Outcome::Status(mut status)) => {
            memory::fill_in(&mut status.workers).await;
            if let Some((known, load)) = status.known_files.take().zip(status.loaded.as_mut()) {
                load.changed = known.changed().await;
            }
            Outcome::Status(status)
        }
        Some(outcome) => outcome,
        None => Outcome::Failed {
            error: "the service is stopping".to_owned(),
        },
    }
}
