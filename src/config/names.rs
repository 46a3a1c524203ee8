//! The names of config files: which ones the core and qpsmtpd's plugins ask for, and which have secrets in them.
//! Knows nothing of what is in them.

use std::fs;
use std::path::PathBuf;

use super::dir::ConfigDir;
use super::effective::settings;

/// Those that qpsmtpd's plugins ask for, and the one of its core that Camelpost has in another way.
const PLUGINS: &[&str] = &[
    "badhelo",
    "badmailfrom",
    "badmailfromto",
    "badmailfrom_patterns",
    "badrcptto",
    "badrcptto_patterns",
    "denysoft_greylist",
    "dnsbl_allow",
    "dnsbl_rejectmsg",
    "dnsbl_zones",
    "flat_auth_pw",
    "hosts_allow",
    "invalid_resolvable_fromhost",
    "morercpthosts",
    "norelayclients",
    "rcpthosts",
    "relayclients",
    "require_resolvable_fromhost",
    "rhsbl_zones",
    "smtpauth-checkpassword",
    "timeoutsmtpd",
    "tls_before_auth",
    "tls_ciphers",
    "tls_protocols",
    "uribl_zones",
    "whitelisthelo",
    "whitelisthosts",
    "whitelistrcpt",
    "whitelistsenders",
];

/// Those with passwords in them.
const SECRET: &[&str] = &["flat_auth_pw", "store"];

/// The names that the core and qpsmtpd's plugins ask for.
pub fn usual_names() -> impl Iterator<Item = &'static str> {
    settings().chain(PLUGINS.iter().copied())
}

/// Whether a file of this name has passwords in it.
pub fn is_secret(name: &str) -> bool {
    SECRET.contains(&name)
}

/// Whether a file of this name may be asked for.
pub fn is_config_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_part)
}

/// The plain files of the first directory that is there, in order.
pub fn files(dir: &ConfigDir) -> Vec<PathBuf> {
    let first = dir.dirs().iter().find(|dir| dir.is_dir());
    let entries = first.and_then(|dir| fs::read_dir(dir).ok());
    let paths = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths.filter(|path| !path.is_dir()).collect();
    files.sort();
    files
}
