//! Camelpost::_warned — what perl warns of, as lines of a log in JSON. Is called only where glue_warn.c has put
//! it.

use crate::base::log::LOGWARN;
use crate::base::trace::Event;
use crate::hook::Hook;
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::host;

pub(super) const XSUBS: &[(&str, Body)] = &[("Camelpost::_warned", warned)];

/// _warned(TEXT): of which plugin, in which hook, the host knows.
fn warned(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let text = frame.bytes(0)?;
    let host = host::current()?;
    let running = host.running.borrow().clone();
    let (hook, plugin) = match &running {
        // A logging plugin that writes by `warn`: its line was told already.
        Some((Hook::Logging, _)) => return Ok(()),
        Some((hook, plugin)) => (Some(hook.name().as_bytes()), Some(&plugin[..])),
        None => (None, None),
    };
    host.tell(&Event::Line {
        level: LOGWARN,
        hook,
        plugin,
        text: text.trim_ascii_end(),
    });
    Ok(())
}
