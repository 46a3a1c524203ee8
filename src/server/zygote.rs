//! The zygote: loads everything, then only forks workers and reaps them. One thread, no
//! runtime, no decision of its own: the supervisor says when to fork.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_parent_process_death_signal, wait,
    waitpid,
};

use super::engine::Engine;
use super::ledger;
use super::sandbox::{Confinement, Sandbox};
use super::title::{SESSION_TITLE, set_title};
use crate::server::ipc::channel::{Channel, Received, Wait};
use crate::server::ipc::link::WorkerLink;
use crate::server::ipc::message::{FromZygote, PROTOCOL, ProcessEnd, ToZygote};
use crate::server::process;
use crate::server::service::log_file::become_log;
use crate::server::service::privileges;
use crate::server::service::progress;

/// How long workers have to end by themselves when the supervisor is gone.
const LAST: Duration = Duration::from_secs(5);

struct Child {
    worker: u64,
    pid: Pid,
    pidfd: OwnedFd,
}

/// What the engine has to do for the loop.
enum Chore {
    BeforeFork,
    /// This one has ended.
    AfterWorker(u32),
}

/// Why the loop of the zygote was left.
enum Left {
    /// In the zygote: it is of no more use.
    Told,
    /// The same where the supervisor is gone.
    Supervisor,
    /// In a fresh worker.
    Child(WorkerLink),
}

/// The whole life of a zygote process, and of each worker forked from it; gives the exit status.
/// Standard input must be the control socket of the supervisor that started it.
pub fn run_zygote<E: Engine>(engine: &E) -> i32 {
    let control = match take_control() {
        Ok(control) => control,
        Err(problem) => {
            eprintln!("camelpost: {problem}");
            return 1;
        }
    };
    process::catch_sigpipe();
    let sandbox = match begin(&control) {
        Ok((user, sandbox, load)) => {
            set_title(&format!("camelpost: zygote (load {load})"));
            // Before the next line: what is asked for there is forgotten when the user changes.
            let became = match user {
                Some(name) => privileges::become_worker(&name),
                None => privileges::remain_worker(),
            };
            if let Err(message) = became {
                let message = format!("camelpost: {message}");
                let _ = control.send(&FromZygote::Failed { message }.encode(), None, Wait::Yes);
                return 1;
            }
            sandbox
        }
        Err(_gone) => return 1,
    };
    // A supervisor that dies while plugins load is noticed by this, later by the control socket.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    if control_closed(&control) {
        return 1;
    }

    let mut loaded = match progress::told_by(&control, || engine.load()) {
        Ok(loaded) => loaded,
        Err(message) => {
            let _ = control.send(&FromZygote::Failed { message }.encode(), None, Wait::Yes);
            return 1;
        }
    };
    // It has workers to see to from now on.
    let _ = set_parent_process_death_signal(None);
    let facts = engine.facts(&loaded);
    crate::base::log::set_level(facts.log_level);
    if process::threads() > 1 {
        tracing::warn!(
            "a plugin has started threads while it loaded; the workers will not have them"
        );
    }
    let confinement = match confinement(engine, sandbox, &loaded) {
        Ok(confinement) => confinement,
        Err(message) => {
            let _ = control.send(&FromZygote::Failed { message }.encode(), None, Wait::Yes);
            return 1;
        }
    };
    let names = FromZygote::Names {
        names: engine.names(&loaded),
    };
    let ready = FromZygote::Ready {
        protocol: PROTOCOL,
        facts,
    };
    let ledger = match ledger::make(&engine.quarantine_rules(&loaded), &engine.sharing(&loaded)) {
        Ok(ledger) => ledger,
        Err(error) => {
            let message =
                format!("camelpost: cannot make the memory that its workers share: {error}");
            let _ = control.send(&FromZygote::Failed { message }.encode(), None, Wait::Yes);
            return 1;
        }
    };
    let ledger = ledger.as_ref().map(AsFd::as_fd);
    if control.send(&names.encode(), ledger, Wait::Yes).is_err() {
        return 1;
    }
    if control.send(&ready.encode(), None, Wait::Yes).is_err() {
        return 1;
    }
    let chores = |chore: Chore| match chore {
        Chore::BeforeFork => engine.before_fork(&mut loaded),
        Chore::AfterWorker(pid) => engine.after_worker(&mut loaded, pid),
    };
    let mut children = Vec::new();
    match serve(&control, &mut children, chores) {
        Left::Told => 0,
        Left::Supervisor => {
            if !was_told(&control) {
                outlive(&mut children);
            }
            0
        }
        Left::Child(link) => {
            // What is the zygote's alone is closed.
            drop((control, children));
            set_title("camelpost: worker");
            // The supervisor could not tell which of its sessions have begun.
            let status = match link.attach_page() && is_confined(confinement) {
                true => engine.work(loaded, link),
                false => 1,
            };
            process::exit_now(status)
        }
    }
}

