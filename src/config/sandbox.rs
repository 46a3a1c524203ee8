//! `sandbox_write`: what sessions may write to beside the spool where they run in a sandbox. Looked at only
//! where there is one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::dir::ConfigDir;
use super::error::ConfigError;
use super::value::refused;

/// The directories and files that it lists, one in each line.
pub fn sandbox_write(config: &ConfigDir) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = config.entries("sandbox_write")?;
    let paths = entries.iter().map(|entry| {
        let path = PathBuf::from(OsStr::from_bytes(&entry.text));
        let wanted = match path.is_absolute() {
            false => "the whole path of a directory or file, which begins with a slash",
            true if !path.exists() => {
                "a directory or file that is there and can be found by who runs the plugins: make it, or take \
                 the line out"
            }
            true => return Ok(path),
        };
        Err(refused("sandbox_write", entry, wanted))
    });
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<PathBuf>, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sandbox_write"), text).unwrap();
        let config = ConfigDir::locate(Some(dir.path().to_path_buf())).unwrap();
        sandbox_write(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn each_line_is_a_path_that_is_there() {
        assert_eq!(of("# nothing\n"), Ok(Vec::new()));
        assert_eq!(
            of("/tmp\n\n/dev/null\n"),
            Ok(vec!["/tmp".into(), "/dev/null".into()])
        );
    }

    #[test]
    fn a_line_that_is_none_is_refused_with_its_place() {
        for (line, says) in [
            ("Maildir", "begins with a slash"),
            ("/nonexistent/dir", "take the line out"),
        ] {
            let problem = of(&format!("/tmp\n{line}\n")).unwrap_err();
            let place = format!("sandbox_write:2: sandbox_write is \"{line}\"");
            assert!(
                problem.contains(&place) && problem.contains(says),
                "{problem}"
            );
        }
    }
}
