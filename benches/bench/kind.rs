//! The servers that are measured.

use std::path::PathBuf;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Forkserver,
    Prefork,
    Camelpost,
    /// An earlier build of Camelpost, which the variable CAMELPOST_EARLIER names.
    Earlier,
    /// Camelpost with native plugins in the place of all Perl ones: this program itself, which has a native
    /// plugin that takes the messages.
    Native,
    /// Haraka, where npm can install it.
    Haraka,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Forkserver,
        Self::Prefork,
        Self::Camelpost,
        Self::Earlier,
        Self::Native,
        Self::Haraka,
    ];

    /// Whether it is one of qpsmtpd's own.
    pub fn is_original(self) -> bool {
        matches!(self, Self::Forkserver | Self::Prefork)
    }

    /// Whether it takes part where the plugins are Perl's.
    pub fn runs_perl(self) -> bool {
        !matches!(self, Self::Native | Self::Haraka)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Forkserver => "forkserver",
            Self::Prefork => "prefork",
            Self::Camelpost => "camelpost",
            Self::Earlier => "earlier",
            Self::Native => "native",
            Self::Haraka => "haraka",
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
            Self::Native => std::env::current_exe().unwrap_or_default(),
            Self::Haraka => crate::haraka::program(),
        }
    }

    pub fn is_installed(self) -> bool {
        self.program().is_file()
    }
}
