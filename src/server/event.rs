//! What the supervisor reacts to: the words of the processes and callers that it hears, and of signals. What
//! each of them means is the supervisor's.

#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use tokio::sync::oneshot;

use super::control::message::{Command, Outcome};
use super::front::listen::Connection;
use super::ipc::bounded::Room;
use super::ipc::message::{FromWorker, FromZygote, ProcessEnd};

/// What the supervisor reacts to.
pub(in crate::server) enum Event {
    Connection(Connection),
    Zygote {
        generation: u64,
        message: FromZygote,
        descriptor: Option<OwnedFd>,
        room: Room,
    },
    ZygoteEnded {
        generation: u64,
        status: Option<ExitStatus>,
    },
    Worker {
        worker: u64,
        word: Word,
        room: Room,
    },
    LinkClosed {
        worker: u64,
    },
    /// Seen by its pidfd, because its zygote is gone.
    WorkerEnded {
        worker: u64,
    },
    /// The end of a worker, after everything that it has said.
    WorkerGone {
        worker: u64,
        end: Option<ProcessEnd>,
        last_words: Vec<Word>,
    },
    Stop,
    Reload,
    /// From the control socket, or for the metrics.
    Control(Asked),
    Upgrade,
    /// Behind the last connection of a process that was replaced.
    Retire,
    Successor(FromSuccessor),
    Predecessor(FromPredecessor),
    /// Time to tell the service manager that this loop still turns.
    Alive,
}

/// A request with the way back.
pub(in crate::server) struct Asked {
    pub(in crate::server) command: Command,
    pub(in crate::server) answer: oneshot::Sender<Outcome>,
}

/// What a worker says, and the descriptor that came with it.
pub(in crate::server) type Word = (FromWorker, Option<OwnedFd>);

/// What the running process hears of the new one.
#[derive(Debug)]
pub(in crate::server) enum FromSuccessor {
    Ready { pid: u32 },
    Failed { why: String },
    Stop,
}

/// What the new process hears of the running one.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) enum FromPredecessor {
    LetGo,
    Gone,
}
