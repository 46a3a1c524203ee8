//! What `camelpost --version` says: what this program was made of.

use crate::config::{Profile, compared_version};

/// The version, where it was built from, its perl, its native plugins, and which qpsmtpd it does as by default.
pub(super) fn text(natives: &[&str]) -> String {
    let commit = option_env!("CAMELPOST_COMMIT").filter(|commit| !commit.is_empty());
    let commit = commit.map(|commit| format!(" ({commit})"));
    format!(
        "{}{}\nperl {}\nwithout a config file compat: as qpsmtpd {}\nnative plugins: {}",
        env!("CARGO_PKG_VERSION"),
        commit.unwrap_or_default(),
        env!("CAMELPOST_PERL"),
        compared_version(Profile::default()),
        natives.join(" "),
    )
}
