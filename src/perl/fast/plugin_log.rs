//! A plugin's `log` as an XSUB, where no class has methods of its own for what it asks (`c/glue_plugin.c`).
//! The plain way is `_log` in Qpsmtpd::Plugin, which calls them.

use crate::perl::fast::left_to;
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host;

pub(crate) const XSUBS: &[(&str, Body)] = &[("Camelpost::plugin_log", log)];

/// How a plugin's line goes to the log.
enum Way {
    InPerl,
    /// It comes from a logging hook, which cannot log.
    Not,
    Plain {
        hook: Sv,
        name: Sv,
    },
}

/// log(LEVEL, TEXT…): the name of the plugin and of its hook go with the line.
fn log(frame: &mut Frame<'_>) -> Result<(), Raise> {
    // Without a text, the plugin's name would be taken for it.
    let way = match frame.len() {
        0..=2 => Way::InPerl,
        _ => way(&frame.sv(0))?,
    };
    let written = match way {
        Way::InPerl => return left_to(frame, "Qpsmtpd::Plugin::_log"),
        Way::Not => return Ok(()),
        Way::Plain { hook, name } => {
            let (level, texts) = (frame.sv(1), frame.rest(2));
            host::current()?
                .logger()
                .own_line(&level, &hook, &name, &texts)?
        }
    };
    if written {
        frame.ret_int(1);
    }
    Ok(())
}

fn way(plugin: &Sv) -> Result<Way, Raise> {
    let mut facts = sys::cp_log_fact {
        hook: std::ptr::null_mut(),
        name: std::ptr::null_mut(),
        qp: std::ptr::null_mut(),
    };
    // SAFETY: a live SV; looks at its hash and its class.
    let way = unsafe { sys::cp_log_facts(plugin.raw(), &mut facts) } as u32;
    if way == sys::CP_LOG_NOT {
        return Ok(Way::Not);
    }
    if way != sys::CP_LOG_PLAIN || !host::current()?.present.logs_plainly(&Sv::share(facts.qp)) {
        return Ok(Way::InPerl);
    }
    let hook = match facts.hook.is_null() {
        true => Sv::undef(),
        false => Sv::copied(facts.hook),
    };
    // A logging plugin may assign to its arguments.
    let name = Sv::copied(facts.name);
    Ok(Way::Plain { hook, name })
}
