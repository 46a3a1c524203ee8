//! How strictly SMTP's wire form is kept where the original is lenient: what counts as a line end, who
//! may send before it is its turn, what a reply may carry, AUTH in clear text. Only reads the settings;
//! what they mean is smtp's and the session's.

use super::dir::ConfigDir;
use super::error::ConfigError;
use super::value::{first, refused, switch};

/// `bare_line_ends`: what becomes of LF, CR and NUL where they are no line end of RFC 5321 (2.3.8): in
/// commands, answers to AUTH and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareLineEnds {
    /// The command or the message is refused.
    Reject,
    /// A LF alone ends a line, but no message; in a message a CR or NUL becomes a space; a command with
    /// one is refused.
    #[default]
    Normalize,
    /// As in the original: all are taken as they come, and LF . CR LF ends a message.
    Original,
}

/// `unauth_pipelining`: what becomes of a client that sends on where it has to wait for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnauthPipelining {
    /// It is sent away.
    Reject,
    /// It is told of in the log, once; what comes behind a DATA that is refused is not obeyed.
    #[default]
    Log,
    /// As in the original: nobody looks.
    Original,
}

/// `reply_text`: what the text of a reply may have in it. Line ends part its lines under each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyText {
    /// ASCII (UTF-8 in a transaction with SMTPUTF8), no control characters, lines of 512 octets at most.
    #[default]
    Ascii,
    /// The same, with 8-bit characters.
    EightBit,
    /// As in the original: everything.
    Original,
}

/// How strictly SMTP's wire form is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Strictness {
    pub bare_line_ends: BareLineEnds,
    pub unauth_pipelining: UnauthPipelining,
    pub reply_text: ReplyText,
    /// `tls_auth_only`: AUTH is for clients with TLS, and those on this machine. Off, as in the original.
    pub tls_auth_only: bool,
}

impl Strictness {
    /// As the original has it in everything.
    pub const ORIGINAL: Strictness = Strictness {
        bare_line_ends: BareLineEnds::Original,
        unauth_pipelining: UnauthPipelining::Original,
        reply_text: ReplyText::Original,
        tls_auth_only: false,
    };

    pub(super) fn load(config: &ConfigDir) -> Result<Strictness, ConfigError> {
        use {BareLineEnds as Bare, ReplyText as Text, UnauthPipelining as Ahead};
        Ok(Strictness {
            bare_line_ends: word(
                config,
                "bare_line_ends",
                [
                    ("reject", Bare::Reject),
                    ("normalize", Bare::Normalize),
                    ("original", Bare::Original),
                ],
                "reject, normalize or original",
            )?,
            unauth_pipelining: word(
                config,
                "unauth_pipelining",
                [
                    ("reject", Ahead::Reject),
                    ("log", Ahead::Log),
                    ("original", Ahead::Original),
                ],
                "reject, log or original",
            )?,
            reply_text: word(
                config,
                "reply_text",
                [
                    ("ascii", Text::Ascii),
                    ("8bit", Text::EightBit),
                    ("original", Text::Original),
                ],
                "ascii, 8bit or original",
            )?,
            tls_auth_only: switch(config, "tls_auth_only")?.unwrap_or(false),
        })
    }
}

/// One of three words, in any case.
fn word<T: Default>(
    config: &ConfigDir,
    name: &str,
    words: [(&str, T); 3],
    allowed: &'static str,
) -> Result<T, ConfigError> {
    let Some(entry) = first(config, name)? else {
        return Ok(T::default());
    };
    let is = |word: &str| entry.text.eq_ignore_ascii_case(word.as_bytes());
    let mut words = words.into_iter();
    match words.find(|(word, _)| is(word)) {
        Some((_, value)) => Ok(value),
        None => Err(refused(name, &entry, allowed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Strictness, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
        Strictness::load(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn without_files_the_safe_ones_hold() {
        assert_eq!(load(&[]), Ok(Strictness::default()));
    }

    #[test]
    fn each_can_be_set_to_what_the_original_does() {
        let files = [
            ("bare_line_ends", "original\n"),
            ("unauth_pipelining", "Original\n"),
            ("reply_text", "original\n"),
            ("tls_auth_only", "0\n"),
        ];
        assert_eq!(load(&files), Ok(Strictness::ORIGINAL));
        let files = [
            ("bare_line_ends", "reject\n"),
            ("unauth_pipelining", "reject\n"),
            ("reply_text", "8bit\n"),
            ("tls_auth_only", "1\n"),
        ];
        let strict = Strictness {
            bare_line_ends: BareLineEnds::Reject,
            unauth_pipelining: UnauthPipelining::Reject,
            reply_text: ReplyText::EightBit,
            tls_auth_only: true,
        };
        assert_eq!(load(&files), Ok(strict));
    }

    #[test]
    fn another_word_is_an_error_with_file_line_and_what_is_allowed() {
        for (name, allowed) in [
            ("bare_line_ends", "reject, normalize or original"),
            ("unauth_pipelining", "reject, log or original"),
            ("reply_text", "ascii, 8bit or original"),
            ("tls_auth_only", "1 (on) or 0 (off)"),
        ] {
            let error = load(&[(name, "# x\nmaybe\n")]).unwrap_err();
            assert!(
                error.contains(&format!("{name}:2: {name} is \"maybe\"")),
                "{error}"
            );
            assert!(error.contains(allowed), "{error}");
        }
    }
}