/// What workers are to give up, tried out.
fn confinement<E: Engine>(
    engine: &E,
    sandbox: Sandbox,
    loaded: &E::Loaded,
) -> Result<Confinement, String> {
    let writable = match sandbox.is_none() {
        true => Vec::new(),
        false => engine.writable(loaded)?,
    };
    let prepared = sandbox.prepare(writable);
    prepared.map_err(|problem| format!("camelpost: {problem}"))
}

/// In a worker, before anything of a plugin's runs: without its sandbox it serves nobody.
fn is_confined(confinement: Confinement) -> bool {
    match confinement.enter() {
        Ok(_) => true,
        Err(problem) => {
            tracing::error!("a worker could not start: {problem}");
            false
        }
    }
}

/// As whom to run, what workers give up, and which load this is: the supervisor's first message.
fn begin(control: &Channel) -> io::Result<(Option<String>, Sandbox, u64)> {
    let mut buffer = [0; 1024];
    let unknown = || io::Error::other("the supervisor did not say as whom to run");
    match control.receive(&mut buffer, Wait::Yes)? {
        Received::Message { len, .. } => match ToZygote::decode(&buffer[..len]) {
            Some(ToZygote::Begin {
                user,
                sandbox,
                load,
            }) => Ok((user, sandbox, load)),
            _ => Err(unknown()),
        },
        Received::Closed => Err(unknown()),
    }
}

/// Moves the control socket from descriptor 0 to one that no plugin's program inherits.
fn take_control() -> Result<Channel, String> {
    let stdin = rustix::stdio::stdin();
    let control = rustix::io::fcntl_dupfd_cloexec(stdin, 3)
        .ok()
        .and_then(Channel::from_descriptor)
        .ok_or("`zygote` is started by `camelpost serve` itself, not by hand")?;
    File::open("/dev/null")
        .and_then(|null| Ok(rustix::stdio::dup2_stdin(null)?))
        .map_err(|error| format!("cannot open /dev/null: {error}"))?;
    Ok(control)
}

fn control_closed(control: &Channel) -> bool {
    let mut polled = [PollFd::new(control, PollFlags::RDHUP)];
    let now = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Forks and reaps until the supervisor closes the control socket. Returns in each worker too.
fn serve(control: &Channel, children: &mut Vec<Child>, mut chores: impl FnMut(Chore)) -> Left {
    let mut buffer = [0; 256];
    loop {
        let mut polled = Vec::with_capacity(children.len() + 1);
        polled.push(PollFd::new(control, PollFlags::IN));
        polled.extend(
            children
                .iter()
                .map(|child| PollFd::new(&child.pidfd, PollFlags::IN)),
        );
        if let Err(error) = poll(&mut polled, None)
            && error != rustix::io::Errno::INTR
        {
            eprintln!("{} zygote: poll: {error}", std::process::id());
            return Left::Supervisor;
        }
        let asked = !polled[0].revents().is_empty();
        let ended = polled[1..].iter().any(|child| !child.revents().is_empty());
        drop(polled);

        if ended && reap(control, children, &mut chores).is_err() {
            return Left::Supervisor;
        }
        if !asked {
            continue;
        }
        let (len, descriptor) = match control.receive(&mut buffer, Wait::No) {
            Ok(Received::Message { len, descriptor }) => (len, descriptor),
            Ok(Received::Closed) => return Left::Supervisor,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Left::Supervisor,
        };
        match (ToZygote::decode(&buffer[..len]), descriptor) {
            (Some(ToZygote::Fork { worker }), Some(link)) => {
                chores(Chore::BeforeFork);
                let told = match process::fork() {
                    Ok(None) => {
                        process::reset_signals();
                        return match Channel::from_descriptor(link) {
                            Some(link) => Left::Child(WorkerLink::new(link)),
                            None => process::exit_now(1),
                        };
                    }
                    Ok(Some(pid)) => welcome(control, children, worker, pid),
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or(0);
                        let refusal = FromZygote::NotForked { worker, errno };
                        control.send(&refusal.encode(), None, Wait::Yes)
                    }
                };
                if told.is_err() {
                    return Left::Supervisor;
                }
            }
            (Some(ToZygote::Silence), _) => silence(),
            (Some(ToZygote::Leave), _) => return Left::Told,
            (Some(ToZygote::Log), Some(log)) => become_log(log),
            // Out of descriptors: it stays where it leads.
            (Some(ToZygote::Log), None) => {}
            (Some(ToZygote::CleanUp { pid }), _) => chores(Chore::AfterWorker(pid.unsigned_abs())),
            // Out of descriptors: the one that came with the request was dropped by the kernel.
            (Some(ToZygote::Fork { worker }), None) => {
                let refusal = FromZygote::NotForked {
                    worker,
                    errno: libc::EMFILE,
                };
                if control.send(&refusal.encode(), None, Wait::Yes).is_err() {
                    return Left::Supervisor;
                }
            }
            (Some(ToZygote::Begin { .. }) | None, _) => return Left::Supervisor,
        }
    }
}

