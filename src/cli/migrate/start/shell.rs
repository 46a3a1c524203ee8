//! A start script as the commands that it runs, with their variables filled in. It runs nothing and is no shell: conditions
//! and loops are passed over, every command counts, in its order. What only running a program would tell stays in the text,
//! between backticks, for the reader to see.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::root::{Root, plain};
use super::lexer::{Piece, Raw, commands};

/// A command of a script.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The line that it begins in.
    pub(super) line: usize,
    pub(super) words: Vec<String>,
    /// Those of the variables that it was called with that matter (`KEPT`).
    pub(super) variables: HashMap<String, String>,
    /// The working directory.
    pub(super) working: PathBuf,
}

/// Reads a script that is started in this directory.
pub(super) fn calls(root: &Root, script: &Path, text: &str, working: &Path) -> Vec<Call> {
    let mut reader = Reader {
        root,
        script,
        variables: HashMap::new(),
        working: working.to_path_buf(),
        calls: Vec::new(),
        left: Cell::new(MOST),
    };
    reader.read(text, 0);
    reader.calls
}

/// The words of a text that is no script, such as a value that a script has made.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

struct Reader<'a> {
    root: &'a Root,
    script: &'a Path,
    variables: HashMap<String, String>,
    working: PathBuf,
    calls: Vec<Call>,
    /// Bytes that variables may still come to.
    left: Cell<usize>,
}

/// What may stand before a command.
const BEFORE: [&str; 9] = [
    "if", "then", "else", "elif", "do", "while", "until", "!", "{",
];

/// The variables that say something beyond the command's words.
const KEPT: [&str; 2] = ["QPSMTPD_CONFIG", "ENABLED"];

/// How many bytes variables may come to in a whole script: one that doubles them in each line comes to an end.
const MOST: usize = 4 << 20;

/// How deep scripts may read one another.
const MAX_DEPTH: usize = 5;

impl Reader<'_> {
    fn read(&mut self, text: &str, depth: usize) {
        for (line, raw) in commands(text) {
            self.command(line, &raw, depth);
        }
    }

    fn command(&mut self, line: usize, raw: &[Raw], depth: usize) {
        let mut raw = raw;
        while let [first, rest @ ..] = raw
            && BEFORE.iter().any(|word| first.is(word))
        {
            raw = rest;
        }
        let mut own = HashMap::new();
        let is_command = raw.iter().any(|word| word.assignment().is_none());
        while let [first, rest @ ..] = raw
            && let Some((name, value)) = first.assignment()
        {
            let value = self.value(&value);
            match is_command {
                true => own.insert(name, value),
                false => self.variables.insert(name, value),
            };
            raw = rest;
        }
        if raw.is_empty() {
            return;
        }
        let words: Vec<String> = raw.iter().flat_map(|word| self.fields(word)).collect();
        match (words.first().map(String::as_str), words.get(1)) {
            (Some("." | "source"), Some(file)) => self.source(file, depth),
            (Some("cd"), Some(dir)) if !dir.contains('`') => self.working = self.path(dir),
            (Some("export" | "readonly" | "local"), _) => {
                for word in raw.iter().skip(1) {
                    if let Some((name, value)) = word.assignment() {
                        let value = self.value(&value);
                        self.variables.insert(name, value);
                    }
                }
            }
            (Some(_), _) => {
                let kept = KEPT.iter().filter_map(|name| {
                    let value = own.get(*name).or_else(|| self.variables.get(*name))?;
                    Some(((*name).to_owned(), value.clone()))
                });
                let variables = kept.collect();
                self.calls.push(Call {
                    line,
                    words,
                    variables,
                    working: self.working.clone(),
                });
            }
            (None, _) => {}
        }
    }

    /// The commands of another script, but for the distribution's own, which start nothing by themselves.
    fn source(&mut self, file: &str, depth: usize) {
        let path = self.path(file);
        let is_library =
            path.starts_with("/lib") || path.starts_with("/usr/lib") || path.ends_with("functions");
        if depth < MAX_DEPTH
            && !is_library
            && let Some(text) = self.root.text(&path)
        {
            self.read(&text, depth + 1);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        plain(&self.working.join(name))
    }

    /// A value as one text.
    fn value(&self, pieces: &[(Piece, bool)]) -> String {
        pieces.iter().map(|(piece, _)| self.piece(piece)).collect()
    }

    /// A word as the words that it becomes.
    fn fields(&self, raw: &Raw) -> Vec<String> {
        let mut fields = Vec::new();
        let mut current: Option<String> = None;
        for (piece, quoted) in &raw.0 {
            let text = self.piece(piece);
            if *quoted || matches!(piece, Piece::Text(_)) || text.contains('`') {
                current.get_or_insert_default().push_str(&text);
                continue;
            }
            if text.starts_with(char::is_whitespace) {
                fields.extend(current.take());
            }
            for (at, word) in text.split_whitespace().enumerate() {
                if at > 0 {
                    fields.extend(current.take());
                }
                current.get_or_insert_default().push_str(word);
            }
            if text.ends_with(char::is_whitespace) {
                fields.extend(current.take());
            }
        }
        fields.extend(current);
        fields
    }

    fn piece(&self, piece: &Piece) -> String {
        match piece {
            Piece::Text(text) => text.clone(),
            Piece::Output(command) => self.output(command),
            Piece::Variable { name, default } => match (&**name, self.variables.get(name)) {
                ("0", _) => self.script.display().to_string(),
                // A service is started without arguments.
                ("@" | "*" | "#", _) => String::new(),
                (_, Some(value)) if !(value.is_empty() && default.is_some()) => {
                    let left = self.left.get().checked_sub(value.len());
                    self.left.set(left.unwrap_or_default());
                    left.map_or_else(String::new, |_| value.clone())
                }
                _ => default.as_deref().map_or_else(String::new, |default| {
                    let words = commands(default).into_iter().flat_map(|(_, raw)| raw);
                    let words: Vec<String> = words.map(|raw| self.value(&raw.0)).collect();
                    words.join(" ")
                }),
            },
        }
    }

    /// What a command prints, where that can be known without running it.
    fn output(&self, command: &str) -> String {
        let unknown = || format!("`{}`", command.replace('`', "'").trim());
        let mut inner = commands(command).into_iter();
        let Some((_, raw)) = inner.next() else {
            return String::new();
        };
        let words: Vec<String> = raw.iter().flat_map(|word| self.fields(word)).collect();
        let name = words.first().map(|word| base(word).to_owned());
        let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let found = match (name.as_deref(), arguments.as_slice()) {
            // Names are what Camelpost takes.
            (Some("id"), ["-u" | "-g" | "-un" | "-gn", name]) => Some((*name).to_owned()),
            (Some("head"), ["-1" | "-n1", file] | ["-n", "1", file]) => self.first_line(file),
            (Some("cat"), [file]) => self.root.text(&self.path(file)),
            (Some("dirname"), [path]) => Path::new(path)
                .parent()
                .map(|parent| parent.display().to_string()),
            (Some("pwd"), []) => Some(self.working.display().to_string()),
            // As Debian's script has it: an option for each word.
            (Some("echo"), listed) if command.contains("--listen-address $1") => {
                let listed = listed.iter().flat_map(|word| word.split_whitespace());
                let options: Vec<String> = listed
                    .map(|word| format!("--listen-address {word}"))
                    .collect();
                return options.join(" ");
            }
            _ => None,
        };
        match found.filter(|_| inner.next().is_none()) {
            Some(text) => text.trim_end().to_owned(),
            None => unknown(),
        }
    }

    fn first_line(&self, file: &str) -> Option<String> {
        let text = self.root.text(&self.path(file))?;
        text.lines().next().map(str::to_owned)
    }
}

