//! Loads the Perl plugins, in the order of their config lines, and notes what they have when all are there.

use crate::config::table_name;
use crate::hook::Hook;
use crate::perl::exchange::site::Roots;
use crate::perl::ffi::call::{Unwind, Want, call_function, call_method};
use crate::perl::ffi::dropped::release_dropped;
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;

impl Host {
    /// Loads one Perl plugin by its config line, and gives its object, where it has made one.
    pub fn load_plugin(&self, line: &[u8]) -> Result<Option<Sv>, String> {
        if let Err(error) = call_function("Camelpost::modules_first", &[], Want::Void) {
            return Err(String::from_utf8_lossy(&error.message()).into_owned());
        }
        let mut args = vec![self.present.qp.clone(), Sv::bytes(line)];
        args.extend(self.settings.plugin_dirs.iter().map(|dir| Sv::bytes(dir)));
        match call_method("_load_plugin", &args, Want::Scalar) {
            Ok(made) => {
                let name = line.split(u8::is_ascii_whitespace).next();
                let name = table_name(name.unwrap_or_default());
                self.site.loaded(&name, made.first());
                release_dropped().map_err(|_| exited(line, None))?;
                Ok(made.into_iter().next())
            }
            Err(Unwind::Exited(status)) => Err(exited(line, Some(status))),
            Err(died) => Err(String::from_utf8_lossy(&died.message())
                .trim_end()
                .to_owned()),
        }
    }

    /// Lets the guards know which plugin is called in which hooks.
    pub fn note_hooks(&self) {
        if let Some(guards) = self.guards.get() {
            for hook in Hook::ALL {
                guards.note_hook(*hook, self.table.names_in(*hook).into_iter());
            }
        }
    }

    /// Everything is loaded: what the site's variables hold now is what each session begins with.
    /// What cannot be exchanged waits for `take_unfit`.
    pub fn note_site(&self) {
        let guards = self.guards.get();
        let codes = self.owners.methods().into_iter().chain(self.table.codes());
        self.site.note(&Roots {
            qp: &self.present.qp,
            table: self.table.containers(),
            plugins: self.owners.plugins(),
            codes: codes.collect(),
            keeps: &|plugin| guards.is_some_and(|guards| guards.keeps(plugin)),
        });
        let found = self.site.found_unfit().into_iter();
        let found = found.map(|(plugin, why, variable)| (plugin, why.reason(&variable)));
        self.unfit.borrow_mut().extend(found);
    }
}

fn exited(line: &[u8], status: Option<i32>) -> String {
    let name = line.split(u8::is_ascii_whitespace).next();
    let name = String::from_utf8_lossy(name.unwrap_or_default());
    let status = status.map_or_else(String::new, |status| format!("({status})"));
    format!("plugin {name} called exit{status} while it was loaded")
}
