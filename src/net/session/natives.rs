//! The chain of a hook where there is no interpreter: the native plugins in the order of their lines.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;

use super::Session;
use crate::chain::{self, Around, Called, Course, Given, Guards, Plugins};
use crate::config::Profile;
use crate::hook::{Arg, Code, Hook, HookCall, Verdict};
use crate::mail::{EnvelopeAddress, Shown};
use crate::perl::host::Host;
use crate::plugin::{Handler, Natives};

/// What native config hooks have said of names in a session, under 0.94: they are asked once.
pub(super) type ConfigSaid = RefCell<HashMap<String, Option<Vec<Vec<u8>>>>>;

impl Session {
    /// A config value where native config hooks have a say in it.
    pub(super) async fn config_of_natives(self: &Rc<Self>, name: &str) -> Vec<Vec<u8>> {
        let said = self.config_said.borrow().get(name).cloned();
        let said = match said {
            Some(said) => said,
            None => self.ask_native_config_hooks(name).await,
        };
        said.unwrap_or_else(|| self.file_config(name))
    }

    /// A config value as `config(NAME, {rcpt => RECIPIENT})` gives it.
    pub(super) async fn recipient_config(
        self: &Rc<Self>,
        name: &str,
        recipient: Rc<Shown<EnvelopeAddress>>,
    ) -> Vec<Vec<u8>> {
        if self.has_no_entries(Hook::UserConfig) {
            return self.config(name).await;
        }
        if self.perl_side.is_some() {
            let name = name.to_owned();
            let work = move |host: &Host| host.present.recipient_config(&name, &recipient);
            return self.perl(work).await.unwrap_or_default();
        }
        let args = vec![Arg::Address(recipient), Arg::from(name)];
        let call = HookCall::with(Hook::UserConfig, args);
        let verdict = Box::pin(self.native_chain(call)).await;
        if verdict.code != Code::Ok {
            return self.config(name).await;
        }
        let values = verdict.values.into_iter();
        values.map(Option::unwrap_or_default).collect()
    }

    async fn ask_native_config_hooks(self: &Rc<Self>, name: &str) -> Option<Vec<Vec<u8>>> {
        let call = HookCall::with(Hook::Config, vec![Arg::from(name)]);
        let verdict = Box::pin(self.native_chain(call)).await;
        let values = verdict.values.into_iter().map(Option::unwrap_or_default);
        let said = (verdict.code == Code::Ok).then(|| values.collect());
        if self.state.settings.profile == Profile::V094 {
            let mut all = self.config_said.borrow_mut();
            all.insert(name.to_owned(), Option::clone(&said));
        }
        said
    }
}

/// Hands a line of the log to the native loggers: its level, its hook and its plugin, and its text. True
/// where it is not to be written to stderr, as with loggers of Perl's: they are there, and the last of them
/// has not refused it.
pub(crate) fn tell_loggers(
    natives: &Natives,
    level: u8,
    (hook, plugin): (Option<&[u8]>, Option<&[u8]>),
    text: &[u8],
    call: impl Fn(&Handler, &HookCall) -> Option<Given>,
) -> bool {
    let loggers = natives.of(Hook::Logging);
    if loggers.is_empty() {
        return false;
    }
    let bytes = |bytes: Option<&[u8]>| bytes.map_or(Arg::Undef, Arg::from);
    let text = crate::log::shown(text).unwrap_or_else(|| text.to_vec());
    let args = vec![
        Arg::Int(level.into()),
        bytes(hook),
        bytes(plugin),
        Arg::Bytes(text),
    ];
    let line = HookCall::with(Hook::Logging, args);
    let mut last = Code::Declined;
    for handler in loggers.iter().filter_map(|id| natives.get(*id)) {
        // What fails is passed over; saying so would not end.
        if let Some(Given::Verdict(verdict)) = call(&handler, &line) {
            last = verdict.code;
            if last != Code::Declined {
                break;
            }
        }
    }
    matches!(last, Code::Declined | Code::Ok)
}

/// A session's native plugins.
pub(super) struct InOrder<'a>(pub &'a Rc<Session>);

impl Around for InOrder<'_> {
    type Exit = Infallible;

    fn profile(&self) -> Profile {
        self.0.state.settings.profile
    }

    fn is_logged(&self, level: u8) -> bool {
        level <= self.0.loaded.log_level || self.has_entries(Hook::Logging)
    }

    fn log(&self, level: u8, hook: Option<Hook>, texts: &[&[u8]]) -> Result<(), Infallible> {
        let text = texts.join(&b' ');
        self.0.log(level, hook.map(Hook::name), None, text);
        Ok(())
    }

    fn guards(&self) -> Option<&Guards> {
        Some(&self.0.loaded.guards)
    }

    fn has_entries(&self, hook: Hook) -> bool {
        self.0.loaded.natives.has_entries(hook)
    }

    fn run_quiet(&self, call: HookCall) -> Result<(), Infallible> {
        // `ok` and `deny`, which never wait: the chain stops at none of them.
        let mut course = Course::quiet(call);
        chain::advance(&mut course, &mut InOrder(self.0), None)?;
        Ok(())
    }

    fn first_text(&self, verdict: &Verdict) -> Arg {
        Arg::Bytes(
            verdict
                .values
                .first()
                .cloned()
                .flatten()
                .unwrap_or_default(),
        )
    }

    /// What is kept there is in a hash of Perl's.
    fn record(&self, _: &[u8], _: Hook, _: &Code) {}
}

impl Plugins for InOrder<'_> {
    /// A native plugin's id.
    type Entry = i32;

    fn entry(&mut self, hook: Hook, index: usize) -> Option<(i32, Vec<u8>)> {
        let natives = &self.0.loaded.natives;
        let id = *natives.of(hook).get(index)?;
        let name = natives.get(id)?.plugin.as_bytes().to_vec();
        Some((id, name))
    }

    fn call(&mut self, call: &HookCall, _: &[u8], id: &i32) -> Result<Called, Infallible> {
        let handler = self.0.loaded.natives.get(*id);
        let now = handler.and_then(|handler| self.0.call_native_now(&handler, call));
        Ok(now.map_or(Called::Native(*id), Called::GaveNow))
    }

    fn finish(&mut self, _: &HookCall, _: &mut Verdict) -> Result<(), Infallible> {
        Ok(())
    }
}
