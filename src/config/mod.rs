//! The config directory: which files count, what is in them, when they are read again; and the
//! core's settings with their types. A leaf: knows neither sessions nor plugins, logs nothing
//! (it hands problems to the caller).

#![forbid(unsafe_code)]

mod cache;
mod compat;
mod dir;
mod effective;
mod error;
mod limits;
mod names;
mod own_limits;
mod paths;
mod plugin_line;
mod plugin_settings;
mod read;
#[cfg(test)]
mod reference;
mod sandbox;
mod settings;
mod show_id;
mod spool;
mod store;
mod strictness;
mod value;

pub use compat::{Compat, Profile, compared_version};
pub use dir::{ConfigDir, Lines};
pub use effective::{Effective, EffectiveValue, effective, setting_of, shown};
pub use error::{ConfigError, Place, reason};
pub use limits::Limits;
pub use names::{files, is_config_name, is_secret, usual_names};
pub use own_limits::own_limits;
pub use paths::{may_be_written, paths_of};
pub use plugin_line::PluginLine;
pub use plugin_settings::{OnError, PluginSetting, PluginSettings, Quarantine, table_name};
pub use read::{Entry, included};
pub use sandbox::sandbox_write;
pub use settings::CoreSettings;
pub use show_id::ShowId;
pub use spool::SpoolDir;
pub use store::{Endpoint, RedisPlace, StorePlace, StoreSetting};
pub use strictness::{BareLineEnds, ReplyText, Strictness, UnauthPipelining};
