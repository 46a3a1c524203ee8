//! The site of this suite: the original's programs by name in `bin`, and the probe plugin.

use std::fs;

use camelpost_support::Site;

pub const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// `lines` is config/plugins, where @ROOT@ is the site's directory.
pub fn new_site(lines: &str) -> Site {
    let site = Site::with_programs(CAMELPOST, lines);
    let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/flavours/probe");
    fs::copy(probe, site.path("plugins/probe")).unwrap();
    site
}
