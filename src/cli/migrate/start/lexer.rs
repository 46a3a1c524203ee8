//! The text of a shell script as its simple commands, each a list of words in their pieces. Fills nothing in. What a shell
//! does with the words beyond quoting, comments, redirections and texts that follow (`<<`) is not known here.

use std::iter::Peekable;
use std::str::Chars;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Variable {
        name: String,
        /// What stands for it where it is empty.
        default: Option<String>,
    },
    /// What a command prints.
    Output(String),
}

/// A word; each of its pieces with whether it was quoted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Raw(pub(super) Vec<(Piece, bool)>);

impl Raw {
    /// Whether it is this word, unquoted.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.0.as_slice(), [(Piece::Text(text), false)] if text == word)
    }

    /// The name and the value of `NAME=VALUE`.
    pub(super) fn assignment(&self) -> Option<(String, Vec<(Piece, bool)>)> {
        let Some((Piece::Text(first), false)) = self.0.first() else {
            return None;
        };
        let (name, rest) = first.split_once('=')?;
        let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(is_part_of_name);
        if !is_name {
            return None;
        }
        let mut value = vec![(Piece::Text(rest.to_owned()), false)];
        value.extend(self.0.iter().skip(1).cloned());
        Some((name.to_owned(), value))
    }

    fn push(&mut self, c: char, quoted: bool) {
        match self.0.last_mut() {
            Some((Piece::Text(text), same)) if *same == quoted => text.push(c),
            _ => self.0.push((Piece::Text(c.to_string()), quoted)),
        }
    }
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The commands of a script, each with the line that it begins in.
pub(super) fn commands(text: &str) -> Vec<(usize, Vec<Raw>)> {
    let mut lexer = Lexer {
        chars: text.chars().peekable(),
        line: 1,
        begun: 1,
        word: None,
        words: Vec::new(),
        commands: Vec::new(),
        drop_next: false,
        follows: Vec::new(),
    };
    lexer.run();
    lexer.commands
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    begun: usize,
    word: Option<Raw>,
    words: Vec<Raw>,
    commands: Vec<(usize, Vec<Raw>)>,
    /// The next word is where something is written to or read from.
    drop_next: bool,
    /// The ends of texts that follow this line.
    follows: Vec<String>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\n' => {
                    self.end_command();
                    self.skip_texts();
                }
                ';' | '&' | '|' | '(' | ')' => self.end_command(),
                c if c.is_whitespace() => self.end_word(),
                '#' if self.word.is_none() => {
                    while self.chars.peek().is_some_and(|c| *c != '\n') {
                        self.next();
                    }
                }
                '<' | '>' => self.redirect(c),
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.word().push(c, true),
                },
                '\'' => {
                    let text = self.until('\'');
                    self.word().0.push((Piece::Text(text), true));
                }
                '"' => self.double(),
                '$' => self.dollar(false),
                '`' => {
                    let command = self.until('`');
                    self.word().0.push((Piece::Output(command), false));
                }
                c => self.word().push(c, false),
            }
        }
        self.end_command();
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn word(&mut self) -> &mut Raw {
        if self.word.is_none() && self.words.is_empty() {
            self.begun = self.line;
        }
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else {
            return;
        };
        if !std::mem::take(&mut self.drop_next) {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.drop_next = false;
        if !self.words.is_empty() {
            self.commands
                .push((self.begun, std::mem::take(&mut self.words)));
        }
    }

    /// Everything up to this character.
    fn until(&mut self, end: char) -> String {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == end {
                break;
            }
            text.push(c);
        }
        text
    }

    fn double(&mut self) {
        self.word().0.push((Piece::Text(String::new()), true));
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.word().push(c, true),
                    Some(c) => {
                        self.word().push('\\', true);
                        self.word().push(c, true);
                    }
                },
                '$' => self.dollar(true),
                '`' => {
                    let command = self.until('`');
                    self.word().0.push((Piece::Output(command), true));
                }
                c => self.word().push(c, true),
            }
        }
    }

    fn dollar(&mut self, quoted: bool) {
        let piece = match self.chars.peek().copied() {
            Some('(') => {
                self.next();
                Piece::Output(self.nested())
            }
            Some('{') => {
                self.next();
                braced(&self.until('}'))
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.next();
                variable(c.to_string())
            }
            Some(c) if is_part_of_name(c) => {
                let mut name = String::new();
                while let Some(c) = self.chars.next_if(|c| is_part_of_name(*c)) {
                    name.push(c);
                }
                variable(name)
            }
            _ => Piece::Text("$".to_owned()),
        };
        self.word().0.push((piece, quoted));
    }

    /// Up to the bracket that closes one that was opened.
    fn nested(&mut self) -> String {
        let (mut text, mut depth) = (String::new(), 1);
        while let Some(c) = self.next() {
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth == 0 {
                break;
            }
            text.push(c);
        }
        text
    }

    fn redirect(&mut self, first: char) {
        // The number of a descriptor belongs to it.
        let is_number = |raw: &Raw| {
            matches!(raw.0.as_slice(), [(Piece::Text(text), false)]
                if text.chars().all(|c| c.is_ascii_digit()))
        };
        match self.word.take() {
            Some(word) if is_number(&word) => {}
            word => {
                self.word = word;
                self.end_word();
            }
        }
        let mut operator = first.to_string();
        while let Some(c) = self.chars.next_if(|c| "<>&-".contains(*c)) {
            operator.push(c);
        }
        if !operator.starts_with("<<") {
            self.drop_next = !operator.ends_with("&-");
            return;
        }
        while self.chars.next_if(|c| *c == ' ' || *c == '\t').is_some() {}
        let mut end = String::new();
        while let Some(c) = self
            .chars
            .next_if(|c| !c.is_whitespace() && !";&|<>".contains(*c))
        {
            if !"'\"\\".contains(c) {
                end.push(c);
            }
        }
        self.follows.push(end);
    }

    fn skip_texts(&mut self) {
        for end in std::mem::take(&mut self.follows) {
            while self.chars.peek().is_some() {
                if self.until('\n').trim_start_matches('\t') == end {
                    break;
                }
            }
        }
    }
}

fn variable(name: String) -> Piece {
    Piece::Variable {
        name,
        default: None,
    }
}

/// What stands between braces.
fn braced(text: &str) -> Piece {
    let end = text
        .find(|c: char| !is_part_of_name(c))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let default = rest
        .strip_prefix(":-")
        .or_else(|| rest.strip_prefix('-'))
        .or_else(|| rest.strip_prefix(":="))
        .or_else(|| rest.strip_prefix('='));
    match (rest.is_empty(), default) {
        (true, _) => variable(name.to_owned()),
        (false, Some(default)) => Piece::Variable {
            name: name.to_owned(),
            default: Some(default.to_owned()),
        },
        // Patterns and the like: shown as it is.
        (false, None) => Piece::Text(format!("`${{{text}}}`")),
    }
}
