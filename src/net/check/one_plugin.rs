//! `camelpost check --plugin FILE`: one Perl plugin's file in a configuration that is made for it, for editors and
//! for an author's own tests. Where a config directory is named, its files count but for those that name plugins.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::base::finding::{Finding, Severity};
use crate::config::reason;

/// A config directory for one plugin. It goes with this.
pub(super) struct Made {
    dir: TempDir,
    /// The plugin's file.
    file: PathBuf,
}

/// What a config directory says of plugins: none of it is the one plugin's.
const NOT_TAKEN: [&str; 5] = [
    "logging",
    "plugin_dirs",
    "plugin_settings",
    "plugins",
    "spool_dir",
];

impl Made {
    /// Makes it. The error is one line.
    pub(super) fn new(file: &Path, config: Option<&Path>) -> Result<Made, String> {
        let shown = file.display();
        let problem = |what: &str| format!("{shown}: {what}");
        let file = fs::canonicalize(file).map_err(|error| problem(&reason(&error)))?;
        let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(problem("it is no file of a plugin"));
        };
        if !file.is_file() {
            return Err(problem("it is no file of a plugin"));
        }
        let is_odd =
            |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || *byte == b':';
        if name.as_bytes().iter().any(is_odd) || name.as_bytes().starts_with(b"#") {
            return Err(problem(
                "no line of config/plugins can name a file that is called so",
            ));
        }
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let made = Made {
            dir,
            file: file.clone(),
        };
        made.fill(parent, name.as_bytes(), config)
            .map_err(|error| error.to_string())?;
        Ok(made)
    }

    fn fill(&self, parent: &Path, name: &[u8], config: Option<&Path>) -> std::io::Result<()> {
        let mut dirs = parent.as_os_str().as_bytes().to_vec();
        // auth/NAME and queue/NAME: what they inherit from is beside that.
        if let Some(above) = parent.parent().filter(|above| above.ends_with("plugins")) {
            dirs.push(b'\n');
            dirs.extend_from_slice(above.as_os_str().as_bytes());
        }
        if let Some(config) = config {
            let config = fs::canonicalize(config)?;
            for entry in fs::read_dir(&config)? {
                let entry = entry?;
                let is_taken = !NOT_TAKEN.iter().any(|name| entry.file_name() == *name);
                if is_taken {
                    symlink(entry.path(), self.dir.path().join(entry.file_name()))?;
                }
            }
            if let Ok(more) = fs::read(config.join("plugin_dirs")) {
                dirs.push(b'\n');
                dirs.extend(more);
            }
        }
        let spool = self.dir.path().join(".spool");
        self.write("plugin_dirs", &dirs)?;
        self.write("plugins", name)?;
        self.write("spool_dir", spool.as_os_str().as_bytes())
    }

    fn write(&self, name: &str, text: &[u8]) -> std::io::Result<()> {
        fs::write(self.dir.path().join(name), text)
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A finding as it is told: with the plugin's own file as its place. None: it is about the directory that was made.
    pub(super) fn told(&self, finding: Finding) -> Option<Finding> {
        let line = format!("{}:1: ", self.dir.path().join("plugins").display());
        let file = self.file.display().to_string();
        let text = finding.text;
        let Some(rest) = text.strip_prefix(&line) else {
            return text
                .starts_with(&file)
                .then(|| Finding::new(finding.severity, text.clone()));
        };
        let place = match line_in(rest, &file) {
            Some(line) => format!("{file}:{line}"),
            None => file,
        };
        // What it asks for at its load (an argument, a database) may be missing here alone.
        let is_loading = rest.starts_with("plugin ")
            && !rest.contains(" does not compile: ")
            && !rest.contains("the Perl module ");
        match finding.severity {
            Severity::Error if is_loading => Some(Finding::warning(format!(
                "{place}: {rest} (it was loaded without arguments)"
            ))),
            severity => Some(Finding::new(severity, format!("{place}: {rest}"))),
        }
    }
}

/// The line that perl's words name (`at FILE line N`).
fn line_in(text: &str, file: &str) -> Option<u32> {
    let (_, rest) = text.split_once(&format!(" at {file} line "))?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perl_s_line_is_the_finding_s() {
        let text = "plugin a does not compile: syntax error at /x/a line 12, near \"}\"";
        assert_eq!(line_in(text, "/x/a"), Some(12));
        assert_eq!(line_in(text, "/x/b"), None);
    }

    #[test]
    fn what_no_line_can_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a b");
        fs::write(&odd, "").unwrap();
        for (file, says) in [
            (odd.as_path(), "called so"),
            (dir.path(), "no file of a plugin"),
        ] {
            let problem = Made::new(file, None).err().unwrap();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
