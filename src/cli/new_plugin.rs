//! `camelpost new-plugin`: writes a plugin that does something small, with its test, to start from. It does not
//! build, install or load it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};

use super::failed;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("language").required(true))]
#[command(after_help = "\
In Perl: NAME/plugins/NAME, for the plugins directory of any qpsmtpd or Camelpost, and its test: \
`cd NAME && camelpost prove t`.\n\n\
In Rust: a crate NAME, whose program is camelpost with one more native plugin, for lines native/NAME of \
config/plugins: `cd NAME && cargo test`, then `cargo run -- serve --config DIR`. docs/native.md explains it.")]
pub(super) struct NewPluginArgs {
    /// In Perl: letters, digits, _ and -.
    #[arg(long, group = "language", value_name = "NAME")]
    perl: Option<String>,

    /// In Rust: small letters, digits and _, a letter first.
    #[arg(long, group = "language", value_name = "NAME")]
    rust: Option<String>,

    /// Make the directory NAME here.
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,

    /// With --rust: the directory of Camelpost's sources, for the crate to depend on. Default: the release of
    /// this program's version.
    #[arg(long, value_name = "DIR", conflicts_with = "perl")]
    source: Option<PathBuf>,
}

/// A file to be written: its path and its text.
type Templates<'a> = &'a [(&'a str, &'a str)];

const PERL: Templates<'_> = &[
    ("plugins/@NAME@", include_str!("new_plugin/perl/plugin.in")),
    ("t/@NAME@.t", include_str!("new_plugin/perl/test.in")),
    ("config/plugins", "@NAME@\n"),
    ("config/me", "mx.example.org\n"),
    ("config/loglevel", "4\n"),
];

const RUST: Templates<'_> = &[
    ("Cargo.toml", include_str!("new_plugin/rust/Cargo.toml.in")),
    ("build.rs", include_str!("new_plugin/rust/build.rs.in")),
    ("src/main.rs", include_str!("new_plugin/rust/main.rs.in")),
    (
        "src/@NAME@.rs",
        include_str!("new_plugin/rust/plugin.rs.in"),
    ),
    (".gitignore", "/target\n"),
];

pub(super) fn new_plugin(args: &NewPluginArgs) -> ExitCode {
    match write(args) {
        Ok(written) => {
            for file in written {
                println!("{}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(problem) => failed(&format!("camelpost: {problem}")),
    }
}

fn write(args: &NewPluginArgs) -> Result<Vec<PathBuf>, String> {
    let (templates, name, dependency) = match (&args.perl, &args.rust) {
        (Some(name), _) => (PERL, perl_name(name)?, String::new()),
        (None, Some(name)) => (RUST, rust_name(name)?, dependency(args.source.as_deref())?),
        (None, None) => return Err("say --perl NAME or --rust NAME".to_owned()),
    };
    let directory = args.directory.join(name);
    let cannot = |path: &Path, error: io::Error| format!("cannot make {}: {error}", path.display());
    // Made and not taken: what is there stays as it is.
    fs::create_dir(&directory).map_err(|error| cannot(&directory, error))?;
    let fill = |text: &str| {
        let text = text
            .replace("@NAME@", name)
            .replace("@TYPE@", &type_name(name));
        text.replace("@CAMELPOST@", &dependency)
    };
    let mut written = Vec::new();
    for (path, text) in templates {
        let path = directory.join(fill(path));
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let made = made.and_then(|()| fs::write(&path, fill(text)));
        made.map_err(|error| cannot(&path, error))?;
        written.push(path);
    }
    Ok(written)
}

fn perl_name(name: &str) -> Result<&str, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match !name.is_empty() && name.bytes().all(is_allowed) {
        true => Ok(name),
        false => Err(format!(
            "'{name}' cannot be a plugin's name: it takes letters, digits, _ and -"
        )),
    }
}

/// Words that neither a module nor a package may be called.
const TAKEN: [&str; 12] = [
    "as",
    "camelpost",
    "core",
    "crate",
    "main",
    "mod",
    "plugin",
    "self",
    "serde",
    "std",
    "super",
    "test",
];

fn rust_name(name: &str) -> Result<&str, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !starts || !name.bytes().all(is_allowed) {
        return Err(format!(
            "'{name}' cannot be the name of a crate and its module: it takes small letters, digits and _, a \
             letter first"
        ));
    }
    match TAKEN.contains(&name) {
        true => Err(format!(
            "'{name}' means something else to Rust: choose another name"
        )),
        false => Ok(name),
    }
}

/// What stands behind `camelpost =` in the crate's Cargo.toml.
fn dependency(source: Option<&Path>) -> Result<String, String> {
    let Some(source) = source else {
        return Ok(format!("\"{}\"", env!("CARGO_PKG_VERSION")));
    };
    let absolute = fs::canonicalize(source)
        .ok()
        .filter(|dir| dir.join("Cargo.toml").exists());
    match absolute {
        Some(dir) => Ok(format!("{{ path = {:?} }}", dir.display().to_string())),
        None => Err(format!(
            "--source {}: there is no Cargo.toml; name the directory of Camelpost's sources",
            source.display()
        )),
    }
}

/// `OwnName` of `own_name`.
fn type_name(name: &str) -> String {
    let words = name.split(['_', '-']);
    let capital = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    words.map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_its_words_in_capitals() {
        assert_eq!(type_name("own_name"), "OwnName");
        assert_eq!(type_name("x"), "X");
        assert_eq!(type_name("_a__b"), "AB");
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        for name in ["", "9a", "Own", "own-name", "../own", "mod", "own name"] {
            assert!(rust_name(name).is_err(), "{name}");
        }
        for name in ["", "a/b", "a b", ".."] {
            assert!(perl_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_build_script_is_the_examples() {
        let example = include_str!("../../examples/native-plugin/build.rs");
        assert_eq!(include_str!("new_plugin/rust/build.rs.in"), example);
    }
}
