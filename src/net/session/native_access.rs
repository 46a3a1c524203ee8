//! A session in a worker, as native plugins reach it.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use crate::hook::Hook;
use crate::log::LOGINFO;
use crate::mail::{Connection, EnvelopeAddress, HeaderSlot, Note, Shown, Transaction};
use crate::net::process::threads;
use crate::net::session::Session;
use crate::net::session::driver::drive;
use crate::perl::host::Host;
use crate::plugin::tls::TlsAccess;
use crate::plugin::{Auth, EditHeader, Failure, Job, Later, NoteValues, Peek, SessionAccess};
use crate::session::{self, Profile};
use crate::smtp::Reply;
use crate::store::Backend;

/// A session in a native plugin's hands.
pub(crate) struct NativeAccess(pub Rc<Session>);

impl SessionAccess for NativeAccess {
    fn connection(&self) -> Rc<Shown<Connection>> {
        self.0.state.connection.borrow().clone()
    }

    fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.0.state.transaction.borrow().clone()
    }

    fn config<'a>(&'a self, name: &'a str) -> Later<'a, Vec<Vec<u8>>> {
        Box::pin(self.0.config(name))
    }

    fn auth(&self) -> Auth {
        let state = &self.0.state;
        Auth {
            user: state.auth_user.borrow().clone(),
            mechanism: state.auth_mechanism.borrow().clone(),
            is_authenticated: state.is_authenticated(),
        }
    }

    fn file_config(&self, name: &str) -> Vec<Vec<u8>> {
        self.0.file_config(name)
    }

    fn header<'a>(&'a self) -> Later<'a, Result<Vec<u8>, Failure>> {
        Box::pin(async {
            let transaction = self.transaction();
            match &*transaction.header.borrow() {
                HeaderSlot::None => return Ok(Vec::new()),
                HeaderSlot::Native(header) => return Ok(header.bytes.clone()),
                HeaderSlot::Foreign(_) => {}
            }
            let work = move |host: &Host| host.present.header_text(&transaction.data);
            let text = self.0.perl(work).await;
            text.ok_or_else(|| Failure::new("the message's header object has no text"))
        })
    }

    fn edit_header<'a>(&'a self, edit: EditHeader) -> Later<'a, Result<(), Failure>> {
        Box::pin(async {
            let transaction = self.transaction();
            match &mut *transaction.header.borrow_mut() {
                HeaderSlot::None => return Ok(()),
                HeaderSlot::Native(header) => {
                    edit(header);
                    return Ok(());
                }
                HeaderSlot::Foreign(_) => {}
            }
            let edited = self
                .0
                .perl(move |host| host.present.edit_header(edit))
                .await;
            edited.ok_or_else(|| Failure::new("the message's header object cannot be changed"))
        })
    }

    fn is_1_00(&self) -> bool {
        self.0.state.settings.profile == Profile::V100
    }

    fn config_place(&self, name: &str, index: usize, line: &[u8]) -> Option<String> {
        self.0.loaded.config.place_of(name, index, line)
    }

    fn store(&self) -> Option<&Backend> {
        Some(&self.0.loaded.store)
    }

    fn call_limit(&self, plugin: &str, hook: Hook) -> Option<Duration> {
        let guards = &self.0.loaded.guards;
        guards.of(plugin.as_bytes(), hook, true).limit()
    }

    fn offload<'a>(&'a self, job: Job) -> Later<'a, Result<(), Failure>> {
        Box::pin(async { Ok(threads::run(job).await?) })
    }

    fn peek<'a>(&'a self, time: Duration, beyond: bool) -> Later<'a, Peek> {
        Box::pin(self.0.peek(time, beyond))
    }

    fn respond<'a>(&'a self, code: u16, lines: Vec<Vec<u8>>) -> Later<'a, bool> {
        Box::pin(async move {
            let reply = Reply::lines(code, lines).in_form(self.0.state.reply_form());
            for text in reply.written() {
                self.0.log(LOGINFO, None, None, text);
            }
            self.0.note_reply(&reply);
            self.0.transport.queue(&reply);
            self.0.flush().await;
            !self.0.transport.is_gone()
        })
    }

    fn disconnect<'a>(&'a self) -> Later<'a, ()> {
        Box::pin(async {
            // It ends already: what is still to run of that is to run.
            if self.0.state.disconnected.get() {
                return;
            }
            let machine = session::disconnect(self.0.state.clone());
            drive(self.0.clone(), machine).await;
            // What runs around this call ends with it.
            self.0.over.set(true);
        })
    }

    fn log_number(&self) -> u32 {
        crate::base::log::first_word(self.0.number)
    }

    fn log(&self, level: u8, hook: &'static str, plugin: &str, text: &[u8]) {
        let plugin = Some(plugin.to_owned());
        self.0.log(level, Some(hook), plugin, text.to_vec());
    }

    fn map_has<'a>(
        &'a self,
        name: &'a str,
        key: &'a [u8],
    ) -> Later<'a, Result<Option<bool>, Failure>> {
        Box::pin(async move {
            if self.0.perl_side.is_none() || self.0.config_at_once(name).is_some() {
                return Ok(None);
            }
            let (owned, key) = (name.to_owned(), key.to_vec());
            let work = move |host: &Host| host.present.map_has(&owned, &key);
            let has = self.0.perl(work).await;
            has.map(Some)
                .ok_or_else(|| Failure::new(format!("config {name} is no map")))
        })
    }

    fn recipient_config<'a>(
        &'a self,
        name: &'a str,
        recipient: Rc<Shown<EnvelopeAddress>>,
    ) -> Later<'a, Vec<Vec<u8>>> {
        Box::pin(self.0.recipient_config(name, recipient))
    }

    fn note_values<'a>(
        &'a self,
        note: &'a str,
        keys: &'a [&'static str],
    ) -> Later<'a, Result<Option<NoteValues>, Failure>> {
        Box::pin(async move {
            match self.connection().notes.get(note.as_bytes()) {
                Some(Note::Hash(pairs)) => {
                    let of = |key: &&str| {
                        let found = pairs.iter().rfind(|(known, _)| known == key.as_bytes());
                        found.and_then(|(_, value)| value.bytes())
                    };
                    return Ok(Some(keys.iter().map(of).collect()));
                }
                Some(Note::Foreign(_)) => {}
                _ => return Ok(None),
            }
            let (owned, keys) = (note.to_owned(), keys.to_vec());
            let work = move |host: &Host| Ok(host.present.note_values(&owned, &keys));
            let values = self.0.perl(work).await;
            values.ok_or_else(|| Failure::new(format!("the note '{note}' cannot be read")))
        })
    }

    fn config_path(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.loaded.config.path(name))
    }

    fn tls(&self) -> Option<&dyn TlsAccess> {
        Some(self)
    }
}
