//! Builds the host: interpreter, qp object, plugins in the order of their config lines.

use std::rc::Rc;

use super::idle::Idle;
use crate::config::{Profile, table_name};
use crate::hook::Hook;
use crate::mail::Spool;
use crate::perl::ffi::call::{Want, call_function, call_method, eval};
use crate::perl::ffi::interpreter;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host::chain::native_id;
use crate::perl::host::{Host, HostSettings};
use crate::perl::xs::FIRST_NATIVE;
use crate::plugin::PREFIX;

/// Starts the interpreter and makes the host, without plugins.
pub fn start(settings: HostSettings, spool: Rc<Spool>) -> Result<Rc<Host>, String> {
    let config = settings.named_config.as_deref();
    interpreter::start(&settings.module_dirs, config, settings.taint)?;
    make(settings, spool)
}

/// Makes the host in the interpreter that runs.
pub fn make(settings: HostSettings, spool: Rc<Spool>) -> Result<Rc<Host>, String> {
    let failed = |error: crate::perl::ffi::call::Unwind| {
        String::from_utf8_lossy(&error.message()).into_owned()
    };
    let made = eval(
        "require Qpsmtpd::TcpServer; require Qpsmtpd::Address; Qpsmtpd::TcpServer->new",
        Want::Scalar,
    )
    .map_err(failed)?;
    let [qp] = <[Sv; 1]>::try_from(made).map_err(|_| "no qp object".to_owned())?;
    let version = Sv::bytes(settings.version.as_bytes());
    let threshold = Sv::int(i64::try_from(settings.size_threshold).unwrap_or(i64::MAX));
    let is_1_00 = Sv::int((settings.profile == Profile::V100).into());
    let globals = [version, threshold, is_1_00];
    call_function("Camelpost::set_globals", &globals, Want::Void).map_err(failed)?;
    let host = Host::new(qp, settings, Rc::new(Idle::new(spool)));
    host.begin_site();
    host.methods.note(&["Qpsmtpd::TcpServer", "Qpsmtpd::SMTP"]);
    crate::perl::xs::keys::bind_session_keys(&host.qp, None);
    host.qp.hash_set(b"_continuation", Sv::undef());
    Ok(host)
}

impl Host {
    /// Loads one Perl plugin by its config line.
    pub fn load_plugin(&self, line: &[u8]) -> Result<(), String> {
        if let Err(error) = call_function("Camelpost::modules_first", &[], Want::Void) {
            return Err(String::from_utf8_lossy(&error.message()).into_owned());
        }
        let mut args = vec![self.qp.clone(), Sv::bytes(line)];
        args.extend(self.settings.plugin_dirs.iter().map(|dir| Sv::bytes(dir)));
        match call_method("_load_plugin", &args, Want::Scalar) {
            Ok(made) => {
                let name = line.split(u8::is_ascii_whitespace).next();
                let name = table_name(name.unwrap_or_default());
                self.site.loaded(&name, made.first());
                crate::perl::ffi::value::release_dropped().map_err(|_| exited(line, None))
            }
            Err(crate::perl::ffi::call::Unwind::Exited(status)) => Err(exited(line, Some(status))),
            Err(died) => Err(String::from_utf8_lossy(&died.message())
                .trim_end()
                .to_owned()),
        }
    }

    /// Puts a native plugin's hook at the end of a chain.
    pub fn add_native(&self, name: &str, hook: Hook, id: i32) {
        let hooks = self.hooks();
        if hooks.hash_get(hook.name()).is_none() {
            hooks.hash_set(hook.name().as_bytes(), Sv::array_of([]));
        }
        let entry = Sv::hash_ref();
        entry.hash_set(b"name", Sv::bytes(name.as_bytes()));
        // SAFETY: makes a new code reference.
        if let Some(code) = Sv::own(unsafe { sys::cp_anonymous_xsub(FIRST_NATIVE + id) }) {
            entry.hash_set(b"code", code);
        }
        if let Some(list) = hooks.hash_get(hook.name()).and_then(|list| list.referent()) {
            // SAFETY: `list` is the hook's array, which takes over the reference.
            unsafe { sys::cp_array_push(list.raw(), entry.into_raw()) }
        }
    }

    /// The names of all plugins in the table of hooks as plugin_settings has them, some of them often.
    pub fn entry_names(&self) -> Vec<Vec<u8>> {
        let names = Hook::ALL.iter().map(|hook| self.names_in(*hook));
        names.flatten().collect()
    }

    fn names_in(&self, hook: Hook) -> Vec<Vec<u8>> {
        let Some(list) = self.hooks().hash_get(hook.name()) else {
            return Vec::new();
        };
        let entries = (0..list.array_len()).filter_map(|at| list.array_get(at));
        let named = entries.filter_map(|entry| {
            let name = entry.hash_get("name")?.to_bytes();
            Some(match native_id(&entry.hash_get("code")?) {
                Some(_) => [PREFIX, &name].concat(),
                None => name,
            })
        });
        named.collect()
    }

    /// Lets the guards know which plugin is called in which hooks.
    pub fn note_hooks(&self) {
        if let Some(guards) = self.guards.get() {
            for hook in Hook::ALL {
                guards.note_hook(*hook, self.names_in(*hook).into_iter());
            }
        }
    }

    /// The mechanisms for which an auth hook is registered; `auth` stands for all.
    pub fn auth_mechanisms(&self) -> Vec<&'static str> {
        let all = self.has_entries(Hook::Auth);
        let mechanisms = Hook::AUTH_MECHANISMS.into_iter();
        let offered = mechanisms.filter(|(hook, _)| all || self.has_entries(*hook));
        offered.map(|(_, name)| name).collect()
    }
}

fn exited(line: &[u8], status: Option<i32>) -> String {
    let name = line.split(u8::is_ascii_whitespace).next();
    let name = String::from_utf8_lossy(name.unwrap_or_default());
    let status = status.map_or_else(String::new, |status| format!("({status})"));
    format!("plugin {name} called exit{status} while it was loaded")
}
