//! A session's way through the host: what is set up before its first Perl call and put back
//! after its last, and the calls that the session's steps need.

use std::rc::Rc;

use super::answer::as_given;
use super::port::Port;
use crate::hook::{Arg, Code};
use crate::mail::{Foreign, Note, Notes};
use crate::perl::exchange;
use crate::perl::exchange::stdio;
use crate::perl::ffi::call::{Unwind, Want, call, call_function};
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
        self.config().forget();
        self.owners.end_session();
        exchange::begin()?;
        self.owners.begin_session();
        let begun = port.connection();
        let before = self.present.enter(port);
        copy_notes(&before.connection().notes, &begun.notes);
        self.process_state.note()?;
        self.process_state.set_environment(environment);
        Ok(before)
    }

    /// A session has ended: `idle` is what Perl code sees from now on.
    pub fn end_session(&self, idle: Rc<dyn Port>) -> Result<(), Unwind> {
        stdio::flush();
        // A handle that a plugin has put on the client is closed while the client is there.
        stdio::fresh()?;
        let ended = self.present.enter(idle);
        drop(ended);
        self.owners.end_session();
        exchange::end()?;
        self.tell_unfit();
        crate::perl::ffi::dropped::release_dropped()?;
        self.process_state.check_identity();
        self.process_state.restore()
    }

    /// It ends as its own process would: END blocks, then DESTROY of the plugin objects.
    pub fn run_ends(&self) -> Result<(), Unwind> {
        for text in exchange::run_ends()? {
            self.log(crate::base::log::LOGERROR, None, None, &[text])?;
        }
        Ok(())
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
        self.log(crate::base::log::LOGERROR, None, None, &texts)?;
        let denied = Code::Deny.number().unwrap_or_default().to_string();
        Ok(vec![Arg::from(&denied[..]), Arg::of_client(rest)])
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
