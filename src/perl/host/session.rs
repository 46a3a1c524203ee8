//! A session's way through the host: what is set up before its first Perl call and put back
//! after its last, and the calls that the session's steps need.

use std::rc::Rc;
use std::time::Duration;

use super::answer::as_given;
use super::port::Port;
use crate::hook::{Arg, Code};
use crate::mail::{Foreign, HeaderSlot, Note, Notes, Transaction};
use crate::perl::exchange;
use crate::perl::exchange::stdio;
use crate::perl::ffi::call::{Unwind, Want, call, call_function, eval};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::{PerlValue, Sv};
use crate::perl::host::Host;

impl Host {
    /// A session begins: its socket is on descriptors 0 and 1.
    pub fn begin_session(
        &self,
        port: Rc<dyn Port>,
        environment: &[(&str, Vec<u8>)],
    ) -> Result<Rc<dyn Port>, Unwind> {
        stdio::fresh()?;
        self.forget_config();
        self.owners.end_session();
        exchange::begin()?;
        self.owners.begin_session();
        let begun = port.connection();
        let before = self.enter(port);
        copy_notes(&before.connection().notes, &begun.notes);
        self.process_state.note()?;
        self.set_environment(environment);
        Ok(before)
    }

    /// Puts what plugins find in %ENV.
    pub fn set_environment(&self, environment: &[(&str, Vec<u8>)]) {
        self.process_state.set_environment(environment);
    }

    /// A session has ended: `idle` is what Perl code sees from now on.
    pub fn end_session(&self, idle: Rc<dyn Port>) -> Result<(), Unwind> {
        stdio::flush();
        // A handle that a plugin has put on the client is closed while the client is there.
        stdio::fresh()?;
        let ended = self.enter(idle);
        drop(ended);
        self.owners.end_session();
        exchange::end()?;
        self.tell_unfit();
        crate::perl::ffi::value::release_dropped()?;
        self.process_state.check_identity();
        self.process_state.restore()
    }

    /// STDERR is what it was.
    pub fn restore_stderr(&self) -> Result<(), Unwind> {
        self.process_state.restore_stderr();
        stdio::fresh_stderr()
    }

    /// No session is open: children that plugins have left behind are nobody's.
    pub fn reap_children(&self) {
        self.process_state.reap();
    }

    /// Calls the parser that a parse hook gave: (plugin, verb, rest).
    pub fn call_parser(
        &self,
        parser: &dyn Foreign,
        verb: &[u8],
        rest: &[u8],
    ) -> Result<Vec<Arg>, Unwind> {
        let Some(code) = PerlValue::of(parser) else {
            return Ok(Vec::new());
        };
        let command = call_function("Camelpost::command_object", &[], Want::Scalar)?;
        let command = command.into_iter().next().unwrap_or_else(Sv::undef);
        let args = [command, Sv::bytes(verb), Sv::tainted_bytes(rest)];
        let values = match call(code, &args, Want::List) {
            Ok(values) => values,
            Err(Unwind::Died(error)) => return self.parser_died(verb, rest, &error),
            Err(exited) => return Err(exited),
        };
        values.into_iter().map(as_given).collect()
    }

    /// A parser that dies has refused the line; what it died of is logged.
    fn parser_died(&self, verb: &[u8], rest: &[u8], error: &Sv) -> Result<Vec<Arg>, Unwind> {
        let label = [b"Failed to parse command [", verb, b"]: "].concat();
        let texts = [
            Sv::bytes(&label),
            Sv::bytes(&crate::perl::ffi::call::stringify(error)?),
        ];
        self.log(crate::log::LOGERROR, None, None, &texts)?;
        let denied = Code::Deny.number().unwrap_or_default().to_string();
        Ok(vec![Arg::from(&denied[..]), Arg::of_client(rest)])
    }

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
        values
            .iter()
            .map(crate::perl::ffi::call::stringify)
            .collect()
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

    /// Reads what the client sends through the handle that a plugin has put in STDIN's place.
    /// Empty at the end of the stream, `None` when the time is up.
    pub fn read_client(&self, timeout: Duration) -> Result<Option<Vec<u8>>, Unwind> {
        let seconds = i64::try_from(timeout.as_secs().max(1)).unwrap_or(i64::MAX);
        let read = call_function("Camelpost::read_client", &[Sv::int(seconds)], Want::Scalar)?;
        Ok(read
            .first()
            .filter(|bytes| bytes.is_defined())
            .map(Sv::to_bytes))
    }

    /// Sends bytes through the handle that a plugin has put in STDOUT's place. False if the
    /// client is gone.
    pub fn write_client(&self, bytes: &[u8]) -> Result<bool, Unwind> {
        let written = call_function("Camelpost::write_client", &[Sv::bytes(bytes)], Want::Scalar)?;
        Ok(written.first().is_some_and(|sv| sv.as_int() == 1))
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

/// Containers with more elements than this are shared instead of copied.
const LARGEST_COPY: usize = 10_000;

/// A session's connection begins with the notes that plugins left on the connection they saw
/// when they were loaded: each session has its own copy.
fn copy_notes(from: &Notes, to: &Notes) {
    for key in from.keys() {
        let Some(note) = from.get(&key) else {
            continue;
        };
        if !matches!(note, Note::Foreign(_)) {
            to.set(&key, note);
            continue;
        }
        // In a hash of its own, since contents are what can be copied.
        let holder = Sv::hash_ref();
        holder.hash_set(b"note", Sv::from_note(&note));
        let mut shared = 0;
        // SAFETY: a reference to a live plain hash; the copy is a new hash.
        let copy = unsafe { sys::cp_copy_contents(holder.raw(), LARGEST_COPY, &mut shared) };
        let copy = Sv::own(copy).map(|copy| copy.reference());
        if let Some(value) = copy.and_then(|copy| copy.hash_get("note")) {
            to.set(&key, value.to_note());
        }
    }
}
