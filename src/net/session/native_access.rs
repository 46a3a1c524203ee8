//! A session in a worker, as native plugins reach it.

use std::rc::Rc;

use crate::mail::{Connection, HeaderSlot, Shown, Transaction};
use crate::net::session::Session;
use crate::perl::host::Host;
use crate::plugin::{Auth, EditHeader, Failure, Later, SessionAccess};

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
            let work = move |host: &Host| host.header_text(&transaction.data);
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
            let edited = self.0.perl(move |host| host.edit_header(edit)).await;
            edited.ok_or_else(|| Failure::new("the message's header object cannot be changed"))
        })
    }

    fn log(&self, level: u8, hook: &'static str, plugin: &str, text: &str) {
        self.0.log(
            level,
            Some(hook),
            Some(plugin.to_owned()),
            text.as_bytes().to_vec(),
        );
    }
}
