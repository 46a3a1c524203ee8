//! Zygotes: the first load, reloads, and what happens when one ends. The sockets begin to listen
//! here, once everything is loaded.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::rc::Rc;

use super::super::facts::LoadFacts;
use super::super::generation::Generation;
use super::super::workers::WorkerRecord;
use super::Supervisor;
use super::upgrading::Succession;
use crate::base::log::{SERVICE, take_relayed};
use crate::server::event::Event;
use crate::server::ipc::message::{FromZygote, PROTOCOL, ToWorker};
use crate::server::service::environment;
use crate::server::service::error::ServeError;
use crate::server::service::log_file::become_log;

impl Supervisor<'_> {
    /// A generation that is no more current ends with its last worker.
    pub(super) fn drop_unused(&mut self, number: u64) {
        if self.current != Some(number)
            && self.workers.of(number) == 0
            && let Some(generation) = self.generations.get(&number)
            && generation.ready
            && generation.starting() == 0
        {
            generation.retire();
        }
    }

    pub(super) fn start_generation(&mut self) -> io::Result<()> {
        let number = self.next_generation;
        self.next_generation += 1;
        let prepare = |command: &mut _| environment::for_plugins(command, self.user);
        let plugins = (self.user.worker(), self.settings.service.sandbox);
        let events = self.events.clone();
        let generation = Generation::start(number, plugins, self.command, prepare, events)?;
        self.generations.insert(number, generation);
        Ok(())
    }

    /// Starts a zygote in place of one that ended, unless a reload does so already.
    pub(super) fn restart_zygote(&mut self) {
        if self.current.is_some() || self.generations.values().any(|other| !other.ready) {
            return;
        }
        if let Err(error) = self.start_generation() {
            let wait = self.zygotes.failed();
            tracing::error!("cannot start a zygote: {error}; next try in {wait:?}");
        }
    }

    /// Begins a reload; gives the number of the generation that is being loaded.
    pub(super) fn reload(&mut self) -> Result<u64, String> {
        if self.stop.is_some() {
            return Err("the service is stopping".to_owned());
        }
        if self.succession == Succession::Over {
            return Err("another process serves since an upgrade".to_owned());
        }
        if self
            .generations
            .values()
            .any(|generation| !generation.ready)
        {
            return Err("already loading; try again when that is done".to_owned());
        }
        tracing::info!("reloading: open sessions go on with what is loaded now");
        self.notify.reloading("Loading the plugins anew");
        let number = self.next_generation;
        self.start_generation().map(|()| number).map_err(|error| {
            self.loads.failed(&error.to_string());
            self.reload_failed(&error.to_string());
            error.to_string()
        })
    }

    pub(super) fn zygote_says(
        &mut self,
        number: u64,
        message: FromZygote,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), ServeError> {
        let Some(generation) = self.generations.get_mut(&number) else {
            return Ok(());
        };
        match message {
            FromZygote::Ready {
                protocol: PROTOCOL,
                facts,
            } => {
                generation.ready = true;
                self.loads.went_well(&facts.about, generation.begun);
                self.loaded(number, facts)?;
            }
            FromZygote::Ready { protocol, .. } => {
                return self.load_failed(
                    number,
                    format!(
                        "camelpost: the zygote speaks protocol {protocol}, this program \
                         {PROTOCOL}: the program was replaced; start it again"
                    ),
                );
            }
            FromZygote::Names { names } => {
                let names = Rc::new(names);
                generation.names = names.clone();
                if let Some(memory) = descriptor {
                    self.take_ledger(number, names, &memory);
                }
            }
            // Heard where it is received.
            FromZygote::Loading { .. } => {}
            FromZygote::Failed { message } => return self.load_failed(number, message),
            FromZygote::Forked { worker, pid } => {
                let names = generation.names.clone();
                let Some(starting) = generation.started(worker) else {
                    return Ok(());
                };
                let Some(pidfd) = descriptor else {
                    return Ok(());
                };
                if !self.user.may_be_worker(pid, &pidfd) {
                    self.counters.forks_failed += 1;
                    let wait = self.forks.failed();
                    tracing::error!(
                        "process {pid} was named as a worker, which it is not; next try in {wait:?}"
                    );
                    return Ok(());
                }
                let events = self.for_worker();
                match WorkerRecord::new(worker, number, pid, pidfd, starting, names, events) {
                    Ok(new) => {
                        tracing::debug!("forked worker {pid}");
                        self.counters.workers_forked += 1;
                        self.memory.forked(number, pid);
                        if self.shares() {
                            // One that cannot be told is dying already.
                            let _ = new.tell(&ToWorker::Shared { long: self.long }, None);
                        }
                        self.workers.add(worker, new);
                    }
                    Err(error) => tracing::error!("cannot watch worker {pid}: {error}"),
                }
                if self.stop.is_some() || self.current != Some(number) {
                    self.workers.dismiss(worker);
                }
                self.place_waiting();
            }
            FromZygote::NotForked { worker, errno } => {
                generation.started(worker);
                self.counters.forks_failed += 1;
                let error = io::Error::from_raw_os_error(errno);
                let wait = self.forks.failed();
                tracing::error!("cannot fork a worker: {error}; next try in {wait:?}");
            }
            FromZygote::Exited { worker, end } => self.worker_ended(worker, Some(end)),
        }
        Ok(())
    }

    /// A generation has loaded everything and becomes the current one.
    fn loaded(&mut self, number: u64, facts: LoadFacts) -> Result<(), ServeError> {
        crate::base::log::set_level(facts.log_level);
        self.facts = facts;
        self.zygotes.well();
        self.counters.loads += 1;
        if self.stop.is_some() {
            return Ok(());
        }
        let old = self.current.replace(number);
        // What other plugins took says nothing about these.
        self.forget_long();
        self.workers
            .dismiss_all(false, |worker| worker.generation != number);
        if let Some(old) = old {
            self.drop_unused(old);
        }
        self.clean_up_orphans();
        self.relay.begin_again();
        let turned = match old {
            Some(_) => self.turn_log(number),
            None => Ok(()),
        };
        if let Err(problem) = &turned {
            tracing::error!("{problem}; where it was written before has it still");
        }
        if old.is_some() {
            tracing::info!(target: SERVICE, "reloaded: {}", self.facts.about);
        }
        self.open(number)?;
        self.look_for_tls(number);
        if self.succession == Succession::None {
            self.notify.ready(&self.summary());
        }
        self.place_waiting();
        let turned = turned.map_err(|problem| format!("everything was loaded, but {problem}"));
        self.reload_is_over(number, turned.as_ref().copied().map_err(String::as_str));
        Ok(())
    }

    /// Their own zygotes are gone, so that the current one has to see to what they have left.
    pub(super) fn clean_up_orphans(&mut self) {
        let current = self
            .current
            .and_then(|number| self.generations.get(&number));
        if let Some(generation) = current {
            // What cannot be said now is said at the next chance.
            self.orphans
                .retain(|pid| generation.clean_up(*pid).is_err());
        }
    }

    /// What goes to stderr goes to the log file that is there now, where there is one.
    fn turn_log(&mut self, number: u64) -> Result<(), String> {
        let Some(log_file) = &self.settings.service.log_file else {
            return Ok(());
        };
        let log = log_file.open()?;
        self.losing.keep_stderr(self.detached.is_some());
        become_log(&log);
        let generation = self.generations.get(&number);
        // One that is gone says so by itself.
        let _ = generation.map(|generation| generation.log_to(log.as_fd()));
        Ok(())
    }

    /// Listens, the first time.
    fn open(&mut self, number: u64) -> Result<(), ServeError> {
        let bound = std::mem::take(&mut self.bound);
        if bound.is_empty() {
            return Ok(());
        }
        for bound in bound {
            let listener = bound.listen().map_err(ServeError::Start)?;
            self.control.listening.push(listener.address);
            let listener = Rc::new(listener);
            self.listeners.push(listener.clone());
            let (events, places) = (self.events.clone(), self.places.clone());
            let task = tokio::task::spawn_local(async move {
                loop {
                    let connection = listener.accept(&places).await;
                    if events.send(Event::Connection(connection)).is_err() {
                        return;
                    }
                }
            });
            self.acceptors.push(task.abort_handle());
        }
        // The process before this one has told the same file.
        if self.predecessor.is_none() || self.settings.service.log_file.is_none() {
            self.announce();
        }
        if self.settings.service.log_file.is_some() {
            self.turn_log(number).map_err(ServeError::Start)?;
            // Who has started it has read it, and so have those who read the log. Plugins need it once.
            self.relay.collect();
            self.announce();
            take_relayed();
        }
        if let Some(detached) = self.detached.take() {
            let keeps_log = self.settings.service.log_file.is_some();
            for generation in self.generations.values().filter(|_| !keeps_log) {
                // One that is gone says so by itself.
                let _ = generation.silence();
            }
            detached
                .ready(keeps_log)
                .map_err(|error| ServeError::Start(format!("cannot detach: {error}")))?;
        }
        self.succeed()
    }

    /// On port 465 clients begin with TLS (RFC 8314, 3.3), which the plugin tls gives them, as the original's does.
    fn look_for_tls(&self, number: u64) {
        let names = self.generations.get(&number);
        let mut names = names.iter().flat_map(|load| &load.names.plugins);
        let has_tls = names.any(|name| name == "tls" || name.ends_with("/tls"));
        let mut listeners = self.listeners.iter();
        if listeners.any(|listener| listener.address.port() == 465) && !has_tls {
            tracing::warn!(
                target: SERVICE,
                "port 465 is for clients that begin with TLS, and there is no plugin tls: unless another one or something before \
                 this service does it, they speak in the clear"
            );
        }
    }

    /// What the log begins with.
    fn announce(&self) {
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(target: SERVICE, "camelpost {version}, {}", self.facts.about);
        if let Some(address) = self.control.web.address {
            tracing::info!("A page shows what happens: http://{address}/");
        }
        if let Some(address) = self.control.metrics.address {
            tracing::info!("Metrics on http://{address}/metrics");
        }
        for listener in &self.listeners {
            tracing::info!(target: SERVICE, "Listening on {}", listener.address);
        }
        let (user, group) = self.user.names();
        tracing::info!(target: SERVICE, "Running as user {user}, group {group}");
        if let Some(worker) = self.user.worker() {
            tracing::info!(target: SERVICE, "Plugins run as user {worker}");
        }
        if self.user.is_root() {
            tracing::warn!("running as root: every plugin can do anything to this machine");
        }
    }

    /// The line that `systemctl status` shows.
    pub(super) fn summary(&self) -> String {
        let shown = self.current.unwrap_or_default();
        match self.listeners.as_slice() {
            [one] => format!("Listening on {}; load {shown}", one.address),
            several => format!("Listening on {} addresses; load {shown}", several.len()),
        }
    }

    fn load_failed(&mut self, number: u64, message: String) -> Result<(), ServeError> {
        self.generations.remove(&number);
        self.counters.loads_failed += 1;
        self.reload_is_over(number, Err(&message));
        self.loads.failed(&message);
        if !self.bound.is_empty() {
            return Err(ServeError::Load(message));
        }
        match self.current {
            Some(_) => self.reload_failed(&message),
            None => {
                let wait = self.zygotes.failed();
                tracing::error!("{message}");
                tracing::error!("the plugins could not be loaded again; next try in {wait:?}");
            }
        }
        Ok(())
    }

    fn reload_failed(&mut self, why: &str) {
        // Who has moved the file away does not care why nothing was loaded.
        if let Some(current) = self.current
            && let Err(problem) = self.turn_log(current)
        {
            tracing::error!("{problem}; where it was written before has it still");
        }
        tracing::error!("reload failed, what was loaded stays: {why}");
        let line = why.lines().next().unwrap_or_default();
        self.notify
            .ready(&format!("Reload failed, what was loaded stays: {line}"));
    }

    pub(super) fn zygote_ended(
        &mut self,
        number: u64,
        status: Option<ExitStatus>,
    ) -> Result<(), ServeError> {
        let Some(generation) = self.generations.remove(&number) else {
            return Ok(());
        };
        let status = status.map_or_else(|| "killed".to_string(), |status| status.to_string());
        if !generation.ready {
            return self.load_failed(
                number,
                format!(
                    "camelpost: the process that loads the plugins ended ({status}) before all \
                     were loaded; the lines above may say why"
                ),
            );
        }
        self.workers.watch(number, &self.events);
        if self.current == Some(number) && self.stop.is_none() {
            self.current = None;
            self.counters.zygote_ends += 1;
            let wait = self.zygotes.failed();
            tracing::error!("the zygote ended ({status}); another is started in {wait:?}");
        }
        Ok(())
    }
}
