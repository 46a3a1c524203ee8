//! The processes of the daemon: a supervisor that accepts and never runs a plugin, a zygote that
//! loads everything once, and workers forked from it that run the sessions.
//!
//! This layer knows sockets and processes, not SMTP: what is loaded and what a session does comes
//! in as an [`Engine`]. Texts it writes to clients itself (limits, a dead worker, the end of the
//! service) are the few 421 lines in `supervisor`.

#![deny(unsafe_code)]

mod control;
mod damper;
mod engine;
mod event;
mod facts;
mod figures;
mod front;
mod generation;
mod http;
mod ipc;
mod ledger;
mod metrics;
mod number;
mod process;
mod refusal;
mod sandbox;
mod service;
mod supervisor;
mod title;
mod web;
mod workers;
mod zygote;

pub(crate) use control::shown::shown;
pub use control::{
    CallStatus, ChangedFiles, Command, ControlPlace, Counters, DurationClass, FailedReload, Limits,
    LoadStatus, Outcome, PluginStatus, QuarantineStatus, SessionState, SessionStatus, SharingKind,
    SharingStatus, StageRefusals, Status, WorkerState, WorkerStatus, ask, ask_within, control_path,
    control_paths,
};
pub use engine::{Engine, OneSessionError};
pub use facts::{About, LoadFacts, Names};
pub(crate) use figures::{Quantile, bytes, duration, quantile, quantile_text, three_digits};
pub use front::clients::has_hung_up;
pub use front::listen::ListenAddress;
pub use front::rate::Rate;
pub use http::HttpAddress;
#[doc(hidden)]
pub use ipc::fuzzed::{fuzz_control, fuzz_words};
pub use ipc::link::{AsyncLink, Given, GoOn, Incoming, SessionEnd, WorkerLink};
pub use process::{
    OwnsDescriptor, catch_sigpipe, close_forgotten, exit_now, fork_session, open_store, readiness,
    spawn_without_signals, wake_by_interrupt,
};
pub use refusal::{Reason, ReasonCount, Refusal, RefusalReport, Said};
pub use sandbox::{Sandbox, SandboxPart};
pub use service::beside::beside;
pub use service::error::ServeError;
pub use service::log_file::LogFile;
pub use service::privileges::become_user;
pub use service::progress::loading;
pub use service::settings::{MemoryLimits, ServiceSettings, Settings, Talk, ZygoteCommand};
pub use service::start::{nice_level, restore_nice_level, serve};
pub use supervisor::STOPPING;
pub use title::{ROOM, SESSION_TITLE, set_title};
pub use zygote::run_zygote;
