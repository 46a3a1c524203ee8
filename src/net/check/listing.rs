//! Each line of `plugins` and `logging` that was loaded: where its plugin was found, Perl or native, and its hooks.
//! Judges nothing.

use crate::base::finding::Finding;
use crate::base::listed::Listed;
use crate::hook::Hook;

use super::source::Named;

/// Tells of each line. `entries` are those of all hooks.
pub(super) fn tell(all: &[Named], entries: &[Listed], tell: &dyn Fn(Finding)) {
    for named in all {
        let place = &named.line.place;
        let is_own = |entry: &&Listed| {
            entry.line == Some(place.line)
                && entry.file.as_deref() == Some(&*place.file.display().to_string())
        };
        let own: Vec<&Listed> = entries.iter().filter(is_own).collect();
        let mut hooks: Vec<&str> = Vec::new();
        for hook in Hook::ALL.iter().map(|hook| hook.name()) {
            if own.iter().any(|entry| entry.hook == hook) {
                hooks.push(hook);
            }
        }
        let kind = match (&named.file, named.plugin.is_some()) {
            (Some(file), true) => format!("Perl, {}", file.display()),
            (None, true) => "Perl, a module".to_owned(),
            (Some(file), false) => format!("native, in the place of {}", file.display()),
            (None, false) => "native".to_owned(),
        };
        let hooks = match hooks.is_empty() {
            true => "no hooks".to_owned(),
            false => format!("hooks: {}", hooks.join(", ")),
        };
        let name = String::from_utf8_lossy(&named.line.name);
        tell(Finding::note(format!(
            "{place}: plugin {name}: {kind}; {hooks}"
        )));
    }
}
