//! The words of a Perl plugin's line as such plugins make a hash of them: names and values in turns, of two of a
//! name the last counts, and a name at the end has no value. Knows no plugin's names.

use super::list::is_true;
use crate::plugin::PluginError;

/// Whether the last name has no value, of which most plugins tell.
pub(super) fn are_odd(words: &[Vec<u8>]) -> bool {
    words.len() % 2 == 1
}

/// The value of a name; none where it is not defined.
pub(super) fn get<'a>(words: &'a [Vec<u8>], name: &str) -> Option<&'a [u8]> {
    let of_name = |pair: &&[Vec<u8>]| pair[0] == name.as_bytes();
    let last = words.chunks(2).rfind(of_name)?;
    last.get(1).map(Vec::as_slice)
}

/// A value that is true in Perl's sense.
pub(super) fn get_true<'a>(words: &'a [Vec<u8>], name: &str) -> Option<&'a [u8]> {
    get(words, name).filter(|value| is_true(value))
}

/// A true value as a text.
pub(super) fn text(words: &[Vec<u8>], name: &str) -> Option<String> {
    get_true(words, name).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// What a word is to Perl where it takes it for a number: what it begins with, else 0.
pub(super) fn number(word: &[u8]) -> f64 {
    let word = word.trim_ascii_start();
    let starts = (1..=word.len()).rev().map(|end| &word[..end]);
    // `inf` and `nan` are words here.
    let mut starts =
        starts.filter(|start| start[start.len() - 1].is_ascii_digit() || start.ends_with(b"."));
    let found = starts.find_map(|start| std::str::from_utf8(start).ok()?.parse::<f64>().ok());
    found.unwrap_or_default()
}

/// For a line of a native plugin's own: every name has a value, and is one of these.
pub(super) fn check(words: &[Vec<u8>], known: &[&str]) -> Result<(), PluginError> {
    for pair in words.chunks(2) {
        let name = String::from_utf8_lossy(&pair[0]);
        if !known.contains(&&*name) {
            let known = known.join(", ");
            let problem = format!("unknown argument '{name}'; there are: {known}");
            return Err(PluginError::new(problem));
        }
        if pair.len() == 1 {
            return Err(PluginError::argument(name, "has no value"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_counts() {
        let words = |line: &str| -> Vec<Vec<u8>> {
            let words = line.split(' ');
            words.map(|word| word.as_bytes().to_vec()).collect()
        };
        let line = words("a 1 b 2 a 0 c");
        assert!(are_odd(&line));
        assert_eq!(get(&line, "a"), Some(&b"0"[..]));
        assert_eq!(get_true(&line, "a"), None);
        assert_eq!(text(&line, "b").as_deref(), Some("2"));
        assert_eq!(get(&line, "c"), None);
        // A value is no name.
        assert_eq!(get(&words("a b b c"), "b"), Some(&b"c"[..]));
    }

    #[test]
    fn a_name_that_is_not_known_or_has_no_value_is_refused() {
        let check = |line: &str| {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
            let checked = super::check(&words, &["wait", "action"]);
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(check("wait 1 action x wait 2"), Ok(()));
        let unknown = "unknown argument 'odd'; there are: wait, action";
        assert_eq!(check("wait 1 odd"), Err(unknown.to_owned()));
        assert_eq!(
            check("wait"),
            Err("argument 'wait' has no value".to_owned())
        );
    }

    #[test]
    fn a_word_is_the_number_that_it_begins_with() {
        for (word, expected) in [
            ("0.3", 0.3),
            ("12x", 12.0),
            ("-1.5e1s", -15.0),
            ("x", 0.0),
            ("inf", 0.0),
            ("5.", 5.0),
        ] {
            assert_eq!(number(word.as_bytes()), expected, "{word}");
        }
    }
}
