//! A session without an interpreter: carries out the machine's steps.

use std::rc::Rc;
use std::time::SystemTime;

use super::Loaded;
use crate::hook::Hook;
use crate::net::patience::Awaited;
use crate::net::rdns;
use crate::net::session::{Arrival, FLUSH_TIMEOUT};
use crate::net::transport::Transport;
use crate::perl::log::LOGINFO;
use crate::session::{self, Answered, Called, Listed, Outcome, Returned, State, Step};
use crate::smtp::Address;
use crate::watch;

/// See the module's description.
pub struct Session {
    pub id: u64,
    /// What the session is known by; none where it is known by its process.
    pub number: Option<u32>,
    pub state: Rc<State>,
    pub transport: Transport,
    pub loaded: Loaded,
    pub arrival: Arrival,
}

impl Session {
    /// The whole session. What remains is to shut its socket down.
    pub async fn converse(&self) {
        self.loaded.plugins.host.config.begin_session();
        let mut machine = session::conversation(self.state.clone());
        let mut step = machine.start();
        loop {
            let answered = match self.carry_out(step).await {
                Ok(answered) => answered,
                Err(_finished) => break,
            };
            step = machine.resume(answered);
        }
        self.transport.flush(FLUSH_TIMEOUT).await;
    }

    async fn carry_out(&self, step: Step) -> Result<Answered, Outcome> {
        Ok(match step {
            Step::Read { timeout, to } => {
                self.transport.flush(FLUSH_TIMEOUT).await;
                let awaited = Awaited::in_state(&self.state, timeout);
                to.give(self.transport.read(&self.state.input, awaited).await)
            }
            Step::Reply(reply, to) => {
                self.transport.queue(&reply);
                to.done()
            }
            Step::Config(name, to) => to.give(self.loaded.plugins.config(self.number, name)),
            Step::Hook(call, to) => {
                // As before a Perl plugin: the replies do not wait for what it does.
                if self.loaded.plugins.has_entries(call.hook) {
                    self.transport.flush(FLUSH_TIMEOUT).await;
                }
                to.give(self.chain(&call).await)
            }
            Step::Waiting(to) => to.give(self.transport.has_input()),
            Step::Log { level, text, to } => {
                self.log_line(level, None, &text);
                to.done()
            }
            Step::Canonify(path, to) => to.give(Address::canonify(&path)),
            Step::LookUpClient(to) => {
                self.look_up_client().await;
                to.done()
            }
            Step::Now(to) => to.give(SystemTime::now()),
            Step::Queued(outcome, to) => {
                watch::count_queue_outcome(outcome);
                to.done()
            }
            Step::Finished(outcome) => return Err(outcome),
            // What only Perl code makes necessary: parsers, headers and notes of its own.
            Step::Verb(_, to) => to.give(Listed::NoTable),
            Step::AddVerb(_, to) | Step::TransactionEnded(to) => to.done(),
            Step::AddHeader { to, .. } | Step::RenameHeader { to, .. } => to.done(),
            Step::GetHeader(_, to) | Step::Capabilities(to) => to.give(Vec::new()),
            Step::Cipher(to) => to.give(None),
            Step::Parse { to, .. } => to.give(Vec::new()),
            Step::Call(_, to) => to.give(Called::Returned(Returned::default())),
            Step::Obey { to, .. } => to.give(false),
        })
    }

    pub fn log_line(&self, level: u8, place: Option<(Hook, &str)>, text: &[u8]) {
        self.loaded.plugins.log(self.number, level, place, text);
    }

    async fn look_up_client(&self) {
        let connection = self.state.connection.borrow().clone();
        if let Some(address) = self.arrival.look_up
            && let Some(name) = rdns::name_of(address).await
        {
            connection.remote_info.replace(Some(name.clone()));
            connection.remote_host.replace(Some(name));
        }
        if let Some(accepted) = &self.arrival.accepted {
            let host = connection.remote_host.borrow().clone().unwrap_or_default();
            let line = [accepted.as_bytes(), &host].concat();
            self.log_line(LOGINFO, None, &line);
        }
    }
}
