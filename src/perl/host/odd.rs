//! What in a loaded Perl plugin was meant otherwise, for `camelpost check` (perl/Camelpost/Check.pm).

use crate::perl::ffi::call::{Want, call_function, eval};
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;

/// Something odd in a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// A sub that is named as those of hooks are, and belongs to none.
    Sub {
        file: String,
        line: u32,
        name: String,
    },
    /// A hook for which a method is registered that is not there.
    Method { hook: String, name: String },
}

/// What a Perl plugin was found to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// For how many hooks it is registered.
    pub hooks: usize,
    pub odd: Vec<Odd>,
}

impl Host {
    /// Looks at a plugin that was loaded. The error is perl's text.
    pub fn look_at(&self, plugin: &Sv) -> Result<Looked, String> {
        let failed = |error: crate::perl::ffi::call::Unwind| {
            String::from_utf8_lossy(&error.message()).into_owned()
        };
        eval("require Camelpost::Check", Want::Void).map_err(failed)?;
        let registered = self.owners.registered_by(plugin);
        let hooks = registered.len();
        let mut args = vec![plugin.clone()];
        args.extend(
            registered
                .into_iter()
                .flat_map(|(hook, method)| [hook, method]),
        );
        let found = call_function("Camelpost::Check::look", &args, Want::List).map_err(failed)?;
        let text = |sv: &Sv| String::from_utf8_lossy(&sv.to_bytes()).into_owned();
        let odd = found.chunks_exact(4).map(|four| {
            let [kind, file, line, name] = [0, 1, 2, 3].map(|at| text(&four[at]));
            match (&*kind, name.split_once(' ')) {
                ("method", Some((method, hook))) => Odd::Method {
                    hook: hook.to_owned(),
                    name: method.to_owned(),
                },
                _ => Odd::Sub {
                    file,
                    line: line.parse().unwrap_or(0),
                    name,
                },
            }
        });
        Ok(Looked {
            hooks,
            odd: odd.collect(),
        })
    }
}
