//! The servers that are measured.

use std::path::PathBuf;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Forkserver,
    Prefork,
    Camelpost,
    /// An earlier build of Camelpost, which the variable CAMELPOST_EARLIER names.
    Earlier,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::Forkserver,
        Self::Prefork,
        Self::Camelpost,
        Self::Earlier,
    ];

    pub fn is_camelpost(self) -> bool {
        matches!(self, Self::Camelpost | Self::Earlier)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Forkserver => "forkserver",
            Self::Prefork => "prefork",
            Self::Camelpost => "camelpost",
            Self::Earlier => "earlier",
        }
    }

    pub fn program(self) -> PathBuf {
        match self {
            Self::Forkserver => PathBuf::from("/usr/bin/qpsmtpd-forkserver"),
            Self::Prefork => PathBuf::from("/usr/bin/qpsmtpd-prefork"),
            Self::Camelpost => PathBuf::from(env!("CARGO_BIN_EXE_camelpost")),
            Self::Earlier => std::env::var_os("CAMELPOST_EARLIER")
                .map(PathBuf::from)
                .unwrap_or_default(),
        }
    }

    pub fn is_installed(self) -> bool {
        self.program().is_file()
    }
}
