//! docs/first-plugin.md is followed from an empty directory: its files are written, its commands typed, and what they
//! print is what the page shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use camelpost_support::process::is_root;
use camelpost_support::{Daemon, free_port, until};
use regex::Regex;

use crate::CAMELPOST;
use crate::page::Page;

/// Whose home the page is written in.
const HOME: &str = "/home/ann";

/// What the page's reader does.
enum Step {
    /// Writes a file; with the beginning of a line: keeps what is before that.
    Write(String, Option<String>, String),
    Type(String, String),
}

/// `FILE`: or `FILE`, from `WORDS` on:
fn file(above: &str) -> Option<(String, Option<String>)> {
    let quoted: Vec<&str> = above.split('`').collect();
    match quoted[..] {
        ["", file, ":"] => Some((file.to_owned(), None)),
        ["", file, ", from ", words, " on:"] => Some((file.to_owned(), Some(words.to_owned()))),
        _ => None,
    }
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in Page::of("docs/first-plugin.md").blocks() {
        let text = block.lines.join("\n") + "\n";
        if let Some((file, from)) = file(&block.above) {
            steps.push(Step::Write(file, from, text));
            continue;
        }
        if !text.starts_with("$ ") {
            match steps.last_mut() {
                Some(Step::Type(_, shown)) if block.above.is_empty() => {
                    *shown += &format!("\n{text}")
                }
                _ => panic!(
                    "docs/first-plugin.md:{}: neither a file nor a command",
                    block.line
                ),
            }
            continue;
        }
        for line in block.lines {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step::Type(command.to_owned(), String::new())),
                (None, Some(Step::Type(_, shown))) => *shown += &format!("{line}\n"),
                (None, _) => panic!("{line}"),
            }
        }
    }
    steps
}

/// Without what is another one each time: times, the version, and where it is done.
fn plain(text: &str, home: &Path) -> String {
    let mut text = text.replace(&home.display().to_string(), HOME);
    for (pattern, with) in [
        (r"\d+\.\d ms", "N ms"),
        (r"camelpost \S+ ready", "camelpost VERSION ready"),
        (r"(Tests=\d+), .*CPU\)", "$1"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, with)
            .into_owned();
    }
    text
}

struct Reader {
    home: PathBuf,
    directory: PathBuf,
    port: String,
    server: Option<Daemon>,
}

impl Reader {
    /// The words of a command, with what this machine needs and a page does not: another port and control socket
    /// than others have, and root's consent to be root.
    fn command(&self, line: &str) -> Command {
        let words = line.split(' ').map(|word| match word {
            "2525" => self.port.clone(),
            _ => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        assert_eq!(words[0], "camelpost", "{line}");
        let mut command = Command::new(CAMELPOST);
        command
            .args(&words[1..])
            .current_dir(&self.directory)
            .env("HOME", &self.home);
        command.env_remove("QPSMTPD_CONFIG").env("LC_ALL", "C");
        if is_root() && ["check", "try", "serve"].contains(&&*words[1]) {
            command.args(["--user", "root"]);
        }
        if ["serve", "reload"].contains(&&*words[1]) {
            command.arg("--control").arg(self.home.join("control"));
        }
        command
    }

    fn types(&mut self, line: &str, shown: &str) {
        if let Some(directory) = line.strip_prefix("cd ") {
            self.directory.push(directory);
            return;
        }
        let mut command = self.command(line);
        if line.starts_with("camelpost serve") {
            assert_eq!(shown, "", "it goes on");
            self.server = Some(Daemon::spawn(command));
            let ping = |reader: &Reader| {
                let mut ping = Command::new(CAMELPOST);
                ping.args(["ping", "--control"])
                    .arg(reader.home.join("control"));
                ping.output().unwrap().status.success()
            };
            until("the server that the page has started", || ping(self));
            return;
        }
        let output = command.output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        // The log of a try is the same as under `serve`.
        let printed: String = printed
            .lines()
            .filter(|line| !line.contains("no plugin hooks queue"))
            .fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(
            plain(&printed, &self.home),
            plain(shown, &self.home),
            "{line}"
        );
    }
}

#[test]
fn the_page_is_followed_from_an_empty_directory() {
    let empty = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(empty.path()).unwrap();
    let mut reader = Reader {
        directory: home.clone(),
        home,
        port: free_port().to_string(),
        server: None,
    };
    let (mut typed, mut code) = (0, 0);
    for step in steps() {
        match step {
            Step::Type(line, shown) => {
                typed += 1;
                reader.types(&line, &shown);
            }
            Step::Write(file, from, text) => {
                code += text.lines().count();
                let path = reader.directory.join(file);
                let kept = from.map_or_else(String::new, |from| {
                    let old = fs::read_to_string(&path).unwrap();
                    let (kept, _) = old.split_once(&format!("\n{from}")).unwrap();
                    kept.to_owned() + "\n"
                });
                fs::write(path, kept + &text).unwrap();
            }
        }
    }
    assert!(
        typed > 7 && code < 21,
        "{typed} commands, {code} lines of code"
    );
    assert!(reader.server.unwrap().stop().success());
}
