//! Loads the configuration and the plugins, in the zygote. Every error is one line that names
//! the file and line, what was found, and what to do.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::native;
use crate::config::{
    ConfigDir, CoreSettings, PluginLine, PluginSettings, Profile, compared_version, table_name,
};
use crate::hook::Hook;
use crate::mail::Spool;
use crate::perl;
use crate::perl::host::{Host, HostSettings};
use crate::plugin::{Guards, Handler, Loaded as Natives, PluginArgs, Registry};
use crate::session::{PRODUCT, Settings};

/// What was loaded: by an interpreter only where a Perl plugin asks for one.
pub enum Found {
    Perl(Loaded),
    Native(native::Loaded),
}

/// What a worker with an interpreter starts with.
#[derive(Clone)]
pub struct Loaded {
    pub host: Rc<Host>,
    pub natives: Rc<Natives>,
    pub settings: Rc<Settings>,
}

/// Reads the config directory and loads the lines of `logging` and `plugins`; starts perl where
/// one of them is a Perl plugin.
pub fn load(config: Option<PathBuf>, registry: &Registry) -> Result<Found, String> {
    load_all(config, registry).map_err(|error| format!("camelpost: {error}"))
}

fn load_all(config: Option<PathBuf>, registry: &Registry) -> Result<Found, String> {
    let named = config.as_deref().map(absolute);
    let config = ConfigDir::locate(config).map_err(|error| error.to_string())?;
    let config = Rc::new(config);
    let core = CoreSettings::load(&config).map_err(|error| error.to_string())?;
    let warning = core.spool.prepare().map_err(|error| error.to_string())?;
    config.always_check(core.compat.profile == Profile::V100);

    let lines = || core.logging.iter().chain(&core.plugins);
    let guarded = PluginSettings::load(&config, lines()).map_err(|error| error.to_string())?;
    let names: Vec<Vec<u8>> = lines().map(|line| table_name(&line.name)).collect();

    let spool = Rc::new(Spool {
        dir: core.spool.path.clone(),
        threshold: core.size_threshold,
        ..Spool::default()
    });
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let settings = HostSettings {
        config: config.clone(),
        search: None,
        trace_level: core.log_level.unwrap_or(crate::log::DEFAULT_LEVEL),
        profile: core.compat.profile,
        defaults: vec![("me", core.me.clone()), ("timeout", b"1200".to_vec())],
        version: compared_version(core.compat.profile).to_owned(),
        plugin_dirs: plugin_dirs(&config, &core),
        module_dirs: module_dirs(&config, &core),
        taint: core.taint,
        named_config: named,
        size_threshold: core.size_threshold,
        queue_sync: core.queue_sync,
    };
    if native::is_enough(&core) {
        let mut plugins = load_natives(settings, registry, &config, &core, warning)?;
        plugins.guards = Rc::new(Guards::new(guarded, names.into_iter()));
        return Ok(Found::Native(native::Loaded {
            plugins: Rc::new(plugins),
            settings: Rc::new(session_settings(core, version, spool, Vec::new())),
        }));
    }
    let host = perl::start(settings, spool.clone())?;
    for line in &core.logging {
        load_perl(&host, line)?;
        if core.compat.profile == Profile::V100 {
            let text = [b"Loaded ", &line.text[..]].concat();
            let text = &[perl::Sv::bytes(&text)];
            host.log(perl::log::LOGINFO, None, None, text).ok();
        }
    }
    if let Some(warning) = warning {
        warn(&host, &warning);
    }
    if let Some(text) = about_taint(&config, &core) {
        warn(&host, &text);
    }
    let mut natives = Natives::default();
    for line in &core.plugins {
        match line.name.strip_prefix(b"native/") {
            Some(_) => load_native(&host, &mut natives, registry, &config, line)?,
            None => load_perl(&host, line)?,
        }
    }
    if let Some(text) = nothing_delivers(&config, &core, host.has_entries(Hook::Queue)) {
        warn(&host, &text);
    }
    // Only now: what happens while plugins load has no time of its own.
    let names = names.into_iter().chain(host.entry_names());
    let _ = host.guards.set(Rc::new(Guards::new(guarded, names)));
    host.note_hooks();
    host.note_site();
    let mechanisms = host.auth_mechanisms();
    Ok(Found::Perl(Loaded {
        host,
        natives: Rc::new(natives),
        settings: Rc::new(session_settings(core, version, spool, mechanisms)),
    }))
}

/// The same for native plugins alone.
fn load_natives(
    settings: HostSettings,
    registry: &Registry,
    config: &ConfigDir,
    core: &CoreSettings,
    warning: Option<String>,
) -> Result<native::Plugins, String> {
    let mut plugins = native::Plugins::new(settings);
    for line in &core.plugins {
        for handler in handlers(registry, config, line)? {
            plugins.add(handler);
        }
    }
    let nothing_delivers = nothing_delivers(config, core, plugins.has_entries(Hook::Queue));
    for warning in warning.into_iter().chain(nothing_delivers) {
        plugins.log(None, perl::log::LOGWARN, None, warning.as_bytes());
    }
    Ok(plugins)
}

