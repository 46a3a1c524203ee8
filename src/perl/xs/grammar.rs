//! Whether the grammar of addresses in force is the default one: a site may put expressions of
//! its own into package variables of Qpsmtpd::Address, and they decide then. Knows no grammar.

use std::cell::Cell;

use crate::perl::ffi::call::{Unwind, Want, call_function};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

const VARIABLES: [&std::ffi::CStr; 6] = [
    c"Qpsmtpd::Address::atom_expr",
    c"Qpsmtpd::Address::address_literal_expr",
    c"Qpsmtpd::Address::subdomain_expr",
    c"Qpsmtpd::Address::domain_expr",
    c"Qpsmtpd::Address::qtext_expr",
    c"Qpsmtpd::Address::text_expr",
];

/// User and host.
type Parts = (Vec<u8>, Option<Vec<u8>>);

/// A variable and its default.
struct Noted {
    glob: Sv,
    default: Option<Vec<u8>>,
}

thread_local! {
    static NOTED: Cell<&'static [Noted]> = const { Cell::new(&[]) };
}

/// Before any plugin is loaded: these are the defaults.
pub fn note() {
    let noted = VARIABLES.map(|name| {
        // SAFETY: the interpreter runs; the name ends in NUL. The glob is shared at once.
        let glob = Sv::share(unsafe { sys::cp_glob(name.as_ptr()) });
        let default = value_of(&glob).map(|sv| sv.to_bytes());
        Noted { glob, default }
    });
    // For the rest of the process's life.
    NOTED.set(Box::leak(Box::new(noted)));
}

/// Reads the variables; no Perl code runs.
pub fn is_changed() -> bool {
    NOTED.get().iter().any(|Noted { glob, default }| {
        let now = value_of(glob);
        match (now, default) {
            (Some(now), Some(default)) => !now.is_text(default),
            (now, default) => now.is_some() != default.is_some(),
        }
    })
}

/// User and host by the expressions in force; nothing for what they do not accept. What dies, as
/// an expression that cannot be compiled, is the caller's.
pub fn canonify(path: &[u8]) -> Result<Option<Parts>, Unwind> {
    let args = [Sv::bytes(path)];
    let parts = call_function("Qpsmtpd::Address::_canonify_by_grammar", &args, Want::List)?;
    let mut parts = parts
        .iter()
        .map(|part| part.is_defined().then(|| part.to_bytes()));
    let user = parts.next().flatten();
    Ok(user.map(|user| (user, parts.next().flatten())))
}

/// A variable's value; what is no plain text (`qr//`) has no bytes that a default could have.
fn value_of(glob: &Sv) -> Option<Sv> {
    // SAFETY: a live glob; its scalar is shared at once.
    let value = unsafe { sys::cp_glob_scalar(glob.raw()) };
    let value = (!value.is_null()).then(|| Sv::share(value));
    value.filter(Sv::is_defined)
}
