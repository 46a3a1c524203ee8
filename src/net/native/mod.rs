//! Sessions of a configuration that names native plugins only: no interpreter is built for them,
//! and there is no pump, as nothing has to run outside the runtime.

mod chain;
mod run;
mod session;

pub use run::{one_session, work};

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::CoreSettings;
use crate::hook::Hook;
use crate::perl::host::HostSettings;
use crate::plugin::{Guards, Handler, Loaded as Natives};
use crate::session::Settings;

/// What a worker starts with.
#[derive(Clone)]
pub struct Loaded {
    pub plugins: Rc<Plugins>,
    pub settings: Rc<Settings>,
}

/// The plugins in the order of their lines, hook by hook, and what they are run by.
pub struct Plugins {
    pub natives: Natives,
    pub chains: BTreeMap<Hook, Vec<i32>>,
    pub host: HostSettings,
    /// What holds for the plugins' calls.
    pub guards: Rc<Guards>,
}

/// Whether a configuration needs no interpreter: it names no Perl plugin.
pub fn is_enough(core: &CoreSettings) -> bool {
    let mut lines = core.plugins.iter();
    core.logging.is_empty() && lines.all(|line| line.name.starts_with(b"native/"))
}

impl Plugins {
    pub fn new(host: HostSettings) -> Plugins {
        Plugins {
            natives: Natives::default(),
            chains: BTreeMap::new(),
            host,
            guards: Rc::default(),
        }
    }

    pub fn add(&mut self, handler: Handler) {
        let chain = self.chains.entry(handler.hook).or_default();
        chain.push(self.natives.add(handler));
    }

    pub fn has_entries(&self, hook: Hook) -> bool {
        self.chains.contains_key(&hook)
    }

    /// A line in the form that Perl plugins' lines have, too.
    pub fn log(&self, session: Option<u32>, level: u8, place: Option<(Hook, &str)>, text: &[u8]) {
        if level > self.host.trace_level {
            return;
        }
        let mut line = crate::log::first_word(session).to_string().into_bytes();
        if let Some((hook, who)) = place {
            line.extend_from_slice(format!(" ({}) {who}:", hook.name()).as_bytes());
        }
        line.push(b' ');
        line.extend_from_slice(text);
        crate::log::write_line(line);
    }

    /// A config value: the file's lines, else the default.
    pub fn config(&self, session: Option<u32>, name: &str) -> Vec<Vec<u8>> {
        let config = &self.host.config;
        let found = config.lines(name);
        let mut problems = config.take_problems();
        let lines = found.unwrap_or_else(|error| {
            problems.push(error);
            None
        });
        for problem in problems {
            self.log(session, 3, None, problem.to_string().as_bytes());
        }
        match lines {
            Some(lines) if !lines.is_empty() => lines.to_vec(),
            _ => {
                let mut defaults = self.host.defaults.iter();
                let default = defaults.find(|(known, _)| *known == name);
                default.map_or_else(Vec::new, |(_, value)| vec![value.clone()])
            }
        }
    }
}
