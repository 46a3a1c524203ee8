//! One session of native plugins over a socket of the same process, for tests of plugins: what a worker
//! does for its clients, without supervisor, forks and Perl.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::SystemTime;

use super::load::Loaded;
use crate::mail::Connection;
use crate::net::client::transport::Transport;
use crate::net::perl_side::pump::Pump;
use crate::net::session::driver::drive;
use crate::net::session::{Arrival, Seat, Session};
use crate::session::{self, Neighbours, State};

/// Serves the client to the session's end. `end` sees the connection when all hooks have run.
pub(crate) fn converse(
    loaded: &Loaded,
    socket: OwnedFd,
    connection: Connection,
    neighbours: Neighbours,
    end: impl FnOnce(&Connection),
) -> std::io::Result<()> {
    let pump = Pump::new()?;
    let transport = pump.run(async { Transport::new(socket) })?;
    let state = Rc::new(State::new(
        loaded.settings.clone(),
        connection,
        Some(neighbours),
        SystemTime::now(),
    ));
    let arrival = Arrival {
        look_up: None,
        accepted: None,
    };
    let seat = Seat {
        number: None,
        stage: None,
        on_secured: Box::new(|| {}),
        environment: Vec::new(),
    };
    let session = Session::new(1, state, transport, loaded, &pump, arrival, seat);
    loaded.config.begin_session();
    let machine = session::conversation(session.state.clone());
    pump.run(drive(session.clone(), machine));
    session.transport.flush_blocking();
    end(&session.state.connection.borrow().data);
    session.let_go();
    session.transport.shutdown();
    Ok(())
}