/// Whether the supervisor had said that this is the end, and nobody has read it yet.
fn was_told(control: &Channel) -> bool {
    let mut buffer = [0; 256];
    while let Ok(Received::Message { len, .. }) = control.receive(&mut buffer, Wait::No) {
        let message = buffer.get(..len).and_then(ToZygote::decode);
        if message == Some(ToZygote::Leave) {
            return true;
        }
    }
    false
}

/// The supervisor is gone without having told anybody to stop: its workers see that and end their sessions, but for
/// one whose plugin hangs, which nobody else would ever end.
fn outlive(children: &mut Vec<Child>) {
    let end = Instant::now() + LAST;
    let sessions: Vec<Child> = children.iter().flat_map(own_sessions).collect();
    children.extend(sessions);
    while !children.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        let mut polled: Vec<_> = children
            .iter()
            .map(|child| PollFd::new(&child.pidfd, PollFlags::IN))
            .collect();
        let left = rustix::time::Timespec::try_from(left).ok();
        let ended = match poll(&mut polled, left.as_ref()) {
            Ok(0) => break,
            Ok(_) => polled.iter().map(|one| !one.revents().is_empty()).collect(),
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => vec![],
        };
        if ended.is_empty() {
            break;
        }
        let mut ended = ended.into_iter();
        children.retain(|_| !ended.next().unwrap_or_default());
    }
    for child in children.iter() {
        let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
    }
}

/// The processes that a worker has forked for sessions of its.
fn own_sessions(worker: &Child) -> Vec<Child> {
    let pid = worker.pid;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let is_session = |pid: &Pid| {
        let title = std::fs::read(format!("/proc/{pid}/cmdline"));
        title.is_ok_and(|title| title.starts_with(SESSION_TITLE.as_bytes()))
    };
    let pids = children
        .split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
    let open = |pid| {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Child {
            worker: worker.worker,
            pid,
            pidfd,
        })
    };
    pids.filter(is_session).filter_map(open).collect()
}

/// Reports a new child. Its pid cannot have been used again yet, for nobody has reaped it.
fn welcome(control: &Channel, children: &mut Vec<Child>, worker: u64, pid: Pid) -> io::Result<()> {
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => {
            let forked = FromZygote::Forked {
                worker,
                pid: pid.as_raw_nonzero().get(),
            };
            control.send(&forked.encode(), Some(pidfd.as_fd()), Wait::Yes)?;
            children.push(Child { worker, pid, pidfd });
            Ok(())
        }
        Err(errno) => {
            // Without a pidfd it could neither be watched nor killed.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
            let refusal = FromZygote::NotForked {
                worker,
                errno: errno.raw_os_error(),
            };
            control.send(&refusal.encode(), None, Wait::Yes)
        }
    }
}

/// Reaps every child that has ended: workers, and whatever plugins started while they loaded.
fn reap(
    control: &Channel,
    children: &mut Vec<Child>,
    chores: &mut impl FnMut(Chore),
) -> io::Result<()> {
    // Any child: a plugin may have put its worker into a process group of its own.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let Some(place) = children.iter().position(|child| child.pid == pid) else {
            continue;
        };
        let child = children.swap_remove(place);
        let end = match status.terminating_signal() {
            Some(signal) => ProcessEnd::Signal(signal),
            None => ProcessEnd::Status(status.exit_status().unwrap_or(-1)),
        };
        chores(Chore::AfterWorker(
            pid.as_raw_nonzero().get().unsigned_abs(),
        ));
        let exited = FromZygote::Exited {
            worker: child.worker,
            end,
        };
        control.send(&exited.encode(), None, Wait::Yes)?;
    }
    Ok(())
}

fn silence() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}
