//! Which qpsmtpd a config directory was made for: what the caller says, else the copy of qpsmtpd beside it, else the package or the
//! modules that are installed. Says who told it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::root::Root;
use super::source::Source;
use crate::config::Compat;

/// A version for the file `compat`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) text: String,
    /// Who says so.
    pub(super) told_by: String,
}

/// Finds it; the error asks for it. `program`: the program that is started.
pub(super) fn find(
    source: &Source,
    asked: Option<&str>,
    program: Option<&Path>,
) -> Result<Version, String> {
    if let Some(text) = asked {
        return match Compat::parse(text.as_bytes()) {
            Some(_) => Ok(Version {
                text: text.to_owned(),
                told_by: "as --compat says".to_owned(),
            }),
            None => Err(format!("--compat {text}: it has to be {}", Compat::ALLOWED)),
        };
    }
    let kept = source.read(Path::new("compat"));
    let kept = String::from_utf8_lossy(&kept).trim().to_owned();
    if Compat::parse(kept.as_bytes()).is_some() {
        return Ok(Version {
            text: kept,
            told_by: "the directory has a file compat, which stays".to_owned(),
        });
    }
    let root = &source.root;
    // The program of a package is in /usr/bin, and has no lib beside it.
    let beside = [program.and_then(Path::parent), source.given.parent()];
    let beside = beside
        .into_iter()
        .flatten()
        .map(|dir| dir.join("lib/Qpsmtpd.pm"));
    if let Some(found) = beside.into_iter().find_map(|file| module(root, &file)) {
        return found;
    }
    if let Some(text) = package(root) {
        let told_by = format!("the version of Debian's package qpsmtpd ({text})");
        return nearest(&text, told_by);
    }
    if let Some(found) = modules(root).iter().find_map(|file| module(root, file)) {
        return found;
    }
    Err(format!(
        "which qpsmtpd {} was made for is not to be found: there is no package qpsmtpd, and no Qpsmtpd.pm where Perl's \
         modules are; say it with --compat 0.94 or --compat 1.00",
        source.given.display()
    ))
}

/// What a file Qpsmtpd.pm says of itself.
fn module(root: &Root, file: &Path) -> Option<Result<Version, String>> {
    let text = root.text(file)?;
    let line = text.lines().find_map(|line| {
        let (_, rest) = line.split_once("$VERSION")?;
        rest.trim_start().strip_prefix('=')
    })?;
    let version: String = line
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let told_by = format!("{} is of qpsmtpd {version}", file.display());
    Some(nearest(&version, told_by))
}

/// The one of the two that Camelpost knows.
fn nearest(version: &str, told_by: String) -> Result<Version, String> {
    if Compat::parse(version.as_bytes()).is_some() {
        return Ok(Version {
            text: version.to_owned(),
            told_by,
        });
    }
    let upstream = version.split('-').next().unwrap_or_default();
    let mut parts = upstream.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return Err(format!(
            "{told_by}, which is no version known here: say it with --compat 0.94 or --compat 1.00"
        ));
    };
    // What came after 0.94 is on the way to 1.00.
    let text = match (major, minor) < (0, 95) {
        true => "0.94",
        false => "1.00",
    };
    Ok(Version {
        text: text.to_owned(),
        told_by: format!(
            "{told_by}; Camelpost knows 0.94 and 1.00, and {text} is the nearer one (--compat says another)"
        ),
    })
}

/// The version of Debian's package, where it is installed.
fn package(root: &Root) -> Option<String> {
    let output = Command::new("dpkg-query")
        .arg("--admindir")
        .arg(root.dir().join("var/lib/dpkg"))
        .args(["-W", "-f", "${Status} ${Version}\n", "qpsmtpd"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.trim().strip_prefix("install ok installed ")?;
    Some(version.to_owned())
}

/// Where Perl's modules are installed by other packages, or by hand.
fn modules(root: &Root) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = ["/usr/share/perl5/vendor_perl", "/usr/share/perl5"]
        .map(PathBuf::from)
        .into();
    for parent in [
        "/usr/local/share/perl",
        "/usr/local/share/perl5",
        "/usr/lib/perl5/vendor_perl",
        "/usr/lib/perl5/site_perl",
    ] {
        let parent = Path::new(parent);
        dirs.push(parent.to_path_buf());
        let entries = fs::read_dir(root.real(parent)).into_iter().flatten();
        dirs.extend(
            entries
                .flatten()
                .map(|entry| parent.join(entry.file_name())),
        );
    }
    dirs.into_iter().map(|dir| dir.join("Qpsmtpd.pm")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_the_nearer_of_the_two() {
        for (version, text) in [
            ("0.94-5", "0.94-5"),
            ("0.40", "0.94"),
            ("0.84-1", "0.94"),
            ("0.96", "1.00"),
            ("1.01", "1.00"),
        ] {
            assert_eq!(
                nearest(version, String::new()).unwrap().text,
                text,
                "{version}"
            );
        }
        assert!(nearest("new", String::new()).is_err());
    }
}
