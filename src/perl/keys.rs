//! Keys that plugins read and write directly in a transaction's hash: they show the Rust state
//! at the moment of the look, and an assignment changes it.

use std::ffi::c_void;
use std::rc::Rc;

use super::object;
use super::sys;
use super::value::Sv;
use super::xs::transaction_parts as parts;
use crate::mail::Transaction;

const RECIPIENTS: i32 = 0;
const BODY_FILE: i32 = 1;
const BODY_ARRAY: i32 = 2;
const FILENAME: i32 = 3;

pub const TRANSACTION: &[(&str, i32)] = &[
    ("_recipients", RECIPIENTS),
    ("_rcpt", RECIPIENTS),
    ("_body_file", BODY_FILE),
    ("_body_array", BODY_ARRAY),
    ("_filename", FILENAME),
];

/// The state that such a key's element owns a count of.
fn state(data: *mut c_void) -> Rc<Transaction> {
    let data = data.cast::<Transaction>().cast_const();
    // SAFETY: `object::new` made the pointer from an Rc<Transaction> for this element, which is
    // alive; the count goes up before an Rc is made of it.
    unsafe {
        Rc::increment_strong_count(data);
        Rc::from_raw(data)
    }
}

/// Called when such a key is read.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_get(index: i32, data: *mut c_void) -> *mut sys::cp_sv {
    let transaction = state(data);
    let value = match index {
        RECIPIENTS => Some(Sv::array_of(parts::recipients(&transaction))),
        BODY_FILE => parts::body_handle(&transaction),
        BODY_ARRAY => parts::body_lines(&transaction),
        FILENAME => parts::body_path(&transaction),
        _ => None,
    };
    value.unwrap_or_else(Sv::undef).into_raw()
}

/// Called after such a key was assigned.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_set(index: i32, data: *mut c_void, value: *mut sys::cp_sv) {
    let transaction = state(data);
    let value = Sv::share(value);
    match index {
        RECIPIENTS => {
            let list = (0..value.array_len()).filter_map(|i| value.array_get(i));
            let list = list.filter_map(|address| object::shown(&address));
            let old = transaction.recipients.replace(list.collect());
            drop(old);
        }
        BODY_ARRAY => parts::replace_body(&transaction, &value),
        // The file's name and handle follow from the body; what a plugin writes there is not
        // kept, as nothing could be read from it.
        _ => {}
    }
}

/// Called when such a key's element is freed.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_free(_: i32, data: *mut c_void) {
    object::give_back::<Transaction>(data);
}
