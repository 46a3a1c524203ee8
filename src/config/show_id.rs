//! `show_id`: where the id of a mail transaction (`NUMBER-TEXT.N`, as the log has it) is shown to others. Only
//! reads the setting.

use super::dir::ConfigDir;
use super::error::ConfigError;
use super::value::refused;

const ALLOWED: &str = "words of received, queued and refused (with spaces between them), or none; received where there is no such file";

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShowId {
    /// In the Received line (`with ESMTP id ID`).
    pub received: bool,
    /// In the reply to a message that was taken.
    pub queued: bool,
    /// In each reply that refuses something.
    pub refused: bool,
}

impl Default for ShowId {
    fn default() -> ShowId {
        ShowId {
            received: true,
            ..ShowId::NOWHERE
        }
    }
}

impl ShowId {
    /// As in the original, which has none.
    pub const NOWHERE: ShowId = ShowId {
        received: false,
        queued: false,
        refused: false,
    };

    /// The words for it.
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.received, "received"),
            (self.queued, "queued"),
            (self.refused, "refused"),
        ];
        all.into_iter().filter_map(|(is, word)| is.then_some(word))
    }

    pub(super) fn load(config: &ConfigDir) -> Result<ShowId, ConfigError> {
        let lines = config.entries("show_id")?;
        if lines.is_empty() {
            return Ok(ShowId::default());
        }
        let mut shown = ShowId::NOWHERE;
        for entry in lines {
            for word in entry.text.split(u8::is_ascii_whitespace) {
                match word.to_ascii_lowercase().as_slice() {
                    b"received" => shown.received = true,
                    b"queued" => shown.queued = true,
                    b"refused" => shown.refused = true,
                    b"none" | b"" => {}
                    _ => return Err(refused("show_id", &entry, ALLOWED)),
                }
            }
        }
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<ShowId, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("show_id"), text).unwrap();
        let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
        ShowId::load(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_places_that_are_named_are_the_only_ones() {
        let all = ShowId {
            received: true,
            queued: true,
            refused: true,
        };
        assert_eq!(load("received queued\nRefused\n"), Ok(all));
        assert_eq!(load("none\n"), Ok(ShowId::NOWHERE));
        assert_eq!(load("# nothing is said\n"), Ok(ShowId::default()));
    }

    #[test]
    fn another_word_is_an_error_with_file_line_and_what_is_allowed() {
        let error = load("# x\nqueue\n").unwrap_err();
        assert!(error.contains("show_id:2: show_id is \"queue\""), "{error}");
        assert!(error.contains("received, queued and refused"), "{error}");
    }
}
