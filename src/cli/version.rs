//! What `camelpost --version` says: what this program was made of. `-V` is its first line only.

use crate::config::{Profile, compared_version};

/// The version, the commit that it was built from, its perl and how that is linked, which qpsmtpd it does as by
/// default, its native plugins.
pub(super) fn text(natives: &[&str]) -> String {
    format!(
        "{}\ncommit {}\nperl {}\nwithout a config file compat: as qpsmtpd {}\nnative plugins: {}",
        env!("CARGO_PKG_VERSION"),
        env!("CAMELPOST_COMMIT"),
        env!("CAMELPOST_PERL"),
        compared_version(Profile::default()),
        natives.join(" "),
    )
}
