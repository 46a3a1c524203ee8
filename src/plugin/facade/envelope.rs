//! The transaction's envelope in a native plugin's hands.

use std::rc::Rc;

use super::notes::NotesHandle;
use crate::mail::{EnvelopeAddress, Shown, Transaction};
use crate::smtp::Address;

/// The reverse-path, the forward-paths and the notes of a transaction. There always is one, also
/// before MAIL.
pub struct Envelope(Rc<Shown<Transaction>>);

impl Envelope {
    pub(in crate::plugin) fn of(transaction: Rc<Shown<Transaction>>) -> Envelope {
        Envelope(transaction)
    }

    /// The reverse-path, once MAIL was accepted.
    pub fn sender(&self) -> Option<Address> {
        let sender = self.0.sender.borrow().clone()?;
        let address = sender.address.borrow().clone();
        Some(address)
    }

    /// What plugins keep with the reverse-path.
    pub fn sender_notes(&self) -> Option<NotesHandle> {
        let sender = self.0.sender.borrow().clone()?;
        Some(NotesHandle::of(&sender.notes))
    }

    /// The message comes from there.
    pub fn set_sender(&self, sender: Address) {
        let old = self.0.sender.replace(Some(shown(sender)));
        drop(old);
    }

    /// The forward-paths that were accepted, in order.
    pub fn recipients(&self) -> Vec<Address> {
        let recipients = self.0.recipients.borrow().clone();
        let address = |known: &Rc<Shown<EnvelopeAddress>>| known.address.borrow().clone();
        recipients.iter().map(address).collect()
    }

    /// The message goes there, too.
    pub fn add_recipient(&self, recipient: Address) {
        self.0.recipients.borrow_mut().push(shown(recipient));
        self.0.had_recipients.set(true);
    }

    /// The message goes to these, and to nobody else.
    pub fn set_recipients(&self, recipients: impl IntoIterator<Item = Address>) {
        let new = recipients.into_iter().map(shown).collect();
        let old = self.0.recipients.replace(new);
        self.0.had_recipients.set(true);
        drop(old);
    }

    /// The message does not go there. Says whether it would have.
    pub fn remove_recipient(&self, recipient: &Address) -> bool {
        let unwanted = recipient.format();
        let mut all = self.0.recipients.take();
        let is_unwanted =
            |known: &mut Rc<Shown<EnvelopeAddress>>| known.address.borrow().format() == unwanted;
        let removed: Vec<_> = all.extract_if(.., is_unwanted).collect();
        self.0.recipients.replace(all);
        self.0.had_recipients.set(true);
        !removed.is_empty()
    }

    /// What plugins keep until the transaction ends.
    pub fn notes(&self) -> NotesHandle {
        NotesHandle::of(&self.0.notes)
    }

    /// Seconds since 1970 when the transaction began.
    pub fn start_time(&self) -> i64 {
        self.0.start_time.get()
    }
}

fn shown(address: Address) -> Rc<Shown<EnvelopeAddress>> {
    Rc::new(Shown::new(EnvelopeAddress::new(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(user: &str) -> Address {
        Address::from_parts(Some(user.into()), Some(b"example.com".to_vec()))
    }

    #[test]
    fn recipients_are_added_removed_and_replaced() {
        let envelope = Envelope::of(Rc::new(Shown::new(Transaction::default())));
        assert!(envelope.recipients().is_empty() && envelope.sender().is_none());
        for user in ["a", "b", "a"] {
            envelope.add_recipient(address(user));
        }
        assert!(envelope.remove_recipient(&address("a")));
        assert!(!envelope.remove_recipient(&address("a")));
        let formats = |envelope: &Envelope| {
            let recipients = envelope.recipients();
            recipients.iter().map(Address::format).collect::<Vec<_>>()
        };
        assert_eq!(formats(&envelope), [b"<b@example.com>".to_vec()]);
        envelope.set_recipients([address("c")]);
        assert_eq!(formats(&envelope), [b"<c@example.com>".to_vec()]);
        envelope.set_sender(address("s"));
        assert_eq!(envelope.sender().unwrap().user(), Some(&b"s"[..]));
        envelope.sender_notes().unwrap().set("seen", 1);
        assert!(envelope.sender_notes().unwrap().is_true("seen"));
    }
}
