//! What upstream's 1.00 has answered, `tests/recorded_100/*.txt`: read, and written anew.
//!
//! The files hold transcripts in the normal form and nothing else (README.md there).

use camelpost_oracle::dialogue::ConfigSet;
use camelpost_oracle::stage::Half;
use std::fmt::Write;
use std::path::PathBuf;

/// The mark of the package's plugin files in the list of known differences.
pub const PACKAGE: &str = " (package's plugins)";
/// The mark of what was answered with upstream's own plugin files, where that is something else.
pub const OWN: &str = " (upstream's plugins)";

/// A set's recording: with the package's plugin files, and with upstream's.
#[derive(Debug)]
pub struct Recorded {
    pub package: Result<Half, String>,
    pub own: Result<Half, String>,
}

fn path(set: &str) -> PathBuf {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded_100");
    PathBuf::from(format!("{dir}/{set}.txt"))
}

impl Recorded {
    pub fn read(set: &ConfigSet) -> Result<Self, String> {
        let path = path(&set.name);
        let text = std::fs::read_to_string(&path).map_err(|e| {
            format!(
                "{}: {e}; QPSMTPD_100=DIR make record-100 writes it, DIR being a checkout of \
                 upstream's repository",
                path.display()
            )
        })?;
        Self::parse(set, &text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn parse(set: &ConfigSet, text: &str) -> Result<Self, String> {
        let mut sections: Vec<(String, Vec<String>)> = Vec::new();
        let mut refusals: [Option<String>; 2] = [None, None];
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("=== ") {
                sections.push((name.to_owned(), Vec::new()));
            } else if let Some((_, lines)) = sections.last_mut() {
                lines.push(line.to_owned());
            } else if let Some(why) = line.strip_prefix("package ") {
                refusals[0] = Some(why.to_owned());
            } else if let Some(why) = line.strip_prefix("upstream ") {
                refusals[1] = Some(why.to_owned());
            } else if !line.starts_with('#') && !line.is_empty() {
                return Err(format!("not known: {line}"));
            }
        }
        let find = |name: &str| {
            let found = sections.iter().find(|(section, _)| section == name);
            found.map(|(_, lines)| lines.clone())
        };
        let [no_package, no_own] = refusals;
        let half = |refusal: Option<String>, own: bool| {
            if let Some(why) = refusal {
                return Ok(Err(why));
            }
            let lines = set.dialogues.iter().map(|dialogue| {
                let name = &dialogue.name;
                let marked = own.then(|| find(&format!("{name}{OWN}"))).flatten();
                let lines = marked.or_else(|| find(name));
                lines.ok_or_else(|| format!("nothing is recorded for the dialogue {name}"))
            });
            lines.collect::<Result<Half, String>>().map(Ok)
        };
        let package = half(no_package, false)?;
        let own = half(no_own, true)?;
        Ok(Self { package, own })
    }

    pub fn write(&self, set: &ConfigSet) -> Result<(), String> {
        let mut text = format!(
            "# What qpsmtpd 1.00 answered to tests/dialogues/{}.txt, in the normal form (README.md).\n",
            set.name
        );
        for (name, half) in [("package", &self.package), ("upstream", &self.own)] {
            if let Err(why) = half {
                let _ = writeln!(text, "{name} {why}");
            }
        }
        for (index, dialogue) in set.dialogues.iter().enumerate() {
            let lines = |half: &Result<Half, String>| half.as_ref().ok()?.get(index).cloned();
            let (package, own) = (lines(&self.package), lines(&self.own));
            let differs = own.is_some() && package != own;
            for (mark, lines) in [("", package), (OWN, own.filter(|_| differs))] {
                for line in lines.iter().flat_map(|lines| {
                    let head = format!("=== {}{mark}", dialogue.name);
                    std::iter::once(head).chain(lines.iter().cloned())
                }) {
                    let _ = writeln!(text, "{line}");
                }
            }
        }
        let path = path(&set.name);
        let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(wrong)?;
        std::fs::write(&path, text).map_err(wrong)
    }
}
