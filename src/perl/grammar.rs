//! Whether the grammar of addresses in force is the default one: a site may put expressions of
//! its own into package variables of Qpsmtpd::Address, and they decide then. Knows no grammar.

use std::cell::RefCell;

use super::call::{Unwind, Want, call_function};
use super::sys;
use super::value::{Sv, plain_bytes};

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

type Values = [Option<Vec<u8>>; VARIABLES.len()];

thread_local! {
    static DEFAULTS: RefCell<Option<Values>> = const { RefCell::new(None) };
}

/// Before any plugin is loaded: these are the defaults.
pub fn note() {
    DEFAULTS.set(Some(values()));
}

/// Reads the variables; no Perl code runs.
pub fn is_changed() -> bool {
    DEFAULTS.with_borrow(|defaults| {
        let Some(defaults) = defaults else {
            return false;
        };
        VARIABLES
            .iter()
            .zip(defaults)
            .any(|(name, default)| value_of(name) != *default)
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

fn values() -> Values {
    VARIABLES.map(value_of)
}

/// A variable's bytes; what is no plain text (`qr//`) has none that a default could have.
fn value_of(name: &std::ffi::CStr) -> Option<Vec<u8>> {
    // SAFETY: the interpreter runs; the name ends in NUL. The variable is only read, and not kept.
    unsafe {
        let raw = sys::cp_global_scalar(name.as_ptr());
        match sys::cp_is_defined(raw) {
            0 => None,
            _ => Some(plain_bytes(raw)),
        }
    }
}
