//! What camelpost.service is on that machine: the program that it starts, and options in /etc/default/camelpost that do not count any
//! more once the drop-in is there. Reads both, and changes neither.

use std::path::{Path, PathBuf};

use super::report::{Item, quoted};
use super::root::Root;

const PROGRAM: &str = "/usr/bin/camelpost";
const OPTIONS: &str = "/etc/default/camelpost";

/// The program of the unit: of the package's, or of the one that is installed (`make install` has a PREFIX).
pub(super) fn program(root: &Root) -> PathBuf {
    let dirs = [
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ];
    let units = dirs
        .iter()
        .map(|dir| Path::new(dir).join("camelpost.service"));
    // The first one is the one that counts.
    let unit = units.into_iter().find_map(|unit| root.text(&unit));
    let unit = unit.unwrap_or_default();
    let mut starts = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="));
    let word = starts.find_map(|start| start.split_whitespace().next());
    let word = word.filter(|word| word.starts_with('/') && word.ends_with("/camelpost"));
    PathBuf::from(word.unwrap_or(PROGRAM))
}

/// What there is to say of them. `running`: the program that migrates.
pub(super) fn remarks(root: &Root, running: &Path) -> Vec<Item> {
    let program = program(root);
    let mut texts = Vec::new();
    if program != running && root.canonical(&program).as_deref() != Some(running) {
        texts.push(format!(
            "camelpost.service runs {}, of the package, and not {}: it has to be installed before the switch",
            program.display(),
            running.display()
        ));
    }
    texts.extend(
        root.text(Path::new(OPTIONS))
            .and_then(|text| options(&text)),
    );
    texts
        .into_iter()
        .map(|text| Item::Remark { text })
        .collect()
}

/// That the options do not count, and which of them are others than where it listens.
fn options(text: &str) -> Option<String> {
    let lines = text.lines().map(str::trim);
    let value = lines
        .filter_map(|line| line.strip_prefix("OPTIONS="))
        .next_back()?;
    let given: Vec<&str> = value.trim_matches(['"', '\'']).split_whitespace().collect();
    let mut more: Vec<String> = Vec::new();
    let mut words = given.iter();
    while let Some(word) = words.next() {
        match *word {
            "--listen-address" | "-l" | "--port" | "-p" => {
                words.next();
            }
            word if is_where(word) => {}
            word => more.push(word.to_owned()),
        }
    }
    let head =
        format!("OPTIONS in {OPTIONS} does not count for camelpost.service with the drop-in");
    Some(match more.is_empty() {
        true => format!("{head}; it has nothing but where to listen"),
        false => format!(
            "{head}: what is to be kept of it, {}, is to be written behind ExecStart= there",
            quoted(&more)
        ),
    })
}

/// An address or a port in one word.
fn is_where(word: &str) -> bool {
    let long = ["--listen-address=", "--port="];
    let is_short = |begin: &str| word.starts_with(begin) && !word.starts_with("--");
    long.iter().any(|begin| word.starts_with(begin)) || is_short("-l") || is_short("-p")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::new(Some(dir.path())).unwrap();
        (dir, root)
    }

    fn said(root: &Root, running: &str) -> Vec<String> {
        let items = remarks(root, Path::new(running)).into_iter();
        let texts = items.filter_map(|item| match item {
            Item::Remark { text } => Some(text),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn the_program_is_that_of_the_unit_and_another_one_is_told_of() {
        let (_dir, root) = machine(&[]);
        assert_eq!(program(&root), Path::new("/usr/bin/camelpost"));
        assert_eq!(said(&root, "/usr/bin/camelpost"), [""; 0]);
        assert_eq!(
            said(&root, "/home/joe/camelpost/target/release/camelpost"),
            [
                "camelpost.service runs /usr/bin/camelpost, of the package, and not \
                 /home/joe/camelpost/target/release/camelpost: it has to be installed before the switch"
            ]
        );
        let (_dir, root) = machine(&[(
            "usr/local/lib/systemd/system/camelpost.service",
            "[Service]\nExecStartPre=-/usr/local/bin/camelpost check\nExecStart=/usr/local/bin/camelpost serve $OPTIONS\n",
        )]);
        assert_eq!(program(&root), Path::new("/usr/local/bin/camelpost"));
    }

    #[test]
    fn options_that_are_lost_are_told_of_but_for_where_it_listens() {
        let own = include_str!("../../../packaging/default");
        assert_eq!(
            options(own).unwrap(),
            "OPTIONS in /etc/default/camelpost does not count for camelpost.service with the drop-in; it has nothing but where to listen"
        );
        let text = options(
            "OPTIONS=\"--port 1\"\n#OPTIONS=x\nOPTIONS=\"-p 25 --port=587 -l[::1] --metrics 127.0.0.1:9100 --listen-address ::1 --quiet\"\n",
        );
        let text = text.unwrap();
        assert!(
            text.contains(", --metrics 127.0.0.1:9100 --quiet, is to be written"),
            "{text}"
        );
        assert_eq!(options("# OPTIONS\n"), None);
    }
}
