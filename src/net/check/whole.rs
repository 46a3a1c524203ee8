//! What no single file or plugin is to blame for: which version counts, who takes recipients, what is shared with
//! others, which limits hold.

use crate::base::finding::{Beside, Finding};
use crate::config::{Profile, compared_version, own_limits, shown};
use crate::hook::Hook;

use super::versions::{look as versions_of, some};
use super::{Site, beside, lists, perl_version};

pub(super) fn look(site: &Site<'_>, others: &[Beside], tell: &dyn Fn(Finding)) {
    let has_compat = about_compat(site, tell);
    if !site.loaded.has_entries(Hook::Rcpt) && lists::reader(site).is_none() {
        let text = format!(
            "{}: no plugin hooks rcpt, so every recipient is refused; rcpt_ok takes those of rcpthosts",
            site.dir.path("plugins").display()
        );
        tell(Finding::warning(text));
    }
    if let Some(host) = &site.loaded.host {
        about_unfit(site, host.unfit(), tell);
        perl_version::look(tell);
    }
    let shares = beside::look(site.dir, others, tell);
    let by_address = !site.loaded.has_entries(Hook::PreConnection);
    if let Some(text) = own_limits(site.dir, by_address) {
        // Who has come from qpsmtpd just now does not know it yet.
        let is_new = !has_compat || shares;
        tell(match is_new {
            true => Finding::warning(text),
            false => Finding::note(text),
        });
    }
}

/// What cannot be exchanged between sessions: one variable of each plugin, as one is enough.
fn about_unfit(site: &Site<'_>, mut found: Vec<(Vec<u8>, String)>, tell: &dyn Fn(Finding)) {
    found.sort();
    found.dedup_by(|other, first| other.0 == first.0);
    for (name, why) in found {
        // The administrator knows of it.
        if site.loaded.guards.isolates(&name) || site.loaded.guards.keeps(&name) {
            continue;
        }
        tell(Finding::warning(format!(
            "{}: {why}, so that it cannot be one session's: each session with this plugin has a worker of its own; \
             keep in plugin_settings lets all of them have the same",
            place_of(site, &name)
        )));
    }
}

/// The line of a plugin, by its name in the table of hooks.
fn place_of(site: &Site<'_>, name: &[u8]) -> String {
    let is_named = |named: &&super::Named| crate::config::table_name(&named.line.name) == name;
    let own = site.all.iter().find(is_named);
    let name = shown(name);
    match own {
        Some(named) => format!("{}: plugin {name}", named.line.place),
        None => format!("plugin {name}"),
    }
}

/// Whether there is such a file; where not, what should be in it.
fn about_compat(site: &Site<'_>, tell: &dyn Fn(Finding)) -> bool {
    let (old, new) = versions_of(site.all, site.registry);
    if site.dir.has("compat") {
        let profile = site.loaded.settings.profile;
        let (other, of) = match profile {
            Profile::V094 => (new, Profile::V100),
            Profile::V100 => (old, Profile::V094),
        };
        if !other.is_empty() {
            tell(Finding::note(format!(
                "{}: it says {}, and these plugins look like {}'s: {}",
                site.dir.path("compat").display(),
                compared_version(profile),
                compared_version(of),
                some(&other)
            )));
        }
        return true;
    }
    // A file that is nowhere is best made in the first directory.
    let Some(file) = site.dir.dirs().first().map(|dir| dir.join("compat")) else {
        return false;
    };
    let what = match (old.is_empty(), new.is_empty()) {
        (false, true) => format!(
            "these look like those of 0.94: {}; write 0.94 into it",
            some(&old)
        ),
        (true, false) => format!(
            "these look like those of 1.00: {}; write 1.00 into it",
            some(&new)
        ),
        (false, false) => format!(
            "these look like those of 0.94: {}, and these like those of 1.00: {}; write 0.94 or 1.00 into it, whichever \
             they were used with",
            some(&old),
            some(&new)
        ),
        (true, true) => "write 0.94 or 1.00 into it, whichever they were written for".to_owned(),
    };
    tell(Finding::warning(format!(
        "{}: there is no such file, so plugins find qpsmtpd 1.00; {what}",
        file.display()
    )));
    false
}
