//! `camelpost check`: loads a configuration as the service does, goes on after what is wrong, and finds
//! what the service would not say. It listens nowhere, delivers nothing, and leaves every file as it is.

mod files;
mod likely;
mod plugins;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use crate::base::finding::Finding;
use crate::config::{ConfigDir, PluginLine};
use crate::hook::Hook;
use crate::net::process::load::{Findings, Loaded, load_all};
use crate::perl::Sv;
use crate::plugin::Registry;

/// Checks a configuration; each finding goes to `report` at once, as a plugin may end the process.
pub(crate) fn check(config: Option<PathBuf>, registry: &Registry, report: &dyn Fn(Finding)) {
    let dir = match ConfigDir::locate(config.clone()) {
        Ok(dir) => dir,
        Err(error) => {
            return report(Finding::error(error.to_string()));
        }
    };
    let seen = Seen {
        report,
        told: RefCell::default(),
        plugins: RefCell::default(),
    };
    files::look(&dir, &|finding| seen.tell(finding));
    let loaded = match load_all(config, registry, &seen) {
        Ok(loaded) => loaded,
        Err(text) => {
            return seen.tell(Finding::error(text));
        }
    };
    let plugins = seen.plugins.take();
    if let Some(host) = &loaded.host {
        for (line, plugin) in &plugins {
            plugins::look(host, line, plugin, &|finding| seen.tell(finding));
        }
    }
    let names = plugins.iter().map(|(line, _)| line);
    files::look_at_names(&dir, &loaded, names, &|finding| seen.tell(finding));
    about_the_whole(&dir, &loaded, &|finding| seen.tell(finding));
}

/// What no single file or plugin is to blame for.
fn about_the_whole(dir: &ConfigDir, loaded: &Loaded, tell: &dyn Fn(Finding)) {
    // A file that is nowhere is best made in the first directory.
    let first = dir.dirs().first().map(|dir| dir.join("compat"));
    if let Some(file) = first.filter(|_| !dir.has("compat")) {
        let text = format!(
            "{}: there is no such file, so plugins find qpsmtpd 1.00; write 0.94 or 1.00 into it, whichever they \
             were written for",
            file.display()
        );
        tell(Finding::warning(text));
    }
    if !loaded.has_entries(Hook::Rcpt) {
        let text = format!(
            "{}: no plugin hooks rcpt, so every recipient is refused; rcpt_ok takes those of rcpthosts",
            dir.path("plugins").display()
        );
        tell(Finding::warning(text));
    }
}

/// What loading finds.
struct Seen<'a> {
    report: &'a dyn Fn(Finding),
    /// What was told: once is enough.
    told: RefCell<Vec<String>>,
    plugins: RefCell<Vec<(PluginLine, Rc<Sv>)>>,
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
        self.tell(Finding::error(text));
        Ok(())
    }

    fn warning(&self, text: &str) {
        self.tell(Finding::warning(text));
    }

    fn loaded(&self, line: &PluginLine, plugin: Option<Sv>) {
        if let Some(plugin) = plugin {
            self.plugins
                .borrow_mut()
                .push((line.clone(), Rc::new(plugin)));
        }
    }
}