/// The last part of a path.
pub(in super::super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Vec<String>> {
        let root = Root::new(None).unwrap();
        let calls = calls(&root, Path::new("/srv/x/run"), text, Path::new("/srv/x"));
        calls.into_iter().map(|call| call.words).collect()
    }

    fn last(text: &str) -> String {
        read(text).pop().unwrap_or_default().join("|")
    }

    #[test]
    fn variables_are_filled_in_and_split_as_a_shell_does() {
        assert_eq!(
            last("A='b c'\nrun $A \"$A\" x$A'y z'"),
            "run|b|c|b c|xb|cy z"
        );
        assert_eq!(last("A=\nrun $A \"$A\" ${A:-d e}"), "run||d|e");
        assert_eq!(last("A=1 B=2 run ${C-3}"), "run|3");
        assert_eq!(
            last("BIN=/usr/bin\nexec 2>&1 \\\n$BIN/x -m 1 # no\n"),
            "exec|/usr/bin/x|-m|1"
        );
    }

    #[test]
    fn what_a_program_would_tell_is_known_of_some_and_shown_of_others() {
        assert_eq!(last("U=`id -u smtpd`\nrun -u $U"), "run|-u|smtpd");
        assert_eq!(
            last("run $(/sbin/config getprop x y)"),
            "run|`/sbin/config getprop x y`"
        );
        assert_eq!(
            last("run -p `head -1 /no/such/file`"),
            "run|-p|`head -1 /no/such/file`"
        );
        let debian = "I='1.2.3.4 [::1]:25'\nL=`echo \"$I\" | \\\n perl -pe 's/(\\S+)/--listen-address $1/g'`\nrun $L x";
        assert_eq!(
            last(debian),
            "run|--listen-address|1.2.3.4|--listen-address|[::1]:25|x"
        );
    }

    #[test]
    fn conditions_are_passed_over_and_texts_that_follow_are_no_commands() {
        let text = "if [ -f x ]; then\n  run a || exit 1\nfi\ncat <<EOT >y\nrun b\nEOT\nf() {\n run c\n}\n";
        let words: Vec<String> = read(text).iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            words,
            [
                "[ -f x ]", "run a", "exit 1", "fi", "cat", "f", "run c", "}"
            ]
        );
    }

    #[test]
    fn a_script_that_doubles_its_variables_comes_to_an_end() {
        let text = format!("A=xxxx\n{}run $A\n", "A=$A$A\n".repeat(100));
        assert!(last(&text).len() < 8 << 20);
    }

    #[test]
    fn a_script_that_is_read_leaves_its_variables() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("settings"), "PORT=26\n").unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        let text = "PORT=25\n[ -f /settings ] && . \"/settings\"\nrun $PORT\n";
        let calls = calls(&root, Path::new("/x"), text, Path::new("/"));
        assert_eq!(calls.last().unwrap().words, ["run", "26"]);
        assert_eq!(calls.last().unwrap().line, 3);
    }
}
