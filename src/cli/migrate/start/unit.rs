//! A systemd unit that starts qpsmtpd, with its drop-ins. Takes the lines that matter here, and no specifiers (`%i`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::root::Root;
use super::command::{Started, started};
use super::options;
use super::shell::{Call, words};

/// What the unit starts, if that is qpsmtpd.
pub(super) fn read(root: &Root, path: &Path) -> Option<Started> {
    let mut texts = vec![root.text(path)?];
    let drop_ins = drop_ins(root, path).into_iter();
    texts.extend(drop_ins.filter_map(|drop_in| root.text(&drop_in)));
    of(root, &texts)
}

/// The same of a unit's text, and those of its drop-ins.
pub(super) fn of(root: &Root, texts: &[String]) -> Option<Started> {
    let mut unit = Unit {
        working: PathBuf::from("/"),
        ..Unit::default()
    };
    for text in texts {
        unit.add(text);
    }
    let variables = unit.variables(root);
    let call = Call {
        line: 0,
        words: filled(&unit.command?, &variables),
        variables,
        working: unit.working,
    };
    let mut found = started(root, &call)?;
    if let (None, Some(user)) = (&found.options.user, unit.user) {
        options::user(&user, &mut found.options);
    }
    Some(found)
}

#[derive(Default)]
struct Unit {
    environment: Vec<String>,
    files: Vec<PathBuf>,
    working: PathBuf,
    user: Option<String>,
    command: Option<Vec<String>>,
}

impl Unit {
    fn add(&mut self, text: &str) {
        let text = text.replace("\\\n", " ");
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            if section != "[Service]" || line.starts_with(['#', ';']) {
                continue;
            }
            let value = value.trim();
            match name.trim() {
                "User" => self.user = Some(value.to_owned()),
                "WorkingDirectory" if value.starts_with('/') => self.working = value.into(),
                // An empty one takes away those before.
                "Environment" if value.is_empty() => self.environment.clear(),
                "Environment" => self.environment.extend(split(value)),
                "EnvironmentFile" if value.is_empty() => self.files.clear(),
                "EnvironmentFile" => self.files.push(value.trim_start_matches('-').into()),
                "ExecStart" if value.is_empty() => self.command = None,
                "ExecStart" if self.command.is_none() => {
                    let value = value.trim_start_matches(['-', '@', ':', '+', '!']);
                    self.command = Some(split(value));
                }
                _ => {}
            }
        }
    }

    /// Files go before Environment=, wherever their lines stand.
    fn variables(&self, root: &Root) -> HashMap<String, String> {
        let mut pairs = self.environment.clone();
        for file in &self.files {
            let text = root.text(file).unwrap_or_default();
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.starts_with(['#', ';']));
            pairs.extend(lines.map(|line| line.replace(['"', '\''], "")));
        }
        let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// `$NAME` as a word becomes words, `${NAME}` in a word a text.
fn filled(given: &[String], variables: &HashMap<String, String>) -> Vec<String> {
    let value = |name: &str| variables.get(name).cloned().unwrap_or_default();
    let filled = given.iter().flat_map(|word| match word.strip_prefix('$') {
        Some("$") => vec!["$".to_owned()],
        Some(name) if !name.starts_with('{') => words(&value(name)),
        _ => {
            let mut text = String::new();
            let mut rest = word.as_str();
            while let Some((before, behind)) = rest.split_once("${") {
                let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
                text += before;
                text += &value(name);
                rest = behind;
            }
            vec![text + rest]
        }
    });
    filled.collect()
}

/// Words between spaces, with quotes and what begins with a backslash, which is the same within quotes (systemd.syntax).
fn split(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (_, '\\') => {
                let (meant, behind) = escape(rest.as_str()).unwrap_or(('\\', rest.as_str()));
                word.get_or_insert_default().push(meant);
                rest = behind.chars();
            }
            (Some(end), c) if c == end => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    all
}

/// The character that stands behind a backslash, and what comes behind it. None where systemd knows no such one, and leaves both.
fn escape(text: &str) -> Option<(char, &str)> {
    let mut rest = text.chars();
    let numbered = |from: usize, digits: usize, radix: u32| {
        let digits_of = text.get(from..from + digits)?;
        // A sign would be taken, too.
        let is_number = digits_of.chars().all(|c| c.is_digit(radix));
        let number = u32::from_str_radix(digits_of, radix)
            .ok()
            .filter(|_| is_number)?;
        let c = char::from_u32(number).filter(|c| *c != '\0')?;
        Some((c, text.get(from + digits..)?))
    };
    let meant = match rest.next()? {
        c @ ('\\' | '"' | '\'') => c,
        's' => ' ',
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'v' => '\x0b',
        'f' => '\x0c',
        'x' => return numbered(1, 2, 16),
        'u' => return numbered(1, 4, 16),
        'U' => return numbered(1, 8, 16),
        '0'..='7' => return numbered(0, 3, 8),
        _ => return None,
    };
    Some((meant, rest.as_str()))
}

