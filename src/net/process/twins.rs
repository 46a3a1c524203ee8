//! Which lines of config/plugins native plugins serve that do what a Perl plugin does: `native/NAME`, and
//! NAME where its file is one that the native plugin knows by its sum. A file that was changed stays
//! Perl's. Does not know what such a plugin does.

use std::cell::RefCell;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::chain::{Defaults, default_of, line as log_line, look_up};
use crate::config::{ConfigDir, Place, PluginLine, PluginSettings, Profile, table_name};
use crate::perl::Sv;
use crate::perl::host::Host;
use crate::plugin::twin::{TwinEntry, TwinLine};
use crate::plugin::{Handler, Natives, Registry, without_number};

/// The lines that such plugins serve.
#[derive(Default)]
pub(super) struct Twins {
    found: Vec<Found>,
    changed: Vec<(u8, String)>,
}

/// One of the lines.
pub(super) struct Found {
    place: Place,
    name: String,
    entry: TwinEntry,
    of: Profile,
    file: Option<PathBuf>,
}

/// What there is when a line is loaded.
pub(super) struct Ground<'a> {
    pub(super) host: Option<&'a Rc<Host>>,
    pub(super) config: &'a ConfigDir,
    pub(super) defaults: &'a Defaults,
    pub(super) log_level: u8,
}

impl Twins {
    /// Looks at the files that the lines name. `dirs` are searched for them in this order.
    pub(super) fn find<'a>(
        lines: impl Iterator<Item = &'a PluginLine>,
        registry: &Registry,
        settings: &PluginSettings,
        config: &ConfigDir,
        dirs: &[Vec<u8>],
        profile: Profile,
    ) -> Result<Twins, String> {
        let mut twins = Twins::default();
        for (name, place) in settings.wanted_native() {
            if registry.twin(&String::from_utf8_lossy(name)).is_none() {
                let name = String::from_utf8_lossy(name);
                let known: Vec<_> = registry.twins().collect();
                let known = known.join(", ");
                return Err(format!(
                    "{place}: no native plugin stands in the place of {name}; that is so for: {known}"
                ));
            }
        }
        for line in lines {
            let Ok(name) = std::str::from_utf8(&line.name) else {
                continue;
            };
            let found = |entry, of, file| Found {
                place: line.place.clone(),
                name: name.to_owned(),
                entry,
                of,
                file,
            };
            if let Some(own) = name.strip_prefix("native/") {
                let entry = registry.twin(own).filter(|_| !registry.has_line(own));
                twins
                    .found
                    .extend(entry.map(|entry| found(entry, profile, None)));
                continue;
            }
            let wanted = settings.of(&table_name(&line.name)).native;
            let Some(entry) = registry
                .twin(name)
                .filter(|entry| wanted.unwrap_or(entry.usually))
            else {
                continue;
            };
            // A file that is not there is the Perl side's to tell of.
            let Some((file, contents)) = read(dirs, without_number(name)) else {
                continue;
            };
            match entry.whose(&contents) {
                Some(_) if !(entry.serves)(&line.args, config) => twins.changed.push((
                    crate::base::log::LOGINFO,
                    format!(
                        "{}: native/{name} cannot do what this line asks for, so that it is run in Perl \
                         (plugin_settings: {name} perl)",
                        line.place
                    ),
                )),
                Some(of) => twins.found.push(found(entry, of, Some(file))),
                None => twins.changed.push((crate::base::log::LOGWARN, format!(
                    "{}: {} is not the file of qpsmtpd 0.94 or 1.00, so it is run as it is, in Perl, and not \
                     as native/{name} (plugin_settings: {name} perl)",
                    line.place,
                    file.display()
                ))),
            }
        }
        Ok(twins)
    }

    /// Files that were changed, and lines that stay Perl's: level and text, for the log.
    pub(super) fn changed(&self) -> &[(u8, String)] {
        &self.changed
    }

    /// Whether a plugin of this name is among them.
    pub(super) fn has(&self, name: &str) -> bool {
        let own = |found: &Found| found.name.strip_prefix("native/") == Some(name);
        self.found
            .iter()
            .any(|found| own(found) || found.name == name)
    }

    /// What serves a line.
    pub(super) fn of(&self, line: &PluginLine) -> Option<&Found> {
        self.found.iter().find(|found| found.place == line.place)
    }
}

impl Found {
    /// Loads it in its line's place.
    pub(super) fn load(
        &self,
        ground: &Ground<'_>,
        natives: &RefCell<Natives>,
        line: &PluginLine,
    ) -> Result<(), String> {
        let host = ground.host;
        let listed = table_name(self.name.as_bytes());
        let listed = &*String::from_utf8_lossy(&listed);
        let name = listed.strip_prefix("native/").unwrap_or(listed);
        crate::server::loading(&format!("{}: plugin {listed}", line.place));
        let say = |level: u8, plugin: Option<&[u8]>, texts: &[&str]| {
            if let Some(host) = host {
                let texts: Vec<Sv> = texts
                    .iter()
                    .map(|text| Sv::bytes(text.as_bytes()))
                    .collect();
                // An error means that a logging plugin called exit: nothing more can be said.
                let _ = host.log(level, None, plugin, &texts);
            } else if level <= ground.log_level {
                let first = crate::base::log::first_word(None);
                let texts = texts.iter().map(|text| text.as_bytes());
                crate::base::log::write_line(level, log_line(first, None, plugin, texts));
            }
        };
        let log = |level: u8, text: &str| say(level, Some(name.as_bytes()), &[text]);
        let trace = |texts: &[&str]| say(crate::base::log::LOGDEBUG, None, texts);
        let config = |key: &str| match host {
            Some(host) => host.config().values(key.as_bytes()).unwrap_or_default(),
            None => {
                let problem = |text: String| {
                    log(crate::base::log::LOGERROR, &text);
                    Ok::<(), Infallible>(())
                };
                let Ok(lines) = look_up(ground.config, key, None, problem);
                let default = || default_of(ground.defaults, key.as_bytes());
                match lines {
                    Some(lines) => lines.to_vec(),
                    None => default().map(<[u8]>::to_vec).into_iter().collect(),
                }
            }
        };
        let has_entries = |hook| match host {
            Some(host) => host.table.has_entries(hook),
            None => natives.borrow().has_entries(hook),
        };
        let loaded = (self.entry.load)(&TwinLine {
            name,
            listed,
            args: &line.args,
            place: &line.place,
            line,
            dir: ground.config,
            of: self.of,
            config: &config,
            has_entries: &has_entries,
            file: self.file.as_deref(),
            trace: &trace,
            log: &log,
        });
        let handlers =
            loaded.map_err(|error| format!("{}: plugin {listed}: {error}", line.place))?;
        enter(host, natives, handlers);
        Ok(())
    }
}

/// Native hooks take their places at the ends of their chains.
pub(super) fn enter(host: Option<&Rc<Host>>, natives: &RefCell<Natives>, handlers: Vec<Handler>) {
    for handler in handlers {
        let id = natives.borrow_mut().add(handler.clone());
        if let Some(host) = host {
            host.present.port().know_native(id, &handler);
            host.table
                .add_native(&handler.plugin, &handler.listed, handler.hook, id);
        }
    }
}

/// The file that Perl's loader would find.
fn read(dirs: &[Vec<u8>], name: &str) -> Option<(PathBuf, Vec<u8>)> {
    let files = dirs
        .iter()
        .map(|dir| Path::new(OsStr::from_bytes(dir)).join(name));
    let file = files.into_iter().find(|file| file.is_file())?;
    let contents = std::fs::read(&file).ok()?;
    Some((file, contents))
}
