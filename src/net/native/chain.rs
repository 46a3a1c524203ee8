//! The chain of a hook where all its plugins are native: qpsmtpd's run_hooks.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::session::Session;
use crate::config::Profile;
use crate::hook::{Code, Hook, HookCall, Verdict};
use crate::mail::{Connection, HeaderSlot, Shown, Transaction};
use crate::perl::log::{LOGDEBUG, LOGERROR};
use crate::plugin::SessionAccess;
use crate::watch;

impl Session {
    pub async fn chain(&self, call: &HookCall) -> Verdict {
        let hook = call.hook;
        let plugins = &self.loaded.plugins;
        let mut last = Verdict::declined();
        for id in plugins.chains.get(&hook).into_iter().flatten() {
            let Some(handler) = plugins.natives.get(*id) else {
                continue;
            };
            let name = &*handler.plugin;
            let running = (hook, "running plugin");
            self.log_line(LOGDEBUG, Some(running), name.as_bytes());
            let guard = plugins.guards.of(name.as_bytes(), hook, true);
            watch::set_session(self.id);
            let verdict = match guard.run(handler.call(self, call)).await {
                Ok(verdict) => verdict,
                Err(unanswered) => {
                    let (level, text) = unanswered.told(name.as_bytes(), hook, &guard);
                    self.log_line(level, None, text.as_bytes());
                    guard.on_lateness().unwrap_or_else(Verdict::declined)
                }
            };
            if self.weigh(hook, name, &verdict) {
                return verdict.split_lines();
            }
            // The texts of the last plugin stay, as in the original.
            last = Verdict {
                code: Code::Declined,
                ..verdict.split_lines()
            };
        }
        last
    }

    /// Whether a verdict ends the chain.
    fn weigh(&self, hook: Hook, name: &str, verdict: &Verdict) -> bool {
        let plugins = &self.loaded.plugins;
        let code = verdict.code.shown();
        let text = verdict.values.first().cloned().flatten();
        let line = format!("Plugin {name}, hook {} returned {code}, ", hook.name());
        let line = [line.as_bytes(), &text.unwrap_or_default()].concat();
        self.log_line(LOGDEBUG, None, &line);
        match verdict.code {
            Code::Declined => false,
            Code::Other(ref text)
                if plugins.host.profile == Profile::V100 && !verdict.code.is_of_1_00() =>
            {
                let line = format!("Plugin {name}, hook {} returned ", hook.name());
                let line = [line.as_bytes(), text].concat();
                self.log_line(LOGERROR, None, &line);
                false
            }
            _ => true,
        }
    }
}

impl SessionAccess for Session {
    fn connection(&self) -> Rc<Shown<Connection>> {
        self.state.connection.borrow().clone()
    }

    fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.state.transaction.borrow().clone()
    }

    fn config<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Vec<Vec<u8>>> + 'a>> {
        Box::pin(async { self.loaded.plugins.config(self.number, name) })
    }

    fn header<'a>(&'a self) -> Pin<Box<dyn Future<Output = Vec<u8>> + 'a>> {
        Box::pin(async {
            match &*self.transaction().header.borrow() {
                HeaderSlot::Native(header) => header.bytes.clone(),
                _ => Vec::new(),
            }
        })
    }

    fn log(&self, level: u8, hook: &'static str, plugin: &str, text: &str) {
        let hook = Hook::by_name(hook.as_bytes());
        let place = hook.map(|hook| (hook, plugin));
        self.log_line(level, place, text.as_bytes());
    }
}
