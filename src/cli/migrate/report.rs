//! What there is to tell of a migration, in its order, for people or for scripts. Knows nothing of how it came about.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

/// One thing to tell. In JSON each is an object with the member `event`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Item {
    /// What this is about.
    Migrated {
        from: PathBuf,
        to: PathBuf,
        /// The version of the old server, and who says so.
        compat: String,
        compat_from: String,
        files: usize,
        dry_run: bool,
    },
    /// What was in the way and is kept.
    Kept {
        directory: PathBuf,
        /// Files in it that are not the same as those of the new directory, or are not there.
        differ: Vec<PathBuf>,
    },
    /// What is not in the copy as it was.
    LeftOut {
        file: PathBuf,
        what: String,
    },
    /// A line of the copy that is another one; without a line the file is new.
    Changed {
        file: PathBuf,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<String>,
        after: String,
    },
    /// A directory outside of the copy that was made.
    Made {
        directory: PathBuf,
        owner: String,
    },
    /// What both servers use.
    Shared {
        path: PathBuf,
        file: PathBuf,
        line: usize,
        what: String,
        /// A path that the copy could name in its place.
        #[serde(skip_serializing_if = "Option::is_none")]
        instead: Option<String>,
    },
    /// How the old server is started, and how Camelpost is.
    Start {
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<PathBuf>,
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
        before: Vec<String>,
        after: Vec<String>,
    },
    /// What was left out of it, or is not known.
    Remark {
        text: String,
    },
    /// What is limited in another way than by the old server.
    Limit {
        text: String,
    },
    /// Why there is no check.
    NotChecked {
        text: String,
    },
    /// A command, or where it begins with `#` a word about those that follow.
    Try {
        command: String,
    },
    Switch {
        command: String,
    },
    Back {
        command: String,
    },
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Item>);

impl Report {
    pub(super) fn add(&mut self, mut item: Item) {
        if let Item::Try { command } | Item::Switch { command } | Item::Back { command } = &mut item
            && (command.starts_with('#') || command.contains(char::is_control))
        {
            let is_command = !command.starts_with('#');
            *command = comment(command);
            if is_command {
                *command = format!(
                    "# yours to type, as a name in it has a control character (? here): {command}"
                );
            }
        }
        self.0.push(item);
    }

    pub(super) fn extend(&mut self, items: impl IntoIterator<Item = Item>) {
        items.into_iter().for_each(|item| self.add(item));
    }

    /// An object a line.
    pub(super) fn json(&self) -> String {
        let lines = self.0.iter().map(serde_json::to_string);
        lines
            .filter_map(Result::ok)
            .map(|line| line + "\n")
            .collect()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut heading = "";
        for item in &self.0 {
            let own = title(item);
            if own != heading && !own.is_empty() {
                let _ = write!(text, "\n{own}\n");
            }
            heading = own;
            for line in body(item).lines() {
                let _ = match own.is_empty() {
                    true => writeln!(text, "{line}"),
                    false => writeln!(text, "{}", format!("    {line}").trim_end()),
                };
            }
        }
        text
    }
}

fn title(item: &Item) -> &'static str {
    match item {
        Item::Migrated { .. } => "",
        Item::Kept { .. } => "What was there before",
        Item::LeftOut { .. } => "Not copied, or not as it was",
        Item::Changed { .. } | Item::Made { .. } => "Changed in the copy",
        Item::Shared { .. } => {
            "Shared while both servers run (once the old one is stopped it is Camelpost's, and may stay as it is)"
        }
        Item::Start { .. } | Item::Remark { .. } => "How it is started",
        Item::Limit { .. } => "Other limits than before",
        Item::NotChecked { .. } => "Check of the copy",
        Item::Try { .. } => "To try it beside the old server",
        Item::Switch { .. } => "To switch over",
        Item::Back { .. } => "To switch back",
    }
}

fn body(item: &Item) -> String {
    match item {
        Item::Migrated {
            from,
            to,
            compat,
            compat_from,
            files,
            dry_run,
        } => {
            let (from, to) = (from.display(), to.display());
            let head = match dry_run {
                true => format!(
                    "{from} would be copied to {to} ({files} files); nothing is written (--dry-run)"
                ),
                false => {
                    format!("{from} is copied to {to} ({files} files); the old server is as it was")
                }
            };
            format!("{head}\nqpsmtpd {compat}: {compat_from}")
        }
        Item::Kept { directory, differ } => {
            let kept = directory.display();
            let mut text = format!("it is kept as {kept}");
            for file in differ {
                let _ = write!(
                    text,
                    "\n{kept}/{} is not the same in the new one",
                    file.display()
                );
            }
            text
        }
        Item::LeftOut { file, what } => format!("{}: {what}", file.display()),
        Item::Changed {
            file,
            line,
            before,
            after,
        } => {
            let place = place(file, *line);
            match before {
                Some(before) => format!("{place}: {before} -> {after}"),
                None => format!("{place}: {after}"),
            }
        }
        Item::Made { directory, owner } => {
            format!("{}: made, for {owner}", directory.display())
        }
        Item::Shared {
            path,
            file,
            line,
            what,
            instead,
        } => {
            let place = place(file, Some(*line).filter(|line| *line > 0));
            let instead = instead
                .as_ref()
                .map_or_else(String::new, |instead| format!("; for a trial: {instead}"));
            format!("{place}: {} ({what}){instead}", path.display())
        }
        Item::Start {
            file,
            line,
            before,
            after,
        } => {
            let after = quoted(after);
            match file {
                Some(file) => {
                    format!(
                        "{}: {}\nbecomes {after}",
                        place(file, *line),
                        quoted(before)
                    )
                }
                None => after,
            }
        }
        Item::Remark { text } | Item::Limit { text } | Item::NotChecked { text } => text.clone(),
        Item::Try { command } | Item::Switch { command } | Item::Back { command } => {
            command.clone()
        }
    }
}

fn place(file: &std::path::Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", file.display()),
        None => file.display().to_string(),
    }
}

/// A text for a comment: a path may have a line feed, and what comes behind it would be read as a command.
pub(super) fn comment(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// Words as a shell takes them.
pub(super) fn quoted(words: &[String]) -> String {
    let words = words.iter().map(|word| {
        let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%[]".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_a_kind_have_one_heading() {
        let mut report = Report::default();
        for text in ["a", "b"] {
            report.add(Item::Limit {
                text: text.to_owned(),
            });
        }
        assert_eq!(report.text(), "\nOther limits than before\n    a\n    b\n");
        assert_eq!(
            report.json().lines().next(),
            Some(r#"{"event":"limit","text":"a"}"#)
        );
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let words = ["a", "b c", "it's", "[::1]:25"].map(str::to_owned);
        assert_eq!(quoted(&words), r"a 'b c' 'it'\''s' [::1]:25");
    }

    #[test]
    fn a_command_or_comment_stays_one_line_whatever_path_is_in_it() {
        let mut report = Report::default();
        let text = || "# a\nreboot\r".to_owned();
        report.extend([
            Item::Try { command: text() },
            Item::Switch { command: text() },
            Item::Back { command: text() },
        ]);
        let of = |heading: &str| format!("\n{heading}\n    # a?reboot?\n");
        let expected = [
            "To try it beside the old server",
            "To switch over",
            "To switch back",
        ];
        assert_eq!(report.text(), expected.map(of).concat());
        assert!(!report.json().contains("\\n"), "{}", report.json());
    }
}
