//! Options as Perl's Getopt::Long takes them, which the original's programs use: long names with
//! one dash or two, abbreviated as far as they stay unique, values after `=` or as the next word.
//! Short options are not bundled. Knows no program's options.

use std::collections::BTreeSet;

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Text,
    Number,
}

/// An option: its names, the first of which it is known by afterwards.
#[derive(Debug)]
pub(super) struct Opt {
    pub names: &'static [&'static str],
    pub takes: Takes,
}

/// The options that one program has.
#[derive(Debug)]
pub(super) struct Options {
    pub all: &'static [Opt],
    pub ignore_case: bool,
}

/// What was given, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub options: Vec<(&'static str, String)>,
    /// Words that belong to no option.
    pub others: Vec<String>,
}

impl Given {
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == name)
    }

    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = self.options.iter().filter(move |(given, _)| *given == name);
        of_name.map(|(_, value)| value.as_str())
    }

    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }
}

impl Options {
    /// Reads a command line. The error is a line for each thing that is wrong.
    pub(super) fn parse(
        &self,
        args: impl IntoIterator<Item = String>,
    ) -> Result<Given, Vec<String>> {
        let mut args = args.into_iter();
        let mut given = Given::default();
        let mut problems = Vec::new();
        while let Some(arg) = args.next() {
            if arg == "--" {
                given.others.extend(args);
                break;
            }
            let Some(word) = arg.strip_prefix('-').filter(|word| !word.is_empty()) else {
                given.others.push(arg);
                continue;
            };
            let word = word.strip_prefix('-').unwrap_or(word);
            let (word, value) = match word.split_once('=') {
                Some((word, value)) => (word, Some(value.to_owned())),
                None => (word, None),
            };
            let taken = self.find(word).and_then(|(option, shown)| {
                let value = option.value(shown, value, || args.next())?;
                Ok((option.names[0], value))
            });
            match taken {
                Ok(option) => given.options.push(option),
                Err(problem) => problems.push(problem),
            }
        }
        match problems.is_empty() {
            true => Ok(given),
            false => Err(problems),
        }
    }

    /// The option of a name or of the beginning of one; also the name.
    fn find(&self, word: &str) -> Result<(&'static Opt, &'static str), String> {
        let same = |name: &str, word: &str| match self.ignore_case {
            true => name.eq_ignore_ascii_case(word),
            false => name == word,
        };
        let names = || {
            let all = self.all.iter();
            all.flat_map(|option| option.names.iter().map(move |name| (option, *name)))
        };
        if let Some(exact) = names().find(|(_, name)| same(name, word)) {
            return Ok(exact);
        }
        let begins = |name: &str| {
            let beginning = name.get(..word.len());
            beginning.is_some_and(|beginning| same(beginning, word))
        };
        let found: Vec<_> = names().filter(|(_, name)| begins(name)).collect();
        let different: BTreeSet<&str> = found.iter().map(|(option, _)| option.names[0]).collect();
        match (found.first(), different.len()) {
            (Some(found), 1) => Ok(*found),
            (Some(_), _) => {
                let mut names: Vec<&str> = found.iter().map(|(_, name)| *name).collect();
                names.sort_unstable();
                let names = names.join(", ");
                Err(format!("Option {word} is ambiguous ({names})"))
            }
            (None, _) => Err(format!("Unknown option: {word}")),
        }
    }
}

impl Opt {
    fn value(
        &self,
        shown: &str,
        value: Option<String>,
        next: impl FnOnce() -> Option<String>,
    ) -> Result<String, String> {
        if self.takes == Takes::Nothing {
            return match value {
                None => Ok(String::new()),
                Some(_) => Err(format!("Option {shown} does not take an argument")),
            };
        }
        let value = match value {
            Some(value) if value.is_empty() => None,
            Some(value) => Some(value),
            None => next(),
        };
        let value = value.ok_or_else(|| format!("Option {shown} requires an argument"))?;
        if self.takes == Takes::Number && !is_number(&value) {
            return Err(format!(
                "Value \"{value}\" invalid for option {shown} (number expected)"
            ));
        }
        Ok(value)
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options {
        all: &[
            Opt {
                names: &["port", "p"],
                takes: Takes::Text,
            },
            Opt {
                names: &["limit"],
                takes: Takes::Number,
            },
            Opt {
                names: &["pretty"],
                takes: Takes::Nothing,
            },
        ],
        ignore_case: false,
    };

    fn parse(line: &str) -> Result<Given, Vec<String>> {
        OPTIONS.parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_name_may_have_one_dash_or_two_and_be_abbreviated() {
        for line in ["-port 25", "--port 25", "--po=25", "-p 25", "--p 25"] {
            let given = parse(line).unwrap();
            assert_eq!(given.options, [("port", "25".to_owned())], "{line}");
        }
        assert_eq!(parse("--lim -3").unwrap().last("limit"), Some("-3"));
    }

    #[test]
    fn what_belongs_to_no_option_is_kept_apart() {
        let given = parse("one --pretty two -- --port 25").unwrap();
        assert!(given.has("pretty"));
        assert_eq!(given.others, ["one", "two", "--port", "25"]);
    }

    #[test]
    fn each_thing_that_is_wrong_has_its_line() {
        assert_eq!(
            parse("--bogus -x --limit many --pretty=1 --pr --port").unwrap_err(),
            [
                "Unknown option: bogus",
                "Unknown option: x",
                "Value \"many\" invalid for option limit (number expected)",
                "Option pretty does not take an argument",
                "Option port requires an argument",
            ]
        );
    }
}
