//! Turns: in a worker that has several sessions, Perl runs for one of them at a time, and finds
//! what it would find if that were the only one. What belongs to a session and not to the process
//! is set aside when another one has its turn, and brought back. Whose turn it is, and the
//! client's socket on descriptors 0 and 1, are the worker's.

use std::rc::Rc;

use super::kept::Said;
use super::port::Port;
use crate::perl::exchange::process_state::Changes;
use crate::perl::exchange::stdio::{self, Handles};
use crate::perl::exchange::{self, Aside};
use crate::perl::ffi::call::Unwind;
use crate::perl::host::Host;

/// What belongs to a session, while it is another one's turn.
pub struct Belongings {
    port: Rc<dyn Port>,
    contents: Aside,
    /// Hooks of plugins that came in the session.
    late: Vec<usize>,
    config: Said,
    changes: Changes,
    /// Of a plugin that has taken the client over.
    handles: Option<Handles>,
}

impl Belongings {
    /// Whether the session has another table of hooks, or another process state, than all begin
    /// with.
    pub fn changed(&self) -> bool {
        self.changes.any()
    }
}

impl Host {
    /// The running session's turn ends. `idle` is what Perl code sees from now on.
    pub fn end_turn(&self, idle: Rc<dyn Port>) -> Result<Belongings, Unwind> {
        stdio::flush();
        let handles = stdio::keep();
        let changes = self.process_state.take()?;
        let contents = exchange::set_aside();
        self.tell_unfit();
        Ok(Belongings {
            contents,
            late: self.owners.set_aside(),
            config: self.kept.hook.set_aside(),
            port: self.present.enter(idle),
            changes,
            handles,
        })
    }

    /// A session's turn: its socket is on descriptors 0 and 1.
    pub fn begin_turn(
        &self,
        belongings: Belongings,
        environment: &[(&str, Vec<u8>)],
    ) -> Result<(), Unwind> {
        stdio::fresh()?;
        if let Some(handles) = &belongings.handles {
            stdio::put(handles)?;
        }
        self.kept.hook.bring_back(belongings.config);
        exchange::bring_back(belongings.contents)?;
        self.owners.bring_back(belongings.late);
        let idle = self.present.enter(belongings.port);
        drop(idle);
        self.process_state.set_environment(environment);
        self.process_state.put(belongings.changes)
    }
}
