//! What the suite's oracle is here: the release's perl, and its package of the original. Asked of this
//! machine once; what follows from them stands where it is used.

use std::process::Command;
use std::sync::OnceLock;

/// The package's version, as config file `compat` takes it: `0.94-8`.
pub fn package() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        said("dpkg-query", &["-W", "-f", "${Version}", "qpsmtpd"]).unwrap_or_else(|error| {
            panic!("{error}: packaging/install-deps test installs the package qpsmtpd")
        })
    })
}

/// Whether it is this revision of the package, or a later one.
pub fn has_revision(wanted: u32) -> bool {
    let revision = package().strip_prefix("0.94-").unwrap_or_default();
    let digits = revision.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse::<u32>().ok())
        .is_some_and(|revision| revision >= wanted)
}

/// `5.36`, as two numbers.
pub fn perl() -> (u32, u32) {
    static VERSION: OnceLock<(u32, u32)> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let text = said("perl", &["-e", "printf '%vd', $^V"]).unwrap_or_else(|e| panic!("{e}"));
        version(&text).unwrap_or_else(|| panic!("perl's version is {text:?}"))
    })
}

/// The first two numbers of a version.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn said(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.success() && !text.is_empty() {
        true => Ok(text),
        false => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
