//! `camelpost check`: loads a configuration as the service does, goes on after what is wrong, and finds
//! what the service would not say. It listens nowhere, delivers nothing, and leaves every file as it is.

mod arguments;
mod beside;
mod files;
mod known_plugins;
mod listing;
mod lists;
mod log_files;
mod not_found;
mod one_plugin;
mod perl_version;
mod plugins;
mod source;
mod versions;
mod whole;

use std::cell::RefCell;

use crate::base::finding::{CheckWhat, Finding};
use crate::config::{ConfigDir, CoreSettings, PluginLine, PluginSettings};
use crate::hook::Hook;
use crate::net::hooks;
use crate::net::process::load::{Findings, Loaded, NO_QUEUE, load_all, plugin_dirs};
use crate::perl::Sv;
use crate::plugin::Registry;

use self::one_plugin::Made;
use self::source::Named;

/// What was loaded, and of which lines.
struct Site<'a> {
    dir: &'a ConfigDir,
    loaded: &'a Loaded,
    registry: &'a Registry,
    /// The directories of Perl plugins.
    dirs: &'a [Vec<u8>],
    /// The lines whose plugins were loaded.
    all: &'a [Named],
}

/// Checks a configuration, or a plugin's file; each finding goes to `report` at once, as a plugin may end the process.
pub(crate) fn check(what: CheckWhat, registry: &Registry, report: &dyn Fn(Finding)) {
    let Some(file) = &what.plugin else {
        return look(&what, registry, report);
    };
    let made = match Made::new(file, what.config.as_deref()) {
        Ok(made) => made,
        Err(problem) => return report(Finding::error(problem)),
    };
    let what = CheckWhat {
        config: Some(made.path().to_path_buf()),
        ..what.clone()
    };
    look(&what, registry, &|finding| {
        if let Some(finding) = made.told(finding) {
            report(finding);
        }
    });
}

fn look(what: &CheckWhat, registry: &Registry, report: &dyn Fn(Finding)) {
    let dir = match ConfigDir::locate(what.config.clone()) {
        Ok(dir) => dir,
        Err(error) => {
            return report(Finding::error(error.to_string()));
        }
    };
    let core = CoreSettings::read(&dir, &mut Vec::new());
    let dirs = plugin_dirs(&dir, &core);
    let seen = Seen {
        report,
        dirs: &dirs,
        told: RefCell::default(),
        held: RefCell::default(),
        lines: RefCell::default(),
    };
    let tell = |finding| seen.tell(finding);
    files::look(&dir, &tell);
    let loaded = load_all(what.config.clone(), registry, &seen);
    let held = seen.held.take();
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(text) => {
            held.into_iter().map(Finding::warning).for_each(tell);
            return seen.tell(Finding::error(text));
        }
    };
    let lines = seen.lines.take();
    let settings = PluginSettings::load(&dir, lines.iter().map(|(line, _)| line));
    let settings = settings.unwrap_or_default();
    let entries = Hook::ALL
        .iter()
        .flat_map(|hook| hooks::entries(&loaded, *hook, &lines, &settings));
    let entries: Vec<_> = entries.collect();
    let all = lines
        .into_iter()
        .map(|(line, plugin)| Named::find(line, plugin, &dirs));
    let site = Site {
        dir: &dir,
        loaded: &loaded,
        registry,
        dirs: &dirs,
        all: &all.collect::<Vec<_>>(),
    };
    // What queues is named in lists that are loaded when a client comes.
    let is_elsewhere = lists::reader(&site).is_some();
    let held = held
        .into_iter()
        .filter(|text| !(is_elsewhere && text.contains(NO_QUEUE)));
    held.map(Finding::warning).for_each(tell);
    for named in site.all {
        look_at_line(&site, named, &tell);
    }
    files::look_at_names(&site, &tell);
    lists::look(&site, &tell);
    whole::look(&site, &what.beside, &tell);
    listing::tell(site.all, &entries, &tell);
}

/// What is odd about a plugin and its line.
fn look_at_line(site: &Site<'_>, named: &Named, tell: &dyn Fn(Finding)) {
    if let (Some(host), Some(plugin)) = (&site.loaded.host, &named.plugin) {
        plugins::look(host, &named.line, plugin, tell);
    }
    plugins::look_at_old_ones(named, tell);
    arguments::look(named, site.dirs, site.registry, tell);
    log_files::look(named, tell);
    if site.dir.has("compat") {
        versions::other_version(named, site.loaded.settings.profile, site.registry, tell);
    }
}

/// What loading finds.
struct Seen<'a> {
    report: &'a dyn Fn(Finding),
    /// The directories of Perl plugins.
    dirs: &'a [Vec<u8>],
    /// What was told: once is enough.
    told: RefCell<Vec<String>>,
    /// Warnings of the load, which the rest may make pointless.
    held: RefCell<Vec<String>>,
    lines: RefCell<Vec<(PluginLine, Option<Sv>)>>,
}

impl Seen<'_> {
    fn tell(&self, finding: Finding) {
        let text = finding.text.trim_end().replace('\n', " ");
        let is_new = !self.told.borrow().contains(&text);
        if is_new {
            self.told.borrow_mut().push(text.clone());
            (self.report)(Finding { text, ..finding });
        }
    }
}

impl Findings for Seen<'_> {
    fn problem(&self, text: String) -> Result<(), String> {
        let hint = not_found::hint(&text, self.dirs);
        self.tell(Finding::error(text.trim_end().to_owned() + &hint));
        Ok(())
    }

    fn warning(&self, text: &str) -> bool {
        self.held.borrow_mut().push(text.to_owned());
        true
    }

    fn loaded(&self, line: &PluginLine, plugin: Option<Sv>) {
        self.lines.borrow_mut().push((line.clone(), plugin));
    }
}
