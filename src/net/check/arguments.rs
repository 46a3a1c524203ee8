//! Arguments that a plugin of qpsmtpd's own does not know: those that have names. A file that was changed may know more
//! than the original: what its text names is no finding. Native plugins say so themselves.

use crate::base::finding::Finding;
use crate::base::likely::likely;
use crate::plugin::Registry;

use super::known_plugins::{KNOWN, KnownPlugin, renamed};
use super::source::{Named, find, has_word};

/// What Qpsmtpd::Plugin itself looks at, in each plugin that keeps its pairs where that looks.
const OF_ALL: [&str; 4] = ["loglevel", "reject", "reject_type", "dns_timeout"];

/// Looks at a line's arguments.
pub(super) fn look(named: &Named, dirs: &[Vec<u8>], registry: &Registry, tell: &dyn Fn(Finding)) {
    let own = named.name();
    let name = renamed(&own);
    let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
        return;
    };
    // What only leads to another file has that one's arguments.
    let text = match name == own {
        true => named.text.clone(),
        false => match find(name, dirs).map(std::fs::read) {
            Some(Ok(text)) => text,
            _ => return,
        },
    };
    let whose = registry.twin(name).and_then(|twin| twin.whose(&text));
    let version = whose.map_or("", |profile| crate::config::compared_version(profile));
    let text = String::from_utf8_lossy(&text);
    for text in unknown(known, &named.line.args, &text) {
        let of = match version {
            "" => format!("the plugin {name} of qpsmtpd"),
            version => format!("the plugin {name} of qpsmtpd {version}"),
        };
        tell(Finding::warning(format!(
            "{}: {of} has no argument {text}",
            named.line.place
        )));
    }
}

/// What is not known of these words, with what was meant.
fn unknown(known: &KnownPlugin, words: &[Vec<u8>], text: &str) -> Vec<String> {
    let words = words.get(known.before..).unwrap_or_default();
    // Which of an odd number is the odd one, nobody knows.
    if words.len() % 2 != 0 {
        return Vec::new();
    }
    let names = words.iter().step_by(2);
    let names = names.map(|word| String::from_utf8_lossy(word).into_owned());
    let is_odd = |name: &String| {
        let name = name.as_str();
        !(OF_ALL.contains(&name) || known.arguments.contains(&name) || has_word(text, name))
    };
    let odd = names.filter(is_odd).map(|name| {
        if known.of_1_00.contains(&&*name) {
            return format!("{name}, which is that of qpsmtpd 1.00");
        }
        let all = || known.arguments.iter().chain(known.of_1_00).copied();
        match likely(&name, all().chain(OF_ALL)) {
            Some(meant) => format!("{name}; {meant} is one"),
            None => {
                let mut all: Vec<&str> = all().collect();
                if !all.contains(&"loglevel") {
                    all.push("loglevel");
                }
                format!("{name}; there are: {}", all.join(", "))
            }
        }
    });
    odd.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, words: &str, text: &str) -> Vec<String> {
        let known = KNOWN.iter().find(|known| known.name == name).unwrap();
        let words = words.split(' ').filter(|word| !word.is_empty());
        let words: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
        unknown(known, &words, text)
    }

    #[test]
    fn a_name_with_a_slip_is_told_of_with_the_one_that_was_meant() {
        assert_eq!(
            of("dnsbl", "rejekt 1 timeout 3", ""),
            ["rejekt; reject is one"]
        );
        assert_eq!(of("dnsbl", "loglevel -1 reject 0", ""), [""; 0]);
        assert_eq!(
            of("relay", "colour red", ""),
            ["colour; there are: only, loglevel"]
        );
    }

    #[test]
    fn what_the_file_itself_names_is_known() {
        assert_eq!(of("dnsbl", "own 1", "$self->{_args}{own}"), [""; 0]);
        assert_eq!(
            of("karma", "strikes 3", ""),
            ["strikes, which is that of qpsmtpd 1.00"]
        );
    }

    #[test]
    fn words_before_the_pairs_and_odd_numbers_of_words_are_let_alone() {
        assert_eq!(of("ident/p0f", "/run/p0f version 3", ""), [""; 0]);
        assert_eq!(of("dnsbl", "rejekt", ""), [""; 0]);
    }
}
