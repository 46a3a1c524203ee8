//! The levels of the log, and which of them is wanted.

use std::sync::atomic::{AtomicU8, Ordering};

// The levels of `Qpsmtpd::Constants`.
pub const LOGALERT: u8 = 1;
pub const LOGCRIT: u8 = 2;
pub const LOGERROR: u8 = 3;
pub const LOGWARN: u8 = 4;
pub const LOGNOTICE: u8 = 5;
pub const LOGINFO: u8 = 6;
pub const LOGDEBUG: u8 = 7;

/// What is logged where the config has no loglevel.
pub const DEFAULT_LEVEL: u8 = LOGWARN;

static LEVEL: AtomicU8 = AtomicU8::new(DEFAULT_LEVEL);

/// Sets the loglevel: LOGEMERG 0 to LOGDEBUG 7.
pub fn set_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// The loglevel.
pub(super) fn level() -> u8 {
    LEVEL.load(Ordering::Relaxed)
}