/// What an administrator should know of taint mode: that it is off, or what it keeps perl from.
fn about_taint(config: &ConfigDir, core: &CoreSettings) -> Option<String> {
    if !core.taint {
        let file = config.path("taint");
        return Some(format!(
            "{}: taint mode is off: nothing keeps a plugin from handing what a client says to a shell",
            file.display()
        ));
    }
    let name = ["PERL5LIB", "PERLLIB", "PERL5OPT"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
    Some(format!(
        "{name} counts for nothing in taint mode: name directories of modules in {}",
        config.path("module_dirs").display()
    ))
}

/// What an administrator should know of a configuration that does not deliver.
fn nothing_delivers(config: &ConfigDir, core: &CoreSettings, queues: bool) -> Option<String> {
    if core.plugins.is_empty() {
        let file = config.path("plugins");
        let file = file.display();
        return Some(format!(
            "{file}: no plugin is named, so no mail is accepted"
        ));
    }
    let text = "no plugin hooks queue, so messages are answered with 451: \
                add one to config/plugins, such as queue/maildir DIRECTORY";
    (!queues).then(|| text.to_owned())
}

fn session_settings(
    core: CoreSettings,
    version: String,
    spool: Rc<Spool>,
    auth_mechanisms: Vec<&'static str>,
) -> Settings {
    Settings {
        profile: core.compat.profile,
        keeps_received: core.compat.keeps_received,
        me: core.me,
        product: PRODUCT,
        version,
        spool,
        auth_mechanisms,
        timeout: core.timeout,
        zone: crate::config::Zone::local(),
        data_min_rate: core.data_min_rate,
        forbidden_commands: core.forbidden_commands.clone(),
        limits: core.limits,
        recipient_limit: usize::try_from(core.recipient_limit).unwrap_or(0),
        strictness: core.strictness,
    }
}

/// `plugin_dirs`, and after them plugins/ beside the config directory (the plugin document's
/// fallback).
fn plugin_dirs(config: &ConfigDir, core: &CoreSettings) -> Vec<Vec<u8>> {
    let beside = config.dirs().first().and_then(|dir| {
        let parent = dir.canonicalize().ok()?.parent()?.join("plugins");
        parent.is_dir().then_some(parent)
    });
    let mut dirs: Vec<PathBuf> = core.plugin_dirs.clone();
    dirs.extend(beside.filter(|beside| !core.plugin_dirs.contains(beside)));
    dirs.into_iter()
        .map(|dir| dir.as_os_str().as_bytes().to_vec())
        .collect()
}

/// `module_dirs`, then lib/ of the working directory, where the original's programs look first, and
/// lib/ beside the config directory.
fn module_dirs(config: &ConfigDir, core: &CoreSettings) -> Vec<Vec<u8>> {
    let working = std::env::current_dir().ok();
    let beside = config.dirs().first().and_then(|dir| {
        let dir = dir.canonicalize().ok()?;
        Some(dir.parent()?.to_path_buf())
    });
    let mut dirs: Vec<PathBuf> = core.module_dirs.clone();
    for parent in working.into_iter().chain(beside) {
        let dir = parent.join("lib");
        // That of the root directory has no modules of anybody's.
        if parent.parent().is_some() && dir.is_dir() && !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs.into_iter()
        .map(|dir| dir.into_os_string().into_vec())
        .collect()
}

/// A path that still holds where the working directory is another.
fn absolute(path: &Path) -> Vec<u8> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.into_os_string().into_vec()
}

fn warn(host: &Host, text: &str) {
    // An error means that a logging plugin called exit: nothing more can be said.
    let _ = host.log(
        perl::log::LOGWARN,
        None,
        None,
        &[perl::Sv::bytes(text.as_bytes())],
    );
}

fn load_perl(host: &Host, line: &PluginLine) -> Result<(), String> {
    let name = String::from_utf8_lossy(&line.name);
    crate::server::loading(&format!("{}: plugin {name}", line.place));
    host.load_plugin(&line.text)
        .map_err(|error| format!("{}: {error}", line.place))
}

fn load_native(
    host: &Host,
    natives: &mut Natives,
    registry: &Registry,
    config: &ConfigDir,
    line: &PluginLine,
) -> Result<(), String> {
    for handler in handlers(registry, config, line)? {
        let (plugin, hook) = (handler.plugin.clone(), handler.hook);
        host.add_native(&plugin, hook, natives.add(handler));
    }
    Ok(())
}

fn handlers(
    registry: &Registry,
    config: &ConfigDir,
    line: &PluginLine,
) -> Result<Vec<Handler>, String> {
    let name = line.name.strip_prefix(b"native/").unwrap_or(&line.name);
    let name = String::from_utf8_lossy(name);
    let args = PluginArgs(line.args.clone());
    registry
        .load(&name, &args, config)
        .map_err(|error| format!("{}: native/{name}: {error}", line.place))
}
