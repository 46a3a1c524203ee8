//! The example of docs/try.md is what the program shows.

use camelpost_support::Site;
use regex::Regex;

use crate::played::{command, run};

const PAGE: &str = include_str!("../../docs/try.md");

/// The indented block behind the line that ends like this.
fn block(end: &str) -> String {
    let mut lines = PAGE.lines().skip_while(|line| !line.ends_with(end)).skip(1);
    let mut found = String::new();
    for line in lines.by_ref().skip_while(|line| line.is_empty()) {
        match line.strip_prefix("    ") {
            Some(line) => found.push_str(line),
            None if line.is_empty() => {}
            None => break,
        }
        found.push('\n');
    }
    found.trim_end().to_owned() + "\n"
}

/// Times and versions are never the same.
fn plain(text: &str) -> String {
    let times = Regex::new(r"\d+\.\d ms").unwrap();
    let version = Regex::new(r"camelpost \S+ ready").unwrap();
    let text = times.replace_all(text, "N ms");
    version
        .replace_all(&text, "camelpost VERSION ready")
        .into_owned()
}

#[test]
fn the_example_of_the_page_is_what_is_shown() {
    let site = Site::new(&block("`config/plugins`:"));
    site.put("plugins/newcomer", &block("`plugins/newcomer`:"));
    site.config("rcpthosts", block("`config/rcpthosts`:"));
    site.put("mail.txt", &block("`mail.txt`:"));
    let shown = block("shows");
    let line = shown.lines().next().unwrap();
    let words = line
        .strip_prefix("$ camelpost try --config config ")
        .unwrap();
    let words: Vec<&str> = words.split(' ').collect();
    let output = run(command(&site, &words), "");
    let expected = shown.split_once('\n').unwrap().1;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        plain(text.trim_end()),
        plain(expected.trim_end()),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(1));
}
