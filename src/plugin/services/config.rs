//! Config values of the plugin's own types, made of a file's lines once for each version of them.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::rc::Rc;
use std::str::FromStr;

/// What is made of the lines of a config value.
pub trait ConfigValue: Sized + 'static {
    /// Makes it of the lines that count: no comments, no blank ones. There are none where there is no such
    /// file.
    fn parse(lines: &[Vec<u8>]) -> Result<Self, WrongValue>;
}

/// What is wrong with a line of a config value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongValue {
    /// Which line, the first that counts is 0.
    pub line: usize,
    /// What was found there, and what is allowed.
    pub text: String,
}

impl WrongValue {
    /// What is wrong with this line.
    pub fn new(line: usize, text: impl Into<String>) -> WrongValue {
        WrongValue {
            line,
            text: text.into(),
        }
    }
}

fn text(line: usize, bytes: &[u8]) -> Result<&str, WrongValue> {
    std::str::from_utf8(bytes).map_err(|_| {
        let shown = bytes.escape_ascii();
        WrongValue::new(line, format!("'{shown}' is no text in UTF-8"))
    })
}

/// The lines as they are.
impl ConfigValue for Vec<Vec<u8>> {
    fn parse(lines: &[Vec<u8>]) -> Result<Self, WrongValue> {
        Ok(lines.to_vec())
    }
}

/// The lines as texts.
impl ConfigValue for Vec<String> {
    fn parse(lines: &[Vec<u8>]) -> Result<Self, WrongValue> {
        let texts = lines.iter().enumerate();
        texts
            .map(|(at, line)| text(at, line).map(str::to_owned))
            .collect()
    }
}

/// The lines in lower case, where it counts which there are.
impl ConfigValue for HashSet<String> {
    fn parse(lines: &[Vec<u8>]) -> Result<Self, WrongValue> {
        let texts = lines.iter().enumerate();
        texts
            .map(|(at, line)| text(at, line).map(str::to_ascii_lowercase))
            .collect()
    }
}

/// The first line, where there is one.
impl<T: FromStr<Err: Display> + 'static> ConfigValue for Option<T> {
    fn parse(lines: &[Vec<u8>]) -> Result<Self, WrongValue> {
        let Some(first) = lines.first() else {
            return Ok(None);
        };
        let text = text(0, first)?;
        let parsed = text.parse();
        parsed
            .map(Some)
            .map_err(|error| WrongValue::new(0, format!("'{text}' cannot be used: {error}")))
    }
}

struct Kept {
    lines: Vec<Vec<u8>>,
    value: Result<Rc<dyn Any>, WrongValue>,
}

thread_local! {
    /// By name and type. A worker has one thread; what it inherits of the process it was forked from holds
    /// as long as the lines do.
    static KEPT: RefCell<HashMap<(String, TypeId), Kept>> = RefCell::default();
}

/// The value of these lines: made only where it was not made of the same lines before.
pub(in crate::plugin) fn parsed<T: ConfigValue>(
    name: &str,
    lines: Vec<Vec<u8>>,
) -> Result<Rc<T>, WrongValue> {
    let key = (name.to_owned(), TypeId::of::<T>());
    let kept = KEPT.with_borrow(|all| {
        let kept = all.get(&key)?;
        (kept.lines == lines).then(|| kept.value.clone())
    });
    let value = kept.unwrap_or_else(|| {
        // Not within the borrow: it is the plugin's code.
        let value = T::parse(&lines).map(|value| Rc::new(value) as Rc<dyn Any>);
        let kept = Kept {
            lines,
            value: value.clone(),
        };
        let before = KEPT.with_borrow_mut(|all| all.insert(key, kept));
        drop(before);
        value
    })?;
    let other = || WrongValue::new(0, "is of another type");
    value.downcast::<T>().map_err(|_| other())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static PARSED: Cell<u32> = const { Cell::new(0) };
    }

    #[derive(Debug)]
    struct Sum(u64);

    impl ConfigValue for Sum {
        fn parse(lines: &[Vec<u8>]) -> Result<Sum, WrongValue> {
            PARSED.set(PARSED.get() + 1);
            let mut sum = 0;
            for (at, line) in lines.iter().enumerate() {
                let number = text(at, line)?.parse::<u64>();
                sum += number.map_err(|error| WrongValue::new(at, error.to_string()))?;
            }
            Ok(Sum(sum))
        }
    }

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lines_are_parsed_once_for_each_version_of_them() {
        for (text, sum, times) in [("1\n2", 3, 1), ("1\n2", 3, 1), ("5", 5, 2), ("", 0, 3)] {
            assert_eq!(parsed::<Sum>("sums", lines(text)).unwrap().0, sum);
            assert_eq!(PARSED.get(), times, "{text}");
        }
        let wrong = parsed::<Sum>("sums", lines("1\nx")).unwrap_err();
        assert_eq!(wrong, WrongValue::new(1, "invalid digit found in string"));
        // Also that it is wrong is found once.
        parsed::<Sum>("sums", lines("1\nx")).unwrap_err();
        assert_eq!(PARSED.get(), 4);
        // The same lines as something else are another value.
        let texts = parsed::<Vec<String>>("sums", lines("1\nx")).unwrap();
        assert_eq!(*texts, ["1", "x"]);
    }

    #[test]
    fn usual_types_come_of_lines() {
        let number = parsed::<Option<u32>>("n", lines("12\n13")).unwrap();
        assert_eq!(*number, Some(12));
        assert_eq!(*parsed::<Option<u32>>("n", Vec::new()).unwrap(), None);
        let wrong = parsed::<Option<u32>>("n", lines("many")).unwrap_err();
        assert_eq!(
            wrong.text,
            "'many' cannot be used: invalid digit found in string"
        );
        let set = parsed::<HashSet<String>>("s", lines("A.example\nb")).unwrap();
        assert!(set.contains("a.example"));
        let wrong = parsed::<Vec<String>>("t", vec![vec![0xff]]).unwrap_err();
        assert_eq!(wrong.text, "'\\xff' is no text in UTF-8");
    }
}
