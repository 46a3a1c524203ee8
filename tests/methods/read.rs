//! The text format of `tests/methods/*.txt`: rows, sections and expressions. It runs nothing.

use std::path::Path;

/// What is asked of one method, in one session.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// `Qpsmtpd::Connection`
    pub class: String,
    /// `remote_ip`, or words where the row is about something else than a method.
    pub method: String,
    pub place: String,
    /// AUTH is given before MAIL.
    pub auth: bool,
    /// What comes from the client right behind the command that asks.
    pub input: String,
    /// What the client was told counts, too.
    pub replies: bool,
    /// The original has nothing like it, so its answers are no measure.
    pub new: bool,
    /// What went to standard error, of lines with `ASK`, counts, too.
    pub log: bool,
    pub asks: Vec<Ask>,
}

#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub hook: String,
    pub code: String,
    /// What it has to give, where the original cannot be asked or the answer is worth saying.
    pub value: Option<String>,
    /// Why the original of 0.94 gives something else, and upstream's 1.00.
    pub differs: Option<String>,
    pub differs_100: Option<String>,
    /// Why the profile 1.00 gives something else.
    pub profile: Option<String>,
}

impl Row {
    pub fn name(&self) -> String {
        format!("{}->{}", self.class, self.method)
    }

    /// Whether a whole message is sent, or the command that asks alone.
    pub fn needs_message(&self) -> bool {
        self.asks.iter().any(|ask| {
            !matches!(
                ask.hook.as_str(),
                "command"
                    | "connect"
                    | "pre-connection"
                    | "disconnect"
                    | "post-connection"
                    | "quit"
            )
        })
    }

    /// Whether it may share a session with other rows.
    pub fn is_plain(&self) -> bool {
        let quiet = !self.auth && !self.replies && !self.log && self.input.is_empty();
        quiet && self.asks.iter().all(|ask| ask.hook == "command")
    }

    fn of_method(&self, method: &str) -> Row {
        let mut row = self.clone();
        row.method = method.to_owned();
        for ask in &mut row.asks {
            ask.code = ask.code.replace("METHOD", method);
            ask.value = ask
                .value
                .as_ref()
                .map(|value| value.replace("METHOD", method));
        }
        row
    }
}

pub fn all(dir: &Path) -> Result<Vec<Row>, String> {
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        rows.extend(parse(&name, &text)?);
    }
    Ok(rows)
}

fn parse(file: &str, text: &str) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    let mut row = Row::default();
    let mut hook = String::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("{file} line {}: {what}: {line}", number + 1);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("=== ") {
            finish(&mut rows, std::mem::take(&mut row));
            let (class, method) = name
                .split_once("->")
                .ok_or_else(|| wrong("`=== CLASS->METHOD` expected"))?;
            row.class = class.trim().to_owned();
            row.method = method.trim().to_owned();
            row.place = format!("{file} line {}", number + 1);
            hook = "command".to_owned();
            continue;
        }
        if row.class.is_empty() {
            return Err(wrong("no `=== CLASS->METHOD` before this"));
        }
        if let Some(more) = line.strip_prefix("    ") {
            let ask = row
                .asks
                .last_mut()
                .ok_or_else(|| wrong("goes on from nothing"))?;
            ask.code.push('\n');
            ask.code.push_str(more);
            continue;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.trim();
        match key {
            "at" => hook = value.to_owned(),
            "auth" => row.auth = true,
            "replies" => row.replies = true,
            "log" => row.log = true,
            "new" => row.new = true,
            "input" => row.input.push_str(&format!("{value}\r\n")),
            "-" => row.asks.push(Ask {
                hook: hook.clone(),
                code: value.to_owned(),
                ..Ask::default()
            }),
            "=" | "differs:" | "differs" | "1.00:" => {
                let ask = row
                    .asks
                    .last_mut()
                    .ok_or_else(|| wrong("of no expression"))?;
                let text = |value: &str| Some(value.trim().to_owned());
                match (key, value.split_once(' ')) {
                    ("=", _) => ask.value = text(value),
                    ("1.00:", _) => ask.profile = text(value),
                    ("differs:", _) => (ask.differs, ask.differs_100) = (text(value), text(value)),
                    (_, Some(("0.94:", reason))) => ask.differs = text(reason),
                    (_, Some(("1.00:", reason))) => ask.differs_100 = text(reason),
                    _ => {
                        return Err(wrong(
                            "`differs: REASON`, or `differs 0.94:`, `differs 1.00:`",
                        ));
                    }
                }
            }
            _ => return Err(wrong("not known here")),
        }
    }
    finish(&mut rows, row);
    let mut names: Vec<String> = rows.iter().map(Row::name).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{file}: two rows {}", pair[0]));
    }
    Ok(rows)
}

/// `CLASS->(a b c)` is a row for each, with METHOD in the expressions standing for the name.
fn finish(rows: &mut Vec<Row>, row: Row) {
    if row.class.is_empty() {
        return;
    }
    match row
        .method
        .strip_prefix('(')
        .and_then(|list| list.strip_suffix(')'))
    {
        Some(list) => rows.extend(list.split_whitespace().map(|name| row.of_method(name))),
        None => rows.push(row),
    }
}
