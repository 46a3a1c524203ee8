//! A line of `plugins` or `logging` that was loaded, with the file that it names, if it is a Perl plugin's. Judges
//! nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::PluginLine;
use crate::perl::Sv;
use crate::plugin::{PREFIX, without_number};

/// A line with what was found for it.
pub(super) struct Named {
    pub(super) line: PluginLine,
    /// The object of a Perl plugin.
    pub(super) plugin: Option<Sv>,
    /// None: it is native, or a module.
    pub(super) file: Option<PathBuf>,
    /// What is in the file.
    pub(super) text: Vec<u8>,
}

impl Named {
    /// Looks for the file in these directories, as the loader does.
    pub(super) fn find(line: PluginLine, plugin: Option<Sv>, dirs: &[Vec<u8>]) -> Named {
        let file = match line.name.starts_with(PREFIX) {
            true => None,
            false => find(&String::from_utf8_lossy(&line.name), dirs),
        };
        let text = file.as_ref().map(fs::read);
        Named {
            line,
            plugin,
            file,
            text: text.and_then(Result::ok).unwrap_or_default(),
        }
    }

    /// The plugin's name without a number behind it.
    pub(super) fn name(&self) -> String {
        let name = String::from_utf8_lossy(&self.line.name);
        without_number(&name).to_owned()
    }

    /// The lines of the file that perl compiles, with their numbers.
    pub(super) fn code(&self) -> Vec<(usize, String)> {
        code(&String::from_utf8_lossy(&self.text))
    }
}

/// The file of a plugin.
pub(super) fn find(name: &str, dirs: &[Vec<u8>]) -> Option<PathBuf> {
    let plain = without_number(name);
    let files = dirs
        .iter()
        .map(|dir| Path::new(OsStr::from_bytes(dir)).join(plain));
    files.into_iter().find(|file| file.is_file())
}

/// Perl code without its documentation, its comments, and what stands behind its end.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut is_pod = false;
    for (at, line) in text.lines().enumerate() {
        if is_pod {
            is_pod = !line.starts_with("=cut");
            continue;
        }
        let is_command =
            line.starts_with('=') && line[1..].starts_with(|c: char| c.is_alphabetic());
        if is_command {
            is_pod = !line.starts_with("=cut");
            continue;
        }
        if matches!(line.trim_end(), "__END__" | "__DATA__") {
            break;
        }
        let is_comment = line.trim_start().starts_with('#');
        if !is_comment && !line.trim().is_empty() {
            // A # behind a space begins a comment most often; in a string it costs a finding and makes none.
            let end = line.find(" #").unwrap_or(line.len());
            lines.push((at + 1, line[..end].to_owned()));
        }
    }
    lines
}

/// Whether a text has a word in it, and not as a part of a longer one. What does not begin with a letter (`->config`)
/// may stand behind one.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let begins = word.starts_with(is_part);
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let follows = begins && before.is_some_and(is_part);
        !follows && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_perl_compiles() {
        let text = "=head1 A\n\nget_it\n\n=cut\n\nsub a { 1 } # b\n# c\n=for x\n=cut\n__END__\nd\n";
        assert_eq!(code(text), [(7, "sub a { 1 }".to_owned())]);
    }

    #[test]
    fn a_word_is_no_part_of_another_one() {
        assert!(has_word("{check-at}", "check-at"));
        assert!(has_word("rejects reject", "reject"));
        assert!(!has_word("reject_type", "reject"));
        assert!(has_word("qp->config(", "->config"));
        assert!(!has_word("qp->config_dir(", "->config"));
        assert!(!has_word("", "reject"));
    }
}