/// The drop-ins of a unit, in their order.
fn drop_ins(root: &Root, path: &Path) -> Vec<PathBuf> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let dirs = [
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
        "/etc/systemd/system",
    ];
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in dirs {
        let dir = Path::new(dir).join(format!("{}.d", name.as_deref().unwrap_or_default()));
        let entries = std::fs::read_dir(root.real(&dir)).into_iter().flatten();
        let files = entries.flatten().map(|entry| dir.join(entry.file_name()));
        found.extend(files.filter(|file| file.extension().is_some_and(|end| end == "conf")));
    }
    found.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_systemd_does_it() {
        for (text, words) in [
            (r#"a "b c" 'd"e' f"#, &["a", "b c", "d\"e", "f"][..]),
            (r#""a \"b\" c" \"d"#, &["a \"b\" c", "\"d"]),
            (
                r"/a\sb /a\x20b\\ '\'' \101\u00e9",
                &["/a b", "/a b\\", "'", "Aé"],
            ),
            // What is none stays.
            (r"\. \x2 \x00 \é \", &[r"\.", r"\x2", r"\x00", r"\é", r"\"]),
        ] {
            assert_eq!(split(text), words, "{text}");
        }
    }

    #[test]
    fn a_unit_and_its_drop_ins_say_what_is_started() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            "etc/systemd/system/mx.service",
            "[Unit]\nExecStart=/no\n[Service]\nUser=smtpd\nWorkingDirectory=/srv/q\nEnvironment=\"QPSMTPD_CONFIG=/etc/q\" A=b\n\
             EnvironmentFile=-/etc/default/mx\nExecStart=/usr/bin/qpsmtpd-forkserver --port ${PORT} \\\n  $MORE\n",
        );
        put("etc/default/mx", "PORT=\"26\"\nMORE='-c 3 -H'\n");
        let root = Root::new(Some(dir.path())).unwrap();
        let unit = Path::new("/etc/systemd/system/mx.service");
        let found = read(&root, unit).unwrap();
        assert_eq!(
            found.words.join(" "),
            "/usr/bin/qpsmtpd-forkserver --port 26 -c 3 -H"
        );
        assert_eq!(found.config.as_deref(), Some(Path::new("/etc/q")));
        assert_eq!(found.working, Path::new("/srv/q"));
        assert_eq!(found.options.user.as_deref(), Some("smtpd"));
        put(
            "etc/systemd/system/mx.service.d/more.conf",
            "[Service]\nExecStart=\nExecStart=/usr/bin/qpsmtpd-prefork --user x\n",
        );
        assert_eq!(
            read(&root, unit).unwrap().options.user.as_deref(),
            Some("x")
        );
    }

    #[test]
    fn variables_count_wherever_their_lines_stand_and_files_go_before_them() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let root = Root::new(Some(dir.path())).unwrap();
        let unit = Path::new("/etc/systemd/system/mx.service");
        let command = || read(&root, unit).unwrap().words.join(" ");
        put("etc/default/mx", "PORT=26\n");
        put("etc/default/more", "PORT=28\n");
        put(
            "etc/systemd/system/mx.service",
            "[Service]\nExecStart=/usr/bin/qpsmtpd-forkserver --port ${PORT} $MORE\n\
             EnvironmentFile=/etc/default/mx\nEnvironment=PORT=25 MORE=-d\n",
        );
        assert_eq!(command(), "/usr/bin/qpsmtpd-forkserver --port 26 -d");
        let drop_in = "etc/systemd/system/mx.service.d/a.conf";
        put(drop_in, "[Service]\nEnvironment=\"MORE=-c 3\" PORT=27\n");
        assert_eq!(command(), "/usr/bin/qpsmtpd-forkserver --port 26 -c 3");
        put(drop_in, "[Service]\nEnvironmentFile=/etc/default/more\n");
        assert_eq!(command(), "/usr/bin/qpsmtpd-forkserver --port 28 -d");
        put(
            drop_in,
            "[Service]\nEnvironmentFile=\nEnvironment=\nEnvironment=PORT=29\n",
        );
        assert_eq!(command(), "/usr/bin/qpsmtpd-forkserver --port 29");
    }
}
