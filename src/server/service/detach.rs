//! `--detach`: goes on in a child of its own session. The process that was started waits until
//! the child listens or has failed, so that its exit status and its messages mean something.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::process::{WaitOptions, waitpid};

use crate::server::process;

/// In the detached process: how to let the waiting parent go.
pub(in crate::server) struct Detached(File);

/// Forks. In the child it returns; in the parent it ends the process with the child's outcome.
/// To be called while there is one thread.
pub(in crate::server) fn detach() -> io::Result<Detached> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match process::fork()? {
        None => {
            drop(read);
            rustix::process::setsid()?;
            let null = File::open("/dev/null")?;
            rustix::stdio::dup2_stdin(null)?;
            Ok(Detached(File::from(write)))
        }
        Some(child) => {
            drop(write);
            let mut word = [0];
            if matches!(File::from(read).read(&mut word), Ok(1)) {
                process::exit_now(0);
            }
            // It has said on stderr what was wrong.
            let status = match waitpid(Some(child), WaitOptions::empty()) {
                Ok(Some((_, status))) => status.exit_status().unwrap_or(1),
                _ => 1,
            };
            process::exit_now(status)
        }
    }
}

impl Detached {
    /// The service is up: closes the terminal's descriptors and lets the parent go. `keeps_log`: stderr is
    /// none of them any more.
    pub(in crate::server) fn ready(mut self, keeps_log: bool) -> io::Result<()> {
        let null = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&null)?;
        if !keeps_log {
            rustix::stdio::dup2_stderr(&null)?;
        }
        // A parent that was killed meanwhile is no reason to stop.
        let _ = self.0.write_all(b"1");
        Ok(())
    }
}
