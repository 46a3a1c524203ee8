//! One zygote as the supervisor holds it. A reload makes a second one beside it: whatever
//! belongs to one loaded configuration hangs on its generation.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::event::Event;
use super::facts::Names;
use super::sandbox::Sandbox;
use crate::server::ipc::bounded::Bounded;
use crate::server::ipc::channel::{Channel, MAX_MESSAGE, Received, Wait};
use crate::server::ipc::message::{FromZygote, ToWorker, ToZygote};
use crate::server::process;
use crate::server::process::SharedPage;
use crate::server::service::progress::LONG;
use crate::server::service::settings::ZygoteCommand;

/// How long a zygote may take to end once its control socket is closed.
const END: Duration = Duration::from_secs(2);

/// Words of a zygote that wait for the supervisor. It says one for each worker's beginning and end.
const WORDS: usize = 256;

/// A setting of the allocator (mimalloc), which reads it before main: with huge pages in view it
/// takes and keeps memory by 2 MiB, in each worker.
const ALLOCATOR: &str = "MIMALLOC_ALLOW_THP";

/// What the supervisor holds of a worker that is being forked.
pub(super) struct Starting {
    pub(super) link: Channel,
    pub(super) page: SharedPage,
}

pub(super) struct Generation {
    control: Rc<AsyncFd<Channel>>,
    /// When its load began.
    pub(super) begun: SystemTime,
    process: AbortHandle,
    /// Everything is loaded.
    pub(super) ready: bool,
    /// What the numbers on its workers' pages stand for.
    pub(super) names: Rc<Names>,
    /// Workers asked for and not yet there.
    starting: HashMap<u64, Starting>,
}

impl Generation {
    /// Starts a zygote, which begins to load at once, as the user if that is not who runs this process; its
    /// workers enter the sandbox. What it says comes as events. `prepare` sees to its environment.
    pub(super) fn start(
        number: u64,
        (user, sandbox): (Option<&str>, Sandbox),
        command: &ZygoteCommand,
        prepare: impl FnOnce(&mut std::process::Command),
        events: UnboundedSender<Event>,
    ) -> io::Result<Generation> {
        let begun = SystemTime::now();
        let (ours, theirs) = Channel::pair()?;
        let begin = ToZygote::Begin {
            user: user.map(str::to_owned),
            sandbox,
            load: number,
        };
        ours.send(&begin.encode(), None, Wait::No)?;
        let mut process = Command::new(&command.program);
        if let Some(name) = &command.arg0 {
            process.arg0(name);
        }
        prepare(process.as_std_mut());
        if std::env::var_os(ALLOCATOR).is_none() {
            process.env(ALLOCATOR, "0");
        }
        // A process group of its own: ^C in a terminal is for the supervisor, which stops the
        // workers in order.
        let child = process
            .args(&command.args)
            .stdin(Stdio::from(theirs.into_descriptor()))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let control = Rc::new(process::readiness(ours, Interest::READABLE)?);
        let events = Bounded::new(events, WORDS);
        let task = tokio::task::spawn_local(listen(number, control.clone(), child, events));
        Ok(Generation {
            control,
            begun,
            process: task.abort_handle(),
            ready: false,
            names: Rc::default(),
            starting: HashMap::new(),
        })
    }

    /// Asks for a worker.
    pub(super) fn fork(&mut self, worker: u64) -> io::Result<()> {
        let (ours, theirs) = Channel::pair()?;
        let memory = SharedPage::create()?;
        let page = SharedPage::map(&memory)?;
        let given = ToWorker::Page.encode();
        ours.send(&given, Some(memory.as_fd()), Wait::No)?;
        let request = ToZygote::Fork { worker }.encode();
        self.control
            .get_ref()
            .send(&request, Some(theirs.as_fd()), Wait::No)?;
        self.starting.insert(worker, Starting { link: ours, page });
        Ok(())
    }

    /// What is held of a worker that was asked for, now that it is there or will not come.
    pub(super) fn started(&mut self, worker: u64) -> Option<Starting> {
        self.starting.remove(&worker)
    }

    pub(super) fn starting(&self) -> usize {
        self.starting.len()
    }

    /// Tells the zygote that stdout and stderr are no more to be used.
    pub(super) fn silence(&self) -> io::Result<()> {
        self.control
            .get_ref()
            .send(&ToZygote::Silence.encode(), None, Wait::No)
    }

    /// The zygote's stderr, and so that of its workers to come, leads there.
    pub(super) fn log_to(&self, log: BorrowedFd<'_>) -> io::Result<()> {
        let control = self.control.get_ref();
        control.send(&ToZygote::Log.encode(), Some(log), Wait::No)
    }

    /// Has the zygote see to what this worker of another has left behind.
    pub(super) fn clean_up(&self, pid: i32) -> io::Result<()> {
        self.control
            .get_ref()
            .send(&ToZygote::CleanUp { pid }.encode(), None, Wait::No)
    }

    /// Lets the zygote end. One that still loads plugins does not listen and is killed.
    pub(super) fn retire(&self) {
        let control = self.control.get_ref();
        let leave = || control.send(&ToZygote::Leave.encode(), None, Wait::No);
        if self.ready && leave().is_ok() {
            control.shut();
        } else {
            self.process.abort();
        }
    }
}

/// Passes on what a zygote says until it has ended.
async fn listen(
    generation: u64,
    control: Rc<AsyncFd<Channel>>,
    mut child: Child,
    bounded: Bounded<Event>,
) {
    let mut buffer = vec![0; MAX_MESSAGE];
    let mut loading = None;
    loop {
        let heard = match &loading {
            Some(_) => tokio::time::timeout(LONG, control.readable()).await,
            None => Ok(control.readable().await),
        };
        let mut ready = match heard {
            Ok(Ok(ready)) => ready,
            Ok(Err(_)) => break,
            Err(_late) => {
                let what: String = loading.take().unwrap_or_default();
                tracing::warn!(
                    "{what}: still loading after {} seconds; nothing new is served before that has \
                     ended",
                    LONG.as_secs()
                );
                continue;
            }
        };
        let Some(room) = bounded.room().await else {
            break;
        };
        match ready.try_io(|control| control.get_ref().receive(&mut buffer, Wait::No)) {
            Ok(Ok(Received::Message { len, descriptor })) => {
                let Some(message) = FromZygote::decode(&buffer[..len]) else {
                    break;
                };
                loading = None;
                if let FromZygote::Loading { what } = message {
                    loading = Some(what);
                    continue;
                }
                let event = Event::Zygote {
                    generation,
                    message,
                    descriptor,
                    room,
                };
                if bounded.events.send(event).is_err() {
                    return;
                }
            }
            Ok(Ok(Received::Closed) | Err(_)) => break,
            Err(_would_block) => {}
        }
    }
    let status = match tokio::time::timeout(END, child.wait()).await {
        Ok(status) => status.ok(),
        Err(_late) => {
            let _ = child.kill().await;
            None
        }
    };
    let _ = bounded
        .events
        .send(Event::ZygoteEnded { generation, status });
}
