//! The programs that the original has, which this one is when it is called by their names.

use std::ffi::OsStr;
use std::path::Path;

/// A program of the original's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// `qpsmtpd`: one session for tcpserver, inetd or pperl.
    Tcpserver,
    /// `qpsmtpd-forkserver`.
    Forkserver,
    /// `qpsmtpd-prefork`.
    Prefork,
    /// `qpsmtpd-async`, which there is not.
    Async,
}

impl Flavour {
    /// What the program's first argument says that it is.
    pub(super) fn of(program: &OsStr) -> Option<Flavour> {
        match Path::new(program).file_name()?.to_str()? {
            "qpsmtpd" => Some(Flavour::Tcpserver),
            "qpsmtpd-forkserver" => Some(Flavour::Forkserver),
            "qpsmtpd-prefork" => Some(Flavour::Prefork),
            "qpsmtpd-async" => Some(Flavour::Async),
            _ => None,
        }
    }
}

/// Why there is no `qpsmtpd-async`.
pub(super) const NO_ASYNC: &str = "camelpost: there is no qpsmtpd-async: plugins that return YIELD need \
     its event loop, all others run under qpsmtpd-forkserver and qpsmtpd-prefork; a plugin \
     async/NAME has a twin NAME without YIELD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_the_last_part_of_its_path() {
        let of = |name: &str| Flavour::of(OsStr::new(name));
        assert_eq!(of("./qpsmtpd"), Some(Flavour::Tcpserver));
        assert_eq!(of("/usr/bin/qpsmtpd-forkserver"), Some(Flavour::Forkserver));
        assert_eq!(of("qpsmtpd-prefork"), Some(Flavour::Prefork));
        assert_eq!(of("/qpsmtpd/camelpost"), None);
    }
}
