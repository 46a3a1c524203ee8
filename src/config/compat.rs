//! The config file `compat`: which original's behaviour counts. Knows what a version means, not what
//! the code does of it, and looks at no installed package: what a site runs beside it may be removed.

/// Where 0.94 and 1.00 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    V094,
    #[default]
    V100,
}

/// The original's number, which plugins compare with those that they need.
pub fn compared_version(profile: Profile) -> &'static str {
    match profile {
        Profile::V094 => "0.94",
        Profile::V100 => "1.00",
    }
}

/// A version of the original: upstream's, or that of Debian's package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compat {
    pub profile: Profile,
    /// Whether a Received line that hook received_line has made with OK is the message's. 0.94 loses
    /// it and adds none; Debian's package does not from its revision 6 on.
    pub keeps_received: bool,
}

/// Debian's bug 933679: the first revision of 0.94 that keeps the line.
const KEEPS_RECEIVED: u32 = 6;

impl Default for Compat {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            keeps_received: true,
        }
    }
}

impl Compat {
    pub const ALLOWED: &'static str = "0.94, a version of Debian's package such as 0.94-8, or 1.00";

    /// `1.00`; `0.94`, with the revision of Debian's package behind it or without. What derived
    /// distributions and rebuilt packages add to a revision (`-8+b1`, `-8ubuntu1`) changes nothing.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text == b"1.00" {
            return Some(Self::default());
        }
        let rest = std::str::from_utf8(text.strip_prefix(b"0.94")?).ok()?;
        let revision = match rest.strip_prefix('-') {
            None if rest.is_empty() => 0,
            None => return None,
            Some(revision) => {
                let end = revision.find(|c: char| !c.is_ascii_digit());
                revision[..end.unwrap_or(revision.len())].parse().ok()?
            }
        };
        Some(Self {
            profile: Profile::V094,
            keeps_received: revision >= KEEPS_RECEIVED,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_of_debian_s_package_says_whether_a_received_line_is_kept() {
        let kept = |text: &str| {
            let compat = Compat::parse(text.as_bytes())?;
            assert_eq!(compat.profile, Profile::V094, "{text}");
            Some(compat.keeps_received)
        };
        for (text, expected) in [
            ("0.94", Some(false)),
            ("0.94-5", Some(false)),
            ("0.94-5+b1", Some(false)),
            ("0.94-6", Some(true)),
            ("0.94-8", Some(true)),
            ("0.94-10", Some(true)),
            ("0.94-8+b1", Some(true)),
            ("0.94-8ubuntu1", Some(true)),
            ("0.94-", None),
            ("0.94-x", None),
            ("0.940", None),
            ("0.94 8", None),
            ("0.94-99999999999", None),
            ("0.84", None),
            ("", None),
        ] {
            assert_eq!(kept(text), expected, "{text}");
        }
        assert_eq!(Compat::parse(b"1.00"), Some(Compat::default()));
        assert_eq!(Compat::parse(b"1.00-1"), None);
    }
}
