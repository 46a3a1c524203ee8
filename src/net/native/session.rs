//! A session without an interpreter: carries out the machine's steps.

use std::rc::Rc;

use super::Loaded;
use crate::hook::Hook;
use crate::net::patience::Awaited;
use crate::net::rdns;
use crate::net::session::{Arrival, FLUSH_TIMEOUT};
use crate::net::transport::Transport;
use crate::perl::log::LOGINFO;
use crate::session::{self, Answer, Outcome, State, Step};
use crate::smtp::Address;

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
            let answer = match self.carry_out(step).await {
                Ok(answer) => answer,
                Err(_finished) => break,
            };
            step = machine.resume(answer);
        }
        self.transport.flush(FLUSH_TIMEOUT).await;
    }

    async fn carry_out(&self, step: Step) -> Result<Answer, Outcome> {
        Ok(match step {
            Step::Read { timeout } => {
                self.transport.flush(FLUSH_TIMEOUT).await;
                let awaited = Awaited::in_state(&self.state, timeout);
                Answer::Read(self.transport.read(&self.state.input, awaited).await)
            }
            Step::Reply(reply) => {
                self.transport.queue(&reply);
                Answer::Done
            }
            Step::Config(name) => Answer::Config(self.loaded.plugins.config(self.number, name)),
            Step::Hook(call) => {
                // As before a Perl plugin: the replies do not wait for what it does.
                if self.loaded.plugins.has_entries(call.hook) {
                    self.transport.flush(FLUSH_TIMEOUT).await;
                }
                Answer::Verdict(self.chain(&call).await)
            }
            Step::Waiting => Answer::Waiting(self.transport.has_input()),
            Step::Log { level, text } => {
                self.log_line(level, None, &text);
                Answer::Done
            }
            Step::Canonify(path) => {
                let parts = Address::canonify(&path).map(|(user, host)| vec![Some(user), host]);
                Answer::Values(parts.unwrap_or_default())
            }
            Step::LookUpClient => {
                self.look_up_client().await;
                Answer::Done
            }
            Step::Finished(outcome) => return Err(outcome),
            // What only Perl code makes necessary: parsers, headers and notes of its own.
            _ => Answer::Done,
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
