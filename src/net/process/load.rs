//! Loads the configuration and the plugins, in the zygote. Every error is one line that names
//! the file and line, what was found, and what to do.

use std::cell::RefCell;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::base::log::{LOGINFO, LOGWARN};
use crate::chain::{Defaults, Guards, line};
use crate::config::{
    ConfigDir, CoreSettings, PluginLine, PluginSettings, Profile, StoreSetting, compared_version,
    table_name,
};
use crate::hook::{Hook, HookCall};
use crate::mail::Spool;
use crate::net::process::twins::{Ground, Twins, enter};
use crate::net::session::natives::tell_loggers;
use crate::perl;
use crate::perl::Sv;
use crate::perl::host::{Host, HostSettings};
use crate::plugin::{Handler, LoadEnv, Natives, NoSession, PREFIX, Registry, declined};
use crate::server::open_store;
use crate::session::{PRODUCT, SessionSettings};
use crate::store::Backend;

/// What a worker starts with.
#[derive(Clone)]
pub struct Loaded {
    /// The Perl plugins' host; none where no Perl plugin is named, and so no interpreter is needed.
    pub host: Option<Rc<Host>>,
    pub natives: Rc<Natives>,
    pub settings: Rc<SessionSettings>,
    pub config: Rc<ConfigDir>,
    pub defaults: Rc<Defaults>,
    /// What holds for the plugins' calls.
    pub guards: Rc<Guards>,
    /// What outlives a session.
    pub store: Rc<Backend>,
    /// TLS ends in this process: a client that begins with it does not leave its worker.
    pub native_tls: bool,
    /// `loglevel`: lines up to this level go to stderr where no logging plugin is registered.
    pub log_level: u8,
}

impl Loaded {
    /// What was loaded, in a line.
    pub fn about(&self) -> String {
        let perl = match self.host {
            Some(_) => format!("perl {}", env!("CAMELPOST_PERL")),
            None => "without perl".to_owned(),
        };
        format!(
            "{perl}, config {}, compat {}, {} plugins",
            self.config
                .path("plugins")
                .parent()
                .unwrap_or(Path::new("."))
                .display(),
            compared_version(self.settings.profile),
            self.guards.names().len()
        )
    }

    /// Whether any plugin is registered for a hook.
    pub fn has_entries(&self, hook: Hook) -> bool {
        has_entries(self.host.as_ref(), &self.natives, hook)
    }
}

fn has_entries(host: Option<&Rc<Host>>, natives: &Natives, hook: Hook) -> bool {
    match host {
        Some(host) => host.table.has_entries(hook),
        None => natives.has_entries(hook),
    }
}

/// Reads the config directory and loads the lines of `logging` and `plugins`; starts perl where
/// one of them is a Perl plugin.
pub(crate) fn load(config: Option<PathBuf>, registry: &Registry) -> Result<Loaded, String> {
    load_all(config, registry, &Strict).map_err(|error| format!("camelpost: {error}"))
}

/// What is done with what is found while loading.
pub(crate) trait Findings {
    /// Something that the service cannot start with: an error ends the load.
    fn problem(&self, text: String) -> Result<(), String>;
    /// A warning; whether somebody has been told, so that it need not go to the log.
    fn warning(&self, _text: &str) -> bool {
        false
    }
    /// This line's plugin was loaded; a Perl plugin has an object.
    fn loaded(&self, _line: &PluginLine, _plugin: Option<Sv>) {}
}

/// The first problem ends the load.
struct Strict;

impl Findings for Strict {
    fn problem(&self, text: String) -> Result<(), String> {
        Err(text)
    }
}

