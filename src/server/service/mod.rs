//! A service of the system: its start, its user, its pid file, signals, the service manager, and the
//! upgrade in place.

pub(super) mod beside;
pub(super) mod detach;
pub(super) mod environment;
pub(super) mod error;
pub(super) mod log_file;
pub(super) mod notify;
pub(super) mod pid_file;
pub(super) mod privileges;
pub(super) mod progress;
pub(super) mod settings;
pub(super) mod signals;
pub(super) mod start;
pub(super) mod upgrade;
