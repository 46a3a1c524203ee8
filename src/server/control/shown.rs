//! What a peer sends, as a terminal may have it: each character that would do something there is
//! shown instead, wherever it stands in an answer. What the answer means is not known here.

#![forbid(unsafe_code)]

use serde_json::Value;

/// The only text that may have lines, and tabs in them: what perl says about a plugin does.
const OF_SEVERAL_LINES: &str = "error";

/// An answer without anything that moves a terminal's cursor, sets its title or forges a line.
pub(crate) fn shown(answer: Value) -> Value {
    match answer {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| match value {
                    Value::String(text) if name == OF_SEVERAL_LINES => {
                        (name, Value::String(escaped(&text, &['\n', '\t'])))
                    }
                    value => (text(&name), any(value)),
                })
                .collect(),
        ),
        other => any(other),
    }
}

/// A text of one line.
pub(in crate::server) fn text(text: &str) -> String {
    escaped(text, &[])
}

fn any(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(text(&string)),
        Value::Array(all) => Value::Array(all.into_iter().map(any).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (text(&name), any(value)))
                .collect(),
        ),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}

fn escaped(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match acts(character) && !kept.contains(&character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

/// Control characters, those of Unicode's C1 range among them; what ends a line or turns the
/// direction of writing, so that text would look as if it stood elsewhere.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_would_act_on_a_terminal_is_shown() {
        let answer = json!({
            "program": "\u{1b}]0;PWNED\u{7}0.1.0\nforged line\r",
            "workers": [{"running": [{"plugin": "a\u{9b}31m\u{7f}b"}]}],
            "queue_outcomes": {"\u{202e}done\u{2028}": 1},
            "pid": 7,
        });
        let shown = shown(answer);
        assert_eq!(shown["program"], r"\u{1b}]0;PWNED\u{7}0.1.0\nforged line\r");
        assert_eq!(
            shown["workers"][0]["running"][0]["plugin"],
            r"a\u{9b}31m\u{7f}b"
        );
        assert_eq!(shown["queue_outcomes"][r"\u{202e}done\u{2028}"], 1);
        assert_eq!(shown["pid"], 7);
    }

    #[test]
    fn plain_text_of_any_language_stays_and_an_error_keeps_its_lines() {
        let answer = json!({"program": "größe 0.1 \\ \"x\"", "error": "one\n\ttwo\u{1b}[31m"});
        let shown = shown(answer);
        assert_eq!(shown["program"], "größe 0.1 \\ \"x\"");
        assert_eq!(shown["error"], "one\n\ttwo\\u{1b}[31m");
    }

    #[test]
    fn an_error_deeper_in_an_answer_has_one_line() {
        let shown = shown(json!({"workers": [{"error": "a\nb"}]}));
        assert_eq!(shown["workers"][0]["error"], r"a\nb");
    }
}
