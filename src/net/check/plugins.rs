//! What in a Perl plugin that loads was meant otherwise.

use crate::base::finding::Finding;
use crate::base::likely::likely;
use crate::config::PluginLine;
use crate::hook::Hook;
use crate::perl::Sv;
use crate::perl::host::Host;
use crate::perl::host::odd::Odd;

use super::source::Named;

/// Looks at a plugin of this line.
pub(super) fn look(host: &Host, line: &PluginLine, plugin: &Sv, tell: &dyn Fn(Finding)) {
    let warn = |text: String| {
        tell(Finding::warning(text));
    };
    let name = String::from_utf8_lossy(&line.name);
    let looked = match host.look_at(plugin) {
        Ok(looked) => looked,
        Err(why) => {
            return warn(format!(
                "{}: plugin {name} cannot be looked at: {why}",
                line.place
            ));
        }
    };
    let subs: Vec<String> = Hook::ALL
        .iter()
        .map(|hook| format!("hook_{}", hook.name().replace('-', "_")))
        .collect();
    for odd in looked.odd {
        match odd {
            Odd::Sub {
                file,
                line: at,
                name: sub,
            } => {
                let meant = likely(&sub, subs.iter().map(String::as_str));
                let meant = meant.map_or_else(String::new, |meant| format!("; {meant} is one"));
                warn(format!(
                    "{file}:{at}: plugin {name}: there is no hook of the name {}, so nothing calls {sub}{meant}",
                    sub.trim_start_matches("hook_")
                ));
            }
            Odd::Method { hook, name: method } => warn(format!(
                "{}: plugin {name} registers {method} for the hook {hook}, and has no such sub: each call of it dies",
                line.place
            )),
        }
    }
    if looked.hooks == 0 {
        warn(format!(
            "{}: plugin {name} has no hooks: nothing calls it",
            line.place
        ));
    }
}

/// Plugins of Debian's package that do not do what they are for, with qpsmtpd too.
pub(super) fn look_at_old_ones(named: &Named, tell: &dyn Fn(Finding)) {
    if named.name() != "check_loop" {
        return;
    }
    let code = named.code();
    let has = |what: &str| code.iter().any(|(_, line)| line.contains(what));
    // The init that it inherits would set the number of hops, and is never called: with 0 every message has too many.
    if has("isa_plugin") && has("sub init") && !has("SUPER::init") && !has("::init(") {
        tell(Finding::warning(format!(
            "{}: check_loop of Debian's package never calls the init of loop, and refuses every message as one with too \
             many hops, as it does with qpsmtpd: write loop in its place",
            named.line.place
        )));
    }
}
