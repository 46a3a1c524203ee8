//! `camelpost hooks`: loads a configuration as the service does, and tells who runs on each hook. Serves nothing.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::base::listed::Listed;
use crate::config::{ConfigDir, OnError, PluginLine, PluginSettings, shown, table_name};
use crate::hook::Hook;
use crate::net::process::load::{Findings, Loaded, load_all};
use crate::perl::Sv;
use crate::plugin::Registry;

/// Tells of each entry, hook by hook in the order of the table; of one hook where one is named.
pub(crate) fn hooks(
    config: Option<PathBuf>,
    wanted: Option<Hook>,
    registry: &Registry,
    tell: &dyn Fn(Listed),
) -> Result<(), String> {
    let dir = ConfigDir::locate(config.clone()).map_err(|error| error.to_string())?;
    let seen = Seen::default();
    let loaded = load_all(config, registry, &seen)?;
    let lines = seen.lines.take();
    let named = lines.iter().map(|(line, _)| line);
    let settings = PluginSettings::load(&dir, named).map_err(|error| error.to_string())?;
    for hook in Hook::ALL {
        if wanted.is_none_or(|wanted| wanted == *hook) {
            let entries = entries(&loaded, *hook, &lines, &settings);
            entries.into_iter().for_each(tell);
        }
    }
    Ok(())
}

/// What runs on a hook.
pub(super) fn entries(
    loaded: &Loaded,
    hook: Hook,
    lines: &[(PluginLine, Option<Sv>)],
    settings: &PluginSettings,
) -> Vec<Listed> {
    let native = |id: i32| {
        let handler = loaded.natives.get(id)?;
        let line = lines.iter().find(|(line, plugin)| {
            let listed = handler.listed.as_bytes();
            plugin.is_none() && (line.name == listed || table_name(&line.name) == listed)
        });
        let mut listed = listed(
            line.map(|(line, _)| line),
            handler.listed.as_bytes(),
            settings,
        );
        listed.plugin = handler.plugin.to_string();
        listed.native = true;
        Some(listed)
    };
    let found: Vec<Listed> = match &loaded.host {
        None => {
            let ids = loaded.natives.of(hook).iter();
            ids.filter_map(|id| native(*id)).collect()
        }
        Some(host) => {
            let entries = host.chain_of(hook).into_iter().filter_map(|entry| {
                if let Some(id) = entry.native {
                    return native(id);
                }
                let address = entry.plugin.as_ref().and_then(Sv::address);
                let line = lines.iter().find(|(_, plugin)| {
                    address.is_some() && plugin.as_ref().and_then(Sv::address) == address
                });
                let mut listed = listed(line.map(|(line, _)| line), &entry.name, settings);
                listed.plugin = shown(&entry.name);
                listed.method = entry.method.as_deref().map(shown);
                Some(listed)
            });
            entries.collect()
        }
    };
    let found = found.into_iter().enumerate().map(|(at, listed)| Listed {
        hook: hook.name().to_owned(),
        order: at + 1,
        ..listed
    });
    found.collect()
}

fn listed(line: Option<&PluginLine>, table_name: &[u8], settings: &PluginSettings) -> Listed {
    let setting = settings.of(table_name);
    let words = line.map_or(&[][..], |line| &line.args);
    Listed {
        args: words.iter().map(|word| shown(word)).collect(),
        file: line.map(|line| line.place.file.display().to_string()),
        line: line.map(|line| line.place.line),
        timeout: setting.timeout,
        on_error: setting.on_error.map(|means| {
            let word = match means {
                OnError::Skip => "skip",
                OnError::Defer => "defer",
                OnError::Deny => "deny",
            };
            word.to_owned()
        }),
        ..Listed::default()
    }
}

/// The lines that were loaded, with the objects of Perl plugins; the first problem ends the load.
#[derive(Default)]
struct Seen {
    lines: RefCell<Vec<(PluginLine, Option<Sv>)>>,
}

impl Findings for Seen {
    fn problem(&self, text: String) -> Result<(), String> {
        Err(text)
    }

    fn loaded(&self, line: &PluginLine, plugin: Option<Sv>) {
        self.lines.borrow_mut().push((line.clone(), plugin));
    }
}
