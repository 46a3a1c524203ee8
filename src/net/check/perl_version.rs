//! Whether the perl that Camelpost has inside is still the one of this machine, whose modules plugins load. Looks at
//! the version only.

use std::process::{Command, Stdio};

use crate::base::finding::Finding;

/// Debian's perl, whose modules are found in the directories that the linked one knows.
const PERL: &str = "/usr/bin/perl";

/// Compares them. Where there is no such program nothing is said.
pub(super) fn look(tell: &dyn Fn(Finding)) {
    let mut command = Command::new(PERL);
    command.args(["-e", "printf '%vd', $^V"]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return;
    };
    let there = String::from_utf8_lossy(&output.stdout);
    if let Some(text) = differ(env!("CAMELPOST_PERL"), there.trim()) {
        tell(Finding::warning(text));
    }
}

/// What there is to say of the perl that this was built with (`5.36.0 (static)`) and that of the machine.
fn differ(built: &str, there: &str) -> Option<String> {
    let built = built.split_whitespace().next().unwrap_or(built);
    if built == there {
        return None;
    }
    let series = |version: &str| {
        let mut parts = version.split('.');
        (
            parts.next().map(str::to_owned),
            parts.next().map(str::to_owned),
        )
    };
    let what = match series(built) == series(there) {
        true => "what was mended there is not mended here",
        false => "modules that are compiled, of Debian's packages too, will not load",
    };
    Some(format!(
        "{PERL} is perl {there}, and Camelpost has perl {built} inside: {what}; build and install Camelpost anew"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_perl_than_the_one_inside_is_told_of() {
        assert_eq!(differ("5.36.0 (static)", "5.36.0"), None);
        let newer = differ("5.36.0 (static)", "5.36.3").unwrap();
        assert!(newer.contains("perl 5.36.3") && newer.contains("perl 5.36.0 inside: what was"));
        let other = differ("5.36.0 (shared)", "5.40.1").unwrap();
        assert!(other.contains("will not load"), "{other}");
    }
}