/// The same, with what is found on the way.
pub(crate) fn load_all(
    config: Option<PathBuf>,
    registry: &Registry,
    findings: &dyn Findings,
) -> Result<Loaded, String> {
    let named = config.as_deref().map(absolute);
    let config = ConfigDir::locate(config).map_err(|error| error.to_string())?;
    let config = Rc::new(config);
    let mut problems = Vec::new();
    let core = CoreSettings::read(&config, &mut problems);
    let prepared = core.spool.prepare();
    let warning = prepared.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    config.always_check(core.compat.profile == Profile::V100);

    let lines = || core.logging.iter().chain(&core.plugins);
    let guarded = PluginSettings::load(&config, lines()).unwrap_or_else(|problem| {
        problems.push(problem);
        PluginSettings::default()
    });
    for problem in problems {
        findings.problem(problem.to_string())?;
    }
    let names: Vec<Vec<u8>> = lines().map(|line| table_name(&line.name)).collect();

    let store = store(&config, &core)?;
    let spool = Rc::new(Spool {
        dir: core.spool.path.clone(),
        threshold: core.size_threshold,
        ..Spool::default()
    });
    let log_level = core.log_level.unwrap_or(crate::base::log::DEFAULT_LEVEL);
    let defaults = vec![("me", core.me.clone()), ("timeout", b"1200".to_vec())];
    let defaults = Rc::new(defaults);
    let dirs = plugin_dirs(&config, &core);
    let profile = core.compat.profile;
    let found = Twins::find(lines(), registry, &guarded, &config, &dirs, profile);
    let twins = match found {
        Ok(twins) => twins,
        Err(problem) => {
            findings.problem(problem)?;
            Twins::default()
        }
    };
    let host = match needs_perl(&core, &twins) {
        false => None,
        true => Some(perl::start(
            HostSettings {
                config: config.clone(),
                search: None,
                trace_level: log_level,
                profile: core.compat.profile,
                defaults: defaults.clone(),
                version: compared_version(core.compat.profile).to_owned(),
                plugin_dirs: dirs,
                module_dirs: module_dirs(&config, &core),
                taint: core.taint,
                named_config: named,
                size_threshold: core.size_threshold,
                queue_sync: core.queue_sync,
            },
            spool.clone(),
        )?),
    };
    let host = host.as_ref();
    if let Some(host) = host.filter(|_| store.is_named) {
        let _ = host.store.set(store.clone());
    }
    let natives = RefCell::new(Natives::default());
    let say = |level: u8, text: &str| {
        if level <= LOGWARN && findings.warning(text) {
            return;
        }
        if let Some(host) = host {
            // An error means that a logging plugin called exit: nothing more can be said.
            let _ = host.log(level, None, None, &[Sv::bytes(text.as_bytes())]);
        } else if !loggers_take(&natives.borrow(), level, text) && level <= log_level {
            let first = crate::base::log::first_word(None);
            crate::base::log::write_line(level, line(first, None, None, [text.as_bytes()]));
        }
    };
    if host.is_some() && !perl::fast::are_on() {
        say(
            LOGWARN,
            &format!("{}: fast paths are off", perl::fast::SWITCH),
        );
    }
    let ground = Ground {
        host,
        config: &config,
        defaults: &defaults,
        log_level,
    };
    let load_line = |line: &PluginLine| {
        if let Some(twin) = twins.of(line) {
            twin.load(&ground, &natives, line)?;
            findings.loaded(line, None);
            return Ok(());
        }
        if !line.name.starts_with(PREFIX) {
            findings.loaded(line, load_perl(host, line)?);
            return Ok(());
        }
        let env = LoadEnv::new(&config, line, profile);
        load_native(host, &natives, registry, &env)?;
        findings.loaded(line, None);
        let warnings = env.take_warnings();
        warnings.iter().for_each(|text| say(LOGWARN, text));
        for (level, text) in env.take_said() {
            say(level, &format!("{}: {text}", env.name()));
        }
        Ok(())
    };
    for line in &core.logging {
        if let Err(problem) = load_line(line) {
            findings.problem(problem)?;
        }
        if core.compat.profile == Profile::V100 {
            say(
                LOGINFO,
                &format!("Loaded {}", String::from_utf8_lossy(&line.text)),
            );
        }
    }
    if let Some(warning) = warning {
        say(LOGWARN, &warning);
    }
    if let Some(text) = host.and_then(|_| about_taint(&config, &core)) {
        say(LOGWARN, &text);
    }
    if let Some(host) = host.filter(|_| twins.has("tls")) {
        let prepared = host.present.prepare_tls();
        prepared.map_err(|error| String::from_utf8_lossy(&error.message()).into_owned())?;
    }
    for (level, text) in twins.changed() {
        say(*level, text);
    }
    for line in &core.plugins {
        if let Err(problem) = load_line(line) {
            findings.problem(problem)?;
        }
    }
    let has_queue = has_entries(host, &natives.borrow(), Hook::Queue);
    if let Some(text) = nothing_delivers(&config, &core, has_queue) {
        say(LOGWARN, &text);
    }
    // Only now: what happens while plugins load has no time of its own.
    let of_table = host.map_or_else(Vec::new, |host| host.table.names());
    let guards = Rc::new(Guards::new(guarded, names.into_iter().chain(of_table)));
    match host {
        Some(host) => {
            let _ = host.guards.set(guards.clone());
            host.note_hooks();
            host.note_site();
        }
        None => natives.borrow().note_hooks(&guards),
    }
    let mechanisms = match host {
        Some(host) => host.table.auth_mechanisms(),
        None => natives.borrow().auth_mechanisms(),
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Loaded {
        host: host.cloned(),
        natives: Rc::new(natives.into_inner()),
        settings: Rc::new(session_settings(core, version, spool, mechanisms)),
        config,
        defaults,
        guards,
        store,
        native_tls: twins.has("tls"),
        log_level,
    })
}

