//! Workers in which a plugin says things in the worker's name: what is said of another worker's
//! session changes nothing, and nobody fills the supervisor's memory.

use crate::daemon::Daemon;

/// The sessions of a fresh daemon's first two clients, as the supervisor counts them.
const FIRST: u64 = 1;
const SECOND: u64 = 2;

crate::tests! {
    a_worker_takes_no_other_worker_s_client_its_421_away,
    a_worker_ends_no_other_worker_s_session,
    a_worker_that_talks_without_end_takes_no_memory_of_the_supervisor_s,
}

fn a_worker_takes_no_other_worker_s_client_its_421_away() {
    let daemon = Daemon::start(&[]);
    let mut liar = daemon.connect();
    let mut other = daemon.connect();
    assert_ne!(liar.pid(), other.pid());
    liar.send_line(&format!("SAYS SECURED {SECOND}"));
    assert_eq!(liar.line(), "250 said\r\n");
    let told = other.end("ABORT");
    assert!(told.starts_with("421 4.3.0 "), "{told:?}");
    // Of its own session it is believed.
    liar.send_line(&format!("SAYS SECURED {FIRST}"));
    assert_eq!(liar.line(), "250 said\r\n");
    assert_eq!(liar.end("ABORT"), "");
}

fn a_worker_ends_no_other_worker_s_session() {
    let daemon = Daemon::start(&[]);
    let mut liar = daemon.connect();
    let mut other = daemon.connect();
    liar.send_line(&format!("SAYS DONE {SECOND}"));
    assert_eq!(liar.line(), "250 said\r\n");
    assert!(other.end("ABORT").starts_with("421 4.3.0 "));
}

/// The most that a process has had in memory, in KiB.
fn most_resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.unwrap().trim().strip_suffix(" kB").unwrap();
    size.parse().unwrap()
}

fn a_worker_that_talks_without_end_takes_no_memory_of_the_supervisor_s() {
    let daemon = Daemon::start(&[]);
    let mut liar = daemon.connect();
    let before = most_resident(daemon.child.id());
    liar.send_line("SAYS STAYED 100000");
    assert_eq!(liar.line(), "250 said\r\n");
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
    let after = most_resident(daemon.child.id());
    assert!(after - before < 4096, "from {before} to {after} KiB");
    // The liar's own session goes on.
    assert_eq!(liar.end("QUIT"), "221 bye\r\n");
}
