//! What runs sessions without an interpreter: a worker's life, and a process of one session.

use std::future::Future;
use std::io;
use std::rc::Rc;

use tokio::task::{JoinSet, LocalSet};

use super::Loaded;
use super::session::Session;
use crate::mail::Connection;
use crate::net::session::Arrival;
use crate::net::transport::Transport;
use crate::net::worker;
use crate::server::{AsyncLink, Given, Incoming, SessionEnd, WorkerLink, has_hung_up};
use crate::session::State;
use crate::watch;

/// Runs sessions until the supervisor has no more for this worker. The result is the process's
/// exit status.
pub fn work(loaded: Loaded, link: WorkerLink, rdns: bool) -> i32 {
    let life = async {
        let link = Rc::new(link.into_async()?);
        let mut sessions = JoinSet::new();
        let mut more = true;
        loop {
            tokio::select! {
                biased;
                Some(ended) = sessions.join_next(), if !sessions.is_empty() => ended?,
                given = link.next(), if more => match given {
                    Some(Given::Session(incoming)) => {
                        // As in the other worker: one that has hung up keeps no others waiting.
                        if !sessions.is_empty() && has_hung_up(&incoming.socket) {
                            link.done(incoming.session, SessionEnd { reuse: true });
                        } else {
                            let session = whole(loaded.clone(), link.clone(), incoming, rdns);
                            sessions.spawn_local(session);
                        }
                    }
                    // Nobody forks here.
                    Some(Given::ChildEnded) => {}
                    None => more = false,
                },
                () = link.keep(), if !more && !link.is_lost() && !sessions.is_empty() => {}
                else => return Ok(()),
            }
        }
    };
    match run(life) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("a worker could not start: {error}");
            1
        }
    }
}

async fn whole(loaded: Loaded, link: Rc<AsyncLink>, incoming: Incoming, rdns: bool) {
    let id = incoming.session;
    let session = serve(&loaded, link.clone(), incoming, rdns).await;
    // The supervisor hears of the end before the client does, as in the other worker.
    let reuse = !watch::is_worn() && session.is_some();
    link.done(id, SessionEnd { reuse });
    if let Some(session) = session {
        session.transport.shutdown();
    }
}

/// One session to its end; what remains is to shut its socket down. `None` where it could not
/// begin: then the socket is closed, and the client comes again.
async fn serve(
    loaded: &Loaded,
    link: Rc<AsyncLink>,
    incoming: Incoming,
    rdns: bool,
) -> Option<Session> {
    let ids = (incoming.session, Some(incoming.number));
    let connection = worker::connection(&incoming);
    let arrival = worker::arrival(&incoming, rdns);
    let transport = Transport::new(incoming.socket).ok()?;
    transport.depend_on(link);
    let session = session(loaded, ids, connection, transport, arrival);
    session.converse().await;
    Some(session)
}

/// The one session of a process.
pub fn one_session(
    loaded: &Loaded,
    connection: Connection,
    transport: impl FnOnce() -> io::Result<Transport>,
    arrival: Arrival,
) -> io::Result<()> {
    run(async {
        let session = session(loaded, (0, None), connection, transport()?, arrival);
        session.converse().await;
        session.transport.shutdown();
        Ok(())
    })
}

fn session(
    loaded: &Loaded,
    (id, number): (u64, Option<u32>),
    connection: Connection,
    transport: Transport,
    arrival: Arrival,
) -> Session {
    Session {
        id,
        number,
        // No native plugin hooks pre-connection.
        state: Rc::new(State::new(
            loaded.settings.clone(),
            connection,
            None,
            std::time::SystemTime::now(),
        )),
        transport,
        loaded: loaded.clone(),
        arrival,
    }
}

fn run(life: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, life)
}