/// What config `store` names, as each process will open it.
fn store(config: &ConfigDir, core: &CoreSettings) -> Result<Rc<Backend>, String> {
    let setting =
        StoreSetting::load(config, &core.spool.path).map_err(|error| error.to_string())?;
    let backend = Backend::new(&setting, open_store).map_err(|problem| {
        let file = config.path("store");
        format!("{}: {problem}", file.display())
    })?;
    Ok(Rc::new(backend))
}

/// Whether a configuration names a Perl plugin.
fn needs_perl(core: &CoreSettings, twins: &Twins) -> bool {
    let is_native = |line: &PluginLine| line.name.starts_with(PREFIX) || twins.of(line).is_some();
    !core.logging.iter().chain(&core.plugins).all(is_native)
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

/// What is said where nothing queues.
pub(crate) const NO_QUEUE: &str = "no plugin hooks queue";

/// What an administrator should know of a configuration that does not deliver.
fn nothing_delivers(config: &ConfigDir, core: &CoreSettings, queues: bool) -> Option<String> {
    let file = config.path("plugins");
    if core.plugins.is_empty() {
        let what = match std::fs::metadata(&file) {
            Err(_) => match config.dirs().first() {
                Some(dir) => format!("{}: there is no file plugins", dir.display()),
                None => "there is no file plugins".to_owned(),
            },
            Ok(found) if found.is_dir() => format!(
                "{}: it is a directory, and a file with a plugin in each line is wanted",
                file.display()
            ),
            Ok(_) => format!("{}: no plugin is named", file.display()),
        };
        return Some(format!("{what}, so no mail is accepted"));
    }
    (!queues).then(|| {
        format!(
            "{}: {NO_QUEUE}, so messages are answered with 451: add one, such as queue/maildir DIRECTORY",
            file.display()
        )
    })
}

fn session_settings(
    core: CoreSettings,
    version: String,
    spool: Rc<Spool>,
    auth_mechanisms: Vec<&'static str>,
) -> SessionSettings {
    SessionSettings {
        profile: core.compat.profile,
        keeps_received: core.compat.keeps_received,
        me: core.me,
        product: PRODUCT,
        version,
        spool,
        auth_mechanisms,
        timeout: core.timeout,
        zone: crate::base::Zone::local(),
        data_min_rate: core.data_min_rate,
        forbidden_commands: core.forbidden_commands.clone(),
        limits: core.limits,
        recipient_limit: usize::try_from(core.recipient_limit).unwrap_or(0),
        strictness: core.strictness,
        show_id: core.show_id,
    }
}

/// `plugin_dirs`, and after them plugins/ beside the config directory (the plugin document's
/// fallback).
pub(crate) fn plugin_dirs(config: &ConfigDir, core: &CoreSettings) -> Vec<Vec<u8>> {
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

fn load_perl(host: Option<&Rc<Host>>, line: &PluginLine) -> Result<Option<Sv>, String> {
    // There is one where a line wants it.
    let Some(host) = host else { return Ok(None) };
    let name = String::from_utf8_lossy(&line.name);
    crate::server::loading(&format!("{}: plugin {name}", line.place));
    host.load_plugin(&line.text)
        .map_err(|error| format!("{}: {error}", line.place))
}

fn load_native(
    host: Option<&Rc<Host>>,
    natives: &RefCell<Natives>,
    registry: &Registry,
    env: &LoadEnv<'_>,
) -> Result<(), String> {
    enter(host, natives, registry.load(env)?);
    Ok(())
}

/// Whether native loggers take care of a line that is nobody's session's.
pub(super) fn loggers_take(natives: &Natives, level: u8, text: &str) -> bool {
    let nowhere = NoSession::new(None, |_, _, _, _| {});
    let call = |handler: &Handler, line: &HookCall| {
        let guard = Guards::default().of(handler.listed.as_bytes(), handler.hook, true);
        let called = || handler.call_now(&nowhere, line).unwrap_or_else(declined);
        Some(guard.run_now(called))
    };
    tell_loggers(natives, level, (None, None), text.as_bytes(), call)
}
