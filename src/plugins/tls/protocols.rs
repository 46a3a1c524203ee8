//! Which versions of TLS are spoken, as IO::Socket::SSL's SSL_version says it (`SSLv23:!SSLv3:!TLSv1`):
//! all but those with `!`, or the one that is named. Does not know what openssl was built with.

use openssl::ssl::{SslOptions, SslVersion};

/// What is spoken where no file says otherwise.
pub(super) const USUAL: &str = "SSLv23:!SSLv3:!SSLv2";

const ALLOWED: &str = "SSLv23, TLSv1, TLSv1_1, TLSv1_2 or TLSv1_3, and any of these, SSLv2 and SSLv3 behind a !, \
                       with colons between them";

/// The versions that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Protocols {
    /// The only one.
    pub(super) only: Option<SslVersion>,
    /// Those that are not.
    pub(super) without: SslOptions,
}

impl Protocols {
    /// An error says what was found and what is allowed.
    pub(super) fn parse(text: &str) -> Result<Protocols, String> {
        let mut only = None;
        let mut without = SslOptions::empty();
        for word in text.split(':').map(str::trim) {
            let wrong = || {
                format!("invalid SSL_version specified: '{word}' in '{text}'; there is {ALLOWED}")
            };
            let (not, name) = match word.strip_prefix('!') {
                Some(name) => (true, name),
                None => (false, word),
            };
            let known = Version::parse(name).ok_or_else(wrong)?;
            if not {
                without |= known.option();
            } else if only.is_some_and(|only| only != known) {
                let error = "cannot set multiple SSL protocols in SSL_version";
                return Err(format!("{error}: '{text}'; there is {ALLOWED}"));
            } else {
                only = Some(known);
            }
        }
        let only = match only {
            None | Some(Version::Any) => None,
            Some(version) => match version.number() {
                Some(number) => Some(number),
                None => return Err(format!("SSL Version {} not supported", version.name())),
            },
        };
        Ok(Protocols { only, without })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Any,
    Ssl2,
    Ssl3,
    Tls1,
    Tls11,
    Tls12,
    Tls13,
}

impl Version {
    fn parse(name: &str) -> Option<Version> {
        Some(match &*name.to_ascii_lowercase() {
            "sslv23" | "sslv2/3" => Version::Any,
            "sslv2" => Version::Ssl2,
            "sslv3" => Version::Ssl3,
            "tlsv1" => Version::Tls1,
            "tlsv1_1" | "tlsv11" => Version::Tls11,
            "tlsv1_2" | "tlsv12" => Version::Tls12,
            "tlsv1_3" | "tlsv13" => Version::Tls13,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Version::Any => "SSLv23",
            Version::Ssl2 => "SSLv2",
            Version::Ssl3 => "SSLv3",
            Version::Tls1 => "TLSv1",
            Version::Tls11 => "TLSv1_1",
            Version::Tls12 => "TLSv1_2",
            Version::Tls13 => "TLSv1_3",
        }
    }

    fn option(self) -> SslOptions {
        match self {
            Version::Any => SslOptions::empty(),
            Version::Ssl2 => SslOptions::NO_SSLV2,
            Version::Ssl3 => SslOptions::NO_SSLV3,
            Version::Tls1 => SslOptions::NO_TLSV1,
            Version::Tls11 => SslOptions::NO_TLSV1_1,
            Version::Tls12 => SslOptions::NO_TLSV1_2,
            Version::Tls13 => SslOptions::NO_TLSV1_3,
        }
    }

    /// Openssl 3 speaks no SSL.
    fn number(self) -> Option<SslVersion> {
        match self {
            Version::Any | Version::Ssl2 | Version::Ssl3 => None,
            Version::Tls1 => Some(SslVersion::TLS1),
            Version::Tls11 => Some(SslVersion::TLS1_1),
            Version::Tls12 => Some(SslVersion::TLS1_2),
            Version::Tls13 => Some(SslVersion::TLS1_3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_excluded_is_not_spoken_and_one_that_is_named_is_the_only_one() {
        let usual = Protocols::parse(USUAL).unwrap();
        assert_eq!(usual.only, None);
        assert_eq!(usual.without, SslOptions::NO_SSLV3 | SslOptions::NO_SSLV2);
        let fewer = Protocols::parse("SSLv23 : !SSLv2:!SSLv3:!TLSv1:!tlsv1_1").unwrap();
        assert!(fewer.without.contains(SslOptions::NO_TLSV1_1));
        let one = Protocols::parse("TLSv12").unwrap();
        assert_eq!(one.only, Some(SslVersion::TLS1_2));
        assert_eq!(one.without, SslOptions::empty());
    }

    #[test]
    fn what_is_no_version_is_named_with_what_is_allowed() {
        let wrong = |text| Protocols::parse(text).unwrap_err();
        assert!(wrong("SSLv23:!TLSv4").contains("'!TLSv4' in 'SSLv23:!TLSv4'; there is SSLv23,"));
        assert!(wrong("").contains("invalid SSL_version specified"));
        assert!(wrong("TLSv1:TLSv1_2").contains("cannot set multiple SSL protocols"));
        assert_eq!(wrong("SSLv3"), "SSL Version SSLv3 not supported");
    }
}
