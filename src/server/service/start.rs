//! The start of the daemon, in the order that matters: user, ports, detaching, pid file,
//! privileges, runtime; then the supervisor's loop.

#![forbid(unsafe_code)]

use std::net::{SocketAddr, TcpListener};

use rustix::process::{
    Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit,
};

use super::error::ServeError;
use super::notify::Notify;
use super::pid_file::PidFile;
use super::privileges::ServiceUser;
use super::settings::{Begun, Settings, Talk, ZygoteCommand};
use super::upgrade::Predecessor;
use crate::server::control::{self, ControlPlace};
use crate::server::front::activation;
use crate::server::front::listen::{Bound, bind_all};
use crate::server::http::{self, HttpAddress, Site};
use crate::server::metrics::Metrics;
use crate::server::process;
use crate::server::service::detach;
use crate::server::service::privileges;
use crate::server::service::upgrade;
use crate::server::supervisor::Supervisor;
use crate::server::title;
use crate::server::web::Web;

/// Runs the daemon until it is told to stop. To be called on the main thread before there is
/// another: it forks (`detach`) and changes the user.
pub fn serve(settings: &Settings, command: &ZygoteCommand) -> Result<(), ServeError> {
    process::keep_descriptors()
        .map_err(|error| ServeError::Start(format!("cannot look at descriptors: {error}")))?;
    privileges::be_opaque().map_err(ServeError::Start)?;
    let predecessor = Predecessor::take().map_err(ServeError::Start)?;
    let line = predecessor.as_ref().map(Predecessor::line);
    let served = serve_after(settings, command, predecessor);
    if let (Err(error), Some(line)) = (&served, line) {
        line.failed(&error.to_string());
    }
    served
}

fn serve_after(
    settings: &Settings,
    command: &ZygoteCommand,
    mut predecessor: Option<Predecessor>,
) -> Result<(), ServeError> {
    let worker_user = settings.service.worker_user.as_deref();
    let user =
        ServiceUser::find(settings.user.as_deref(), worker_user).map_err(ServeError::Start)?;
    let bound = match &mut predecessor {
        Some(predecessor) => std::mem::take(&mut predecessor.sockets),
        None => sockets(settings).map_err(ServeError::Start)?,
    };
    // The address is the running process's until it lets go.
    let is_first = predecessor.is_none();
    let mail: Vec<_> = bound.iter().map(Bound::address).collect();
    let metrics = take_address::<Metrics>(settings.metrics.filter(|_| is_first), &mail)?;
    let web = take_address::<Web>(settings.web.filter(|_| is_first), &mail)?;
    let problem = |what: &str, error: &dyn std::fmt::Display| {
        ServeError::Start(format!("cannot {what}: {error}"))
    };
    // One that replaces a detached process is where that is.
    let detached = match settings.detach && predecessor.is_none() {
        true => Some(detach::detach().map_err(|error| problem("detach", &error))?),
        false => None,
    };
    let passed = predecessor.as_mut().and_then(|other| other.pid_file.take());
    let pid_file = match (&settings.pid_file, passed) {
        (Some(path), Some(passed)) => Some(PidFile::adopt(path, passed)),
        (Some(path), None) => Some(PidFile::take(path)),
        (None, _) => None,
    };
    let pid_file = pid_file.transpose().map_err(ServeError::Start)?;
    let first_session = predecessor.as_ref().and_then(|other| other.first_session);
    let nice = nice_level();
    crate::base::log::set_format(settings.service.log_format);
    match settings.talk {
        Talk::Normal => {}
        Talk::Debug => crate::base::log::set_level(7),
        Talk::Quiet => crate::base::log::set_level(0),
    }
    if settings.lower_nice > 0
        && predecessor.is_none()
        && let Err(error) = setpriority_process(None, lower(nice, settings.lower_nice))
    {
        tracing::debug!("the nice level stays as it is: {error}");
    }
    raise_descriptor_limit();
    process::catch_sigpipe();
    let prepared = control::prepare(&settings.control, user.ids());
    user.take().map_err(ServeError::Start)?;
    user.drop_capabilities().map_err(ServeError::Start)?;
    // What a change of the user makes of this is a setting of the machine's.
    privileges::be_opaque().map_err(ServeError::Start)?;
    if settings.service.no_new_privs || !settings.service.sandbox.is_none() {
        privileges::gain_none().map_err(ServeError::Start)?;
    }
    let control = prepared.and_then(|()| control::open(&settings.control, predecessor.is_some()));
    let control = match control {
        Ok(socket) => socket,
        // Nobody has asked for it, and mail can be received without.
        Err(problem) if settings.control == ControlPlace::Default => {
            tracing::warn!("{problem}");
            None
        }
        Err(problem) => return Err(ServeError::Start(problem)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| problem("start the runtime", &error))?;
    let notify = Notify::from_environment();
    let begun = Begun {
        user: &user,
        bound,
        detached,
        notify,
        pid_file,
        control,
        predecessor: predecessor.as_ref().map(Predecessor::line),
        // 0 is nobody.
        first_session: first_session.unwrap_or(1).max(1),
        nice,
    };
    title::set_title("camelpost: supervisor");
    let (mut supervisor, events) = Supervisor::new(settings, command, begun);
    tokio::task::LocalSet::new().block_on(&runtime, async {
        supervisor.be_managed(metrics, web).map_err(|error| {
            problem("serve the control socket, the metrics or the page", &error)
        })?;
        supervisor.run(events).await
    })
}

/// The listener of what is served by HTTP.
fn take_address<S: Site>(
    wanted: Option<HttpAddress>,
    mail: &[SocketAddr],
) -> Result<Option<(HttpAddress, TcpListener)>, ServeError> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    http::is_free_of_mail::<S>(wanted, mail).map_err(ServeError::Start)?;
    let listener = http::bind::<S>(wanted).map_err(ServeError::Start)?;
    Ok(Some((wanted, listener)))
}

/// The sockets that a service manager passes, else new ones.
fn sockets(settings: &Settings) -> Result<Vec<Bound>, String> {
    let passed = activation::take()?;
    if passed.is_empty() {
        return bind_all(&settings.listen, &settings.ports);
    }
    let ports = match settings.service.ports_named {
        true => &settings.ports[..],
        false => &[],
    };
    activation::agree(&passed, &settings.listen, ports)?;
    Ok(passed)
}

fn lower(level: i32, steps: u32) -> i32 {
    level.saturating_sub_unsigned(steps).max(-20)
}

/// The nice level that the service was started with.
pub fn nice_level() -> i32 {
    upgrade::nice_level().unwrap_or_else(|| getpriority_process(None).unwrap_or(0))
}

/// Undoes `lower_nice`, in the zygote: its workers have the level that the service was started
/// with.
pub fn restore_nice_level(level: i32) {
    // Where it was lowered it may be raised again; where it was not, this changes nothing.
    let _ = setpriority_process(None, level);
}

/// Each session takes a descriptor or two; the soft limit is often 1024 for old programs' sake.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Failing leaves the old limit, at which accepting pauses.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
