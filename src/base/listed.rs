//! A plugin in the chain of a hook, as `camelpost hooks` and `camelpost check` tell of it. Does not know how it is found.

use serde::{Deserialize, Serialize};

/// A plugin's entry in the chain of a hook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub hook: String,
    /// Its place in the chain, from 1 on.
    pub order: usize,
    /// What it is called in log lines.
    pub plugin: String,
    /// Whether it is a native plugin; else a Perl one.
    pub native: bool,
    /// The method's name; none for a native plugin, and where it is code without a name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<String>,
    /// The words behind the name on its line.
    pub args: Vec<String>,
    /// Its line; none where a plugin has loaded another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<usize>,
    /// Seconds, where plugin_settings says so; 0 is any time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout: Option<u32>,
    /// What its failure means, where plugin_settings says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub on_error: Option<String>,
}
