//! The hook `post-fork`: once in each worker, before its first session, for plugins of both kinds in the
//! order of their lines. There is no session that they could reach.

use super::load::Loaded;
use crate::chain::{Given, line};
use crate::hook::{Hook, HookCall};
use crate::net::perl_side::pump::{Exited, Pump};
use crate::perl::{Chain, Progress};
use crate::plugin::{Handler, NoSession};

/// Runs it. Perl code that calls exit ends the worker.
pub(in crate::net) fn run(loaded: &Loaded, pump: &Pump) -> Result<(), Exited> {
    if !loaded.has_entries(Hook::PostFork) {
        return Ok(());
    }
    let call = HookCall::new(Hook::PostFork);
    let Some(host) = &loaded.host else {
        for id in loaded.natives.of(Hook::PostFork) {
            if let Some(handler) = loaded.natives.get(*id) {
                tell(loaded, &handler, &run_native(loaded, pump, &handler, &call));
            }
        }
        return Ok(());
    };
    let mut progress = host.advance(Chain::quiet(call.clone()), None);
    loop {
        match progress.map_err(|_| Exited)? {
            Progress::Finished(_) => break,
            Progress::Native { chain, id } => {
                let handler = loaded.natives.get(id);
                let given = match &handler {
                    Some(handler) => run_native(loaded, pump, handler, &call),
                    None => Given::Nothing,
                };
                progress = host.advance(chain, Some(given));
            }
        }
    }
    // What the hook has set all sessions of this worker have.
    host.note_site();
    Ok(())
}

fn run_native(loaded: &Loaded, pump: &Pump, handler: &Handler, call: &HookCall) -> Given {
    let access = NoSession::new(Some(&loaded.config), |level, hook, plugin, text| {
        write(loaded, level, Some(hook), Some(plugin), text);
    });
    let guard = (loaded.guards).of(handler.listed.as_bytes(), handler.hook, true);
    pump.run(guard.run(handler.call(&access, call)))
}

/// What the chain would say where there is no interpreter.
fn tell(loaded: &Loaded, handler: &Handler, given: &Given) {
    let name = handler.plugin.as_bytes();
    let guard = (loaded.guards).of(handler.listed.as_bytes(), handler.hook, true);
    if let Given::Died(error) = given {
        let error = String::from_utf8_lossy(error);
        let text = format!("FATAL PLUGIN ERROR [{}]:  {error}", handler.plugin);
        write(loaded, crate::log::LOGCRIT, None, None, &text);
    } else if let Some((level, text)) = guard.told(given, name, handler.hook) {
        write(loaded, level, None, None, &text);
    }
}

fn write(loaded: &Loaded, level: u8, hook: Option<&str>, plugin: Option<&str>, text: &str) {
    if level <= loaded.log_level {
        let first = crate::log::first_word(None);
        let (hook, plugin) = (hook.map(str::as_bytes), plugin.map(str::as_bytes));
        crate::log::write_line(level, line(first, hook, plugin, [text.as_bytes()]));
    }
}
