//! A page as it is written: what people read, its blocks and its words in backticks. Knows no command.

use std::fs;
use std::path::PathBuf;

use camelpost_support::repository;

/// A page of Markdown.
pub struct Page {
    /// From the checkout's root.
    pub name: String,
    pub text: String,
}

/// Indented or fenced lines, with the number of the first.
pub struct Block {
    pub line: usize,
    /// The line of running text above it; none where another block is.
    pub above: String,
    pub lines: Vec<String>,
}

fn page(path: &str) -> Page {
    Page {
        name: path.to_owned(),
        text: fs::read_to_string(repository().join(path)).unwrap(),
    }
}

fn below(dir: &str) -> Vec<Page> {
    let entries = fs::read_dir(repository().join(dir)).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    let pages = names.iter().map(|name| page(&format!("{dir}/{name}")));
    pages.collect()
}

/// README.md and those of docs that people read.
pub fn for_people() -> Vec<Page> {
    let mut pages = vec![page("README.md")];
    pages.extend(below("docs"));
    assert!(pages.len() > 15, "{}", pages.len());
    pages
}

/// All that have links to each other.
pub fn all() -> Vec<Page> {
    let mut pages = for_people();
    pages.extend(below("docs/tables"));
    for name in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "packaging/README.md",
        "tests/README.md",
    ] {
        pages.push(page(name));
    }
    pages
}

impl Page {
    pub fn path(&self) -> PathBuf {
        repository().join(&self.name)
    }

    pub fn of(name: &str) -> Page {
        page(name)
    }

    /// The blocks, without what indents or fences them.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let (mut is_fenced, mut goes_on) = (false, false);
        let mut above = String::new();
        for (at, line) in self.text.lines().enumerate() {
            if line.starts_with("```") {
                is_fenced = !is_fenced;
                goes_on = false;
                continue;
            }
            let inner = match is_fenced {
                true => Some(line),
                false => line.strip_prefix("    "),
            };
            match (inner, goes_on) {
                (Some(inner), true) => blocks.last_mut().unwrap().lines.push(inner.to_owned()),
                (Some(inner), false) => {
                    goes_on = true;
                    blocks.push(Block {
                        line: at + 1,
                        above: std::mem::take(&mut above),
                        lines: vec![inner.to_owned()],
                    });
                }
                // A blank line parts two blocks, as two of a form are nothing to each other.
                (None, _) => {
                    goes_on = false;
                    if !line.is_empty() {
                        above = line.to_owned();
                    }
                }
            }
        }
        blocks
    }

    /// What is in backticks in the running text, with a blank where a line ends.
    pub fn quoted(&self) -> Vec<String> {
        let mut prose = String::new();
        let mut is_fenced = false;
        for line in self.text.lines() {
            if line.starts_with("```") {
                is_fenced = !is_fenced;
            } else if !is_fenced && !line.starts_with("    ") {
                prose.push_str(line);
                prose.push(' ');
            }
        }
        let quoted = prose.split('`').skip(1).step_by(2);
        quoted
            .map(|quoted| quoted.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }
}
