//! The sandbox of workers (`--sandbox`): what each of them gives up, for good, between its fork and its first
//! client, and with it every process and program that comes of it. `landlock.rs` has what is written to,
//! `seccomp.rs` which system calls fail. Tried out in a process of its own once everything is loaded, so that
//! a kernel which lacks something ends the start and no worker runs without it.
//!
//! It does not hold back reading, running programs, TCP, UDP, connecting to Unix sockets, or signals: those are
//! file permissions' and `--worker-user`'s. The supervisor and the zygote, which runs what plugins do while they
//! load, are outside of it.

#![forbid(unsafe_code)]

mod landlock;
#[cfg(all(
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod seccomp;
#[cfg(not(all(
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "sandbox/no_seccomp.rs"]
mod seccomp;

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};

use super::process;

/// A part of the sandbox, as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SandboxPart {
    /// Files are written to beneath certain directories only.
    Landlock,
    /// System calls that no mail plugin needs fail.
    Seccomp,
}

/// The parts that were asked for; none is no sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sandbox {
    pub landlock: bool,
    pub seccomp: bool,
}

impl FromIterator<SandboxPart> for Sandbox {
    fn from_iter<I: IntoIterator<Item = SandboxPart>>(parts: I) -> Sandbox {
        let mut sandbox = Sandbox::default();
        for part in parts {
            match part {
                SandboxPart::Landlock => sandbox.landlock = true,
                SandboxPart::Seccomp => sandbox.seccomp = true,
            }
        }
        sandbox
    }
}

impl Sandbox {
    pub(super) fn is_none(self) -> bool {
        self == Sandbox::default()
    }

    /// As it is said between processes.
    pub(super) fn bits(self) -> u8 {
        u8::from(self.landlock) | u8::from(self.seccomp) << 1
    }

    pub(super) fn from_bits(bits: u8) -> Option<Sandbox> {
        let sandbox = Sandbox {
            landlock: bits & 1 != 0,
            seccomp: bits & 2 != 0,
        };
        (sandbox.bits() == bits).then_some(sandbox)
    }

    /// Everything that workers need to enter it, tried out; `writable` is what the configuration says that
    /// sessions write to. To be called in the zygote when everything is loaded. The error is one line.
    pub(super) fn prepare(self, writable: Vec<PathBuf>) -> Result<Confinement, String> {
        if self.is_none() {
            return Ok(Confinement::default());
        }
        let (mut confinement, mut beneath) = (Confinement::default(), String::new());
        if self.landlock {
            let (files, paths) = landlock::Files::beneath(writable)?;
            confinement.files = Some(files);
            beneath = paths;
        }
        if self.seccomp {
            confinement.calls = Some(seccomp::program()?);
        }
        let found = confinement.try_out()?;
        let landlock = format!("landlock ({found}; writing only beneath {beneath})");
        let parts = [
            (self.landlock, landlock),
            (self.seccomp, "seccomp".to_owned()),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(there, part)| there.then_some(part))
            .collect();
        tracing::info!(
            "Plugins run in a sandbox: {}; no program gains rights by its file (as with --no-new-privs)",
            parts.join(", ")
        );
        Ok(confinement)
    }
}

/// What a worker enters; empty where there is no sandbox.
#[derive(Debug, Default)]
pub(super) struct Confinement {
    files: Option<landlock::Files>,
    calls: Option<seccomp::Program>,
}

impl Confinement {
    /// Gives up what the sandbox takes, for good: in a process of one thread, before any code of a plugin
    /// runs there. What is left open for it is closed. Gives what the kernel has of landlock.
    pub(super) fn enter(self) -> Result<String, String> {
        let found = self.files.map(landlock::Files::enter).transpose()?;
        if let Some(calls) = self.calls {
            seccomp::enter(&calls)?;
        }
        Ok(found.unwrap_or_default())
    }

    /// Enters it in a process that ends then: what workers will find.
    fn try_out(&self) -> Result<String, String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            format!("--sandbox: cannot try it out: {what}: {error}")
        };
        let copy = Confinement {
            files: match &self.files {
                Some(files) => Some(files.copy().map_err(|error| failed("dup", &error))?),
                None => None,
            },
            calls: self.calls.clone(),
        };
        let (heard, told) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("pipe", &error))?;
        match process::fork().map_err(|error| failed("fork", &error))? {
            None => {
                let (mark, text) = match copy.enter() {
                    Ok(found) => (GOOD, found),
                    Err(problem) => (BAD, problem),
                };
                // Who does not hear it finds that nothing was said.
                let _ = File::from(told).write_all(format!("{mark}{text}").as_bytes());
                process::exit_now(0)
            }
            Some(child) => {
                drop(told);
                let mut said = String::new();
                let read = File::from(heard).read_to_string(&mut said);
                // Gone already where a plugin ignores SIGCHLD.
                let _ = waitpid(Some(child), WaitOptions::empty());
                read.map_err(|error| failed("read", &error))?;
                match (said.strip_prefix(GOOD), said.strip_prefix(BAD)) {
                    (Some(found), _) => Ok(found.to_owned()),
                    (None, Some(problem)) => Err(problem.to_owned()),
                    (None, None) => Err(failed("the process that tried it", &"said nothing")),
                }
            }
        }
    }
}

const GOOD: char = '+';
const BAD: char = '-';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_comes_back_from_its_bits_and_from_no_others() {
        for bits in 0..4 {
            assert_eq!(Sandbox::from_bits(bits).map(Sandbox::bits), Some(bits));
        }
        for bits in 4..=u8::MAX {
            assert_eq!(Sandbox::from_bits(bits), None);
        }
        let both: Sandbox = [
            SandboxPart::Seccomp,
            SandboxPart::Landlock,
            SandboxPart::Seccomp,
        ]
        .into_iter()
        .collect();
        assert_eq!(both.bits(), 3);
        assert!(Sandbox::default().is_none());
    }
}
