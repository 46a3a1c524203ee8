//! A service of the system: its start, its user, its pid file, signals, the service manager, and the
//! upgrade in place.

pub mod detach;
pub mod environment;
pub mod notify;
pub mod pid_file;
pub mod privileges;
pub mod progress;
pub mod signals;
pub mod start;
pub mod upgrade;
