//! What the session's steps ask of Perl's side of it: its header where that is an object of Perl's, its notes'
//! lists, its TLS socket. What the steps do with it is the session's.

use super::present::Present;
use crate::mail::{EnvelopeAddress, Header, HeaderSlot, Note, Shown, Transaction};
use crate::perl::ffi::call::{Unwind, Want, call_function, eval, stringify};
use crate::perl::ffi::object;
use crate::perl::ffi::value::{PerlValue, Sv};

impl Present {
    /// The lines of the transaction's note `capabilities`.
    pub fn capabilities(&self) -> Vec<Vec<u8>> {
        match self.port().transaction().notes.get(b"capabilities") {
            Some(Note::Foreign(list)) => {
                let Some(list) = PerlValue::of(list.as_ref()) else {
                    return Vec::new();
                };
                let items = (0..list.array_len()).filter_map(|index| list.array_get(index));
                items.map(|item| item.to_bytes()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Adds a line to them.
    pub fn add_capability(&self, line: &str) {
        let transaction = self.port().transaction();
        if let Some(Note::Foreign(list)) = transaction.notes.get(b"capabilities")
            && let Some(list) = PerlValue::of(list.as_ref()).filter(|list| list.is_plain_array())
        {
            list.array_push(Sv::bytes(line.as_bytes()));
            return;
        }
        let list = Sv::array_of([Sv::bytes(line.as_bytes())]);
        transaction.notes.set(b"capabilities", list.to_note());
    }

    /// The object `tls_socket` of a client whose TLS ends in Rust.
    pub fn tls_socket(&self, facts: &[(&'static str, Vec<u8>)]) -> Result<Note, Unwind> {
        let value = |name: &str, value: &[u8]| match name {
            // The client's own words.
            "servername" | "certificate" => Sv::tainted_bytes(value),
            _ => Sv::bytes(value),
        };
        let args: Vec<Sv> = facts
            .iter()
            .flat_map(|(name, bytes)| [Sv::bytes(name.as_bytes()), value(name, bytes)])
            .collect();
        let made = call_function("Camelpost::TlsSocket::of", &args, Want::Scalar)?;
        Ok(made.first().map_or(Note::Undef, Sv::to_note))
    }

    /// The class of that object is there.
    pub fn prepare_tls(&self) -> Result<(), Unwind> {
        eval("require Camelpost::TlsSocket", Want::Void).map(drop)
    }

    /// Puts a field on top of a header that is Perl's.
    pub fn add_header(&self, name: &str, value: &[u8]) -> Result<(), Unwind> {
        // It has the client's name in it, or its address.
        let args = [Sv::bytes(name.as_bytes()), Sv::tainted_bytes(value)];
        self.with_header("Camelpost::add_header", &args)?;
        Ok(())
    }

    /// Renames the fields of a name in a header that is Perl's.
    pub fn rename_header(&self, from: &str, to: &str) -> Result<(), Unwind> {
        let args = [Sv::bytes(from.as_bytes()), Sv::bytes(to.as_bytes())];
        self.with_header("Camelpost::rename_header", &args)?;
        Ok(())
    }

    /// The values of a field in a header that is Perl's.
    pub fn get_header(&self, name: &str) -> Result<Vec<Vec<u8>>, Unwind> {
        let values = self.with_header("Camelpost::get_header", &[Sv::bytes(name.as_bytes())])?;
        values.iter().map(stringify).collect()
    }

    /// Changes a header that is Perl's, and the object stays the same.
    pub fn edit_header(&self, edit: impl FnOnce(&mut Header)) -> Result<(), Unwind> {
        let text = self.header_text(&self.port().transaction())?;
        let mut header = Header::new(text);
        edit(&mut header);
        // What a client has sent is in it.
        let text = Sv::tainted_bytes(&header.bytes);
        self.with_header("Camelpost::set_header_text", &[text])?;
        Ok(())
    }

    fn with_header(&self, function: &str, args: &[Sv]) -> Result<Vec<Sv>, Unwind> {
        let transaction = self.port().transaction();
        let header = match &*transaction.header.borrow() {
            HeaderSlot::Foreign(header) => PerlValue::of(header.as_ref()).cloned(),
            _ => None,
        };
        let Some(header) = header else {
            return Ok(Vec::new());
        };
        let mut all = vec![header];
        all.extend_from_slice(args);
        call_function(function, &all, Want::List)
    }

    /// The cipher of a client whose socket a plugin has wrapped in TLS.
    pub fn cipher(&self) -> Result<Option<Vec<u8>>, Unwind> {
        let socket = match self.port().connection().notes.get(b"tls_socket") {
            Some(Note::Foreign(socket)) => PerlValue::of(socket.as_ref()).cloned(),
            _ => None,
        };
        let Some(socket) = socket else {
            return Ok(None);
        };
        let cipher = call_function("Camelpost::cipher", &[socket], Want::Scalar)?;
        Ok(cipher
            .first()
            .filter(|cipher| cipher.is_defined())
            .map(Sv::to_bytes))
    }

    /// Whether the map of a config name has a key, where config hooks are asked for the map.
    pub fn map_has(&self, name: &str, key: &[u8]) -> Result<bool, Unwind> {
        let args = [self.qp.clone(), Sv::bytes(name.as_bytes()), Sv::bytes(key)];
        let has = call_function("Qpsmtpd::_map_has", &args, Want::Scalar)?;
        Ok(has.first().is_some_and(|has| has.to_bytes() == b"1"))
    }

    /// A config value for a recipient, where hooks are asked for it.
    pub fn recipient_config(
        &self,
        name: &str,
        recipient: &Shown<EnvelopeAddress>,
    ) -> Result<Vec<Vec<u8>>, Unwind> {
        let args = [
            self.qp.clone(),
            Sv::bytes(name.as_bytes()),
            object::of(recipient),
        ];
        let values = call_function("Qpsmtpd::_config_of_recipient", &args, Want::List)?;
        Ok(values.iter().map(Sv::to_bytes).collect())
    }

    /// What a note of the connection's has under these keys, where it is a hash.
    pub fn note_values(&self, note: &str, keys: &[&str]) -> Option<Vec<Option<Vec<u8>>>> {
        let Some(Note::Foreign(hash)) = self.port().connection().notes.get(note.as_bytes()) else {
            return None;
        };
        let hash = PerlValue::of(hash.as_ref()).filter(|hash| hash.points_to_hash())?;
        let value = |key: &&str| hash.hash_get(key).filter(Sv::is_defined);
        let values = keys
            .iter()
            .map(|key| value(key).map(|value| value.to_bytes()));
        Some(values.collect())
    }

    /// The header as it will be queued.
    pub fn header_text(&self, transaction: &Transaction) -> Result<Vec<u8>, Unwind> {
        let header = match &*transaction.header.borrow() {
            HeaderSlot::Foreign(header) => PerlValue::of(header.as_ref()).cloned(),
            HeaderSlot::Native(header) => return Ok(header.bytes.clone()),
            HeaderSlot::None => None,
        };
        let Some(header) = header else {
            return Ok(Vec::new());
        };
        let text = call_function("Camelpost::header_text", &[header], Want::Scalar)?;
        Ok(text.first().map(Sv::to_bytes).unwrap_or_default())
    }
}
