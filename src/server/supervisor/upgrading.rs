//! The upgrade of the program in place, seen from the process that is replaced and from the one
//! that replaces it. The first serves on until the second says that it is ready.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;

use rustix::process::{Pid, Signal, kill_process};

use super::super::{number, set_title};
use super::Supervisor;
use crate::server::event::Event;
use crate::server::event::{FromPredecessor, FromSuccessor};
use crate::server::service::environment;
use crate::server::service::error::ServeError;
use crate::server::service::upgrade::Successor;

/// Where an upgrade stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Succession {
    /// This process serves, or has not begun to.
    None,
    /// This process replaces another, and has not heard yet that it let go.
    Follows,
    /// Another process serves; the sessions of this one go on to their end.
    Over,
}

impl Supervisor<'_> {
    /// Whether this process can be replaced now.
    pub(super) fn may_upgrade(&self) -> Result<(), String> {
        let problem = match self.succession {
            _ if self.stop.is_some() => "the service is stopping",
            Succession::Over => "another process serves since an upgrade",
            Succession::Follows => "the last upgrade is not over; try again when it is",
            Succession::None if self.listeners.is_empty() => {
                "the plugins are still being loaded; try again when that is done"
            }
            Succession::None if self.successor.is_some() => {
                "already upgrading; try again when that is done"
            }
            Succession::None => return Ok(()),
        };
        Err(problem.to_owned())
    }

    /// Starts the program that is on disk now; it has what it needs to serve beside this one.
    pub(super) fn upgrade(&mut self) -> Result<(), String> {
        self.may_upgrade()?;
        let program = crate::base::program_path();
        tracing::info!("upgrading: starting {}", program.display());
        self.notify.reloading("Upgrading");
        let sockets: Vec<_> = self
            .listeners
            .iter()
            .map(|listener| listener.as_fd())
            .collect();
        let started = Successor::start(
            &sockets,
            self.pid_file.as_ref().map(AsFd::as_fd),
            number::for_successor(self.next_session),
            self.nice,
            self.settings.service.upgrade,
            |command| environment::for_successor(command, self.user),
            self.events.clone(),
        );
        match started {
            Ok(successor) => {
                self.successor = Some(successor);
                Ok(())
            }
            Err(error) => {
                let why = format!("cannot start {}: {error}", program.display());
                self.upgrade_failed(&why);
                Err(why)
            }
        }
    }

    fn upgrade_failed(&mut self, why: &str) {
        self.successor = None;
        self.upgrade_is_over(Err(why));
        tracing::error!("upgrade failed, this process goes on: {}", why.trim_end());
        let line = why.lines().next().unwrap_or_default();
        self.notify.ready(&format!("Upgrade failed: {line}"));
    }

    pub(super) fn successor_says(&mut self, word: FromSuccessor) {
        match word {
            FromSuccessor::Failed { .. } if self.stop.is_some() => {}
            // It was ready just when the service was told to stop.
            FromSuccessor::Ready { pid } if self.stop.is_some() => {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
            FromSuccessor::Failed { why } => self.upgrade_failed(&why),
            FromSuccessor::Ready { pid } => {
                // What was accepted before this is in the queue of events already, so that the
                // retreat comes behind the last client.
                self.close_listeners();
                let _ = self.events.send(Event::Retire);
                if let Some(pid_file) = self.pid_file.take() {
                    pid_file.leave();
                }
                self.hand_over();
                let open = self.sessions.len();
                tracing::info!(
                    "upgraded: process {pid} serves new clients, {open} open sessions go on here"
                );
                self.upgrade_is_over(Ok(pid));
                self.notify.main_pid(pid);
                // What else there is to tell is for the new process to tell.
                self.notify.fall_silent();
                if let Some(successor) = &self.successor {
                    successor.let_go();
                }
            }
            FromSuccessor::Stop => {
                if self.stop.is_none() {
                    self.stop();
                }
            }
        }
    }

    /// From here on this process only ends its sessions.
    pub(super) fn retire(&mut self) {
        self.succession = Succession::Over;
        set_title("camelpost: replaced, ends its sessions");
        self.place_waiting();
    }

    /// Whether all sessions of a replaced process have ended.
    pub(super) fn has_retired(&self) -> bool {
        self.succession == Succession::Over && self.waiting.is_empty() && self.sessions.is_empty()
    }

    /// In the new process: everything is loaded, and clients are accepted.
    pub(super) fn succeed(&mut self) -> Result<(), ServeError> {
        let Some(line) = &self.predecessor else {
            return Ok(());
        };
        let gone = |error| {
            let text = format!("the process that was to be upgraded cannot be told: {error}");
            ServeError::Start(text)
        };
        self.succession = Succession::Follows;
        line.listen(self.events.clone()).map_err(gone)?;
        line.ready().map_err(gone)
    }

    pub(super) fn predecessor_says(&mut self, word: FromPredecessor) {
        if let FromPredecessor::Gone = word {
            self.predecessor = None;
            tracing::info!("the process before the upgrade has ended");
        }
        if self.succession != Succession::Follows {
            return;
        }
        self.succession = Succession::None;
        if let Some(pid_file) = &mut self.pid_file
            && let Err(problem) = pid_file.claim()
        {
            tracing::error!("{problem}");
        }
        self.take_over();
        self.notify.ready(&self.summary());
    }
}
