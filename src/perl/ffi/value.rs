//! Owned references to Perl values. A drop never runs Perl code where it stands: what might, with
//! the last reference to an object, goes to a list that is emptied at safe points (`dropped.rs`).

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr::NonNull;

use super::sys;
use crate::mail::{Foreign, Note};

thread_local! {
    /// What waits to be released (`dropped.rs`).
    pub(super) static GIVEN_UP: RefCell<VecDeque<*mut sys::cp_sv>> =
        const { RefCell::new(VecDeque::new()) };
}

/// One counted reference to an SV (of any type). Neither `Send` nor `Sync`: the interpreter
/// lives on one thread.
#[derive(Debug)]
pub struct Sv(NonNull<sys::cp_sv>);

impl Clone for Sv {
    fn clone(&self) -> Sv {
        Sv::share(self.raw())
    }
}

impl Drop for Sv {
    fn drop(&mut self) {
        // SAFETY: this owns one reference, which the call takes if it says so.
        if unsafe { sys::cp_let_go(self.raw()) } != 0 {
            return;
        }
        GIVEN_UP.with_borrow_mut(|list| list.push_back(self.0.as_ptr()));
    }
}

impl Sv {
    /// Takes over a reference; `None` for a null pointer.
    pub(in crate::perl) fn own(raw: *mut sys::cp_sv) -> Option<Sv> {
        NonNull::new(raw).map(Sv)
    }

    /// Another reference to a value that somebody else owns; undef for a null pointer.
    pub(in crate::perl) fn share(raw: *mut sys::cp_sv) -> Sv {
        match NonNull::new(raw) {
            // SAFETY: a live SV, whose count goes up by one for the new owner.
            Some(raw) => Sv(unsafe { NonNull::new_unchecked(sys::cp_share(raw.as_ptr())) }),
            None => Sv::undef(),
        }
    }

    pub(in crate::perl) fn raw(&self) -> *mut sys::cp_sv {
        self.0.as_ptr()
    }

    /// Gives the reference away without releasing it.
    pub(in crate::perl) fn into_raw(self) -> *mut sys::cp_sv {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }

    fn fresh(raw: *mut sys::cp_sv) -> Sv {
        // perl ends the process when it has no memory for a scalar, so null does not occur.
        Sv(NonNull::new(raw).unwrap_or_else(|| std::process::abort()))
    }

    pub fn undef() -> Sv {
        // SAFETY: makes a new scalar in the running interpreter.
        Sv::fresh(unsafe { sys::cp_undef() })
    }

    pub fn bytes(bytes: &[u8]) -> Sv {
        // SAFETY: perl copies the given range.
        Sv::fresh(unsafe { sys::cp_new_bytes(bytes.as_ptr().cast(), bytes.len(), 0) })
    }

    pub fn text(text: &str) -> Sv {
        // SAFETY: as above; the bytes are UTF-8, as the flag says.
        Sv::fresh(unsafe { sys::cp_new_bytes(text.as_ptr().cast(), text.len(), 1) })
    }

    /// Bytes that are somebody else's: tainted, in taint mode.
    pub fn tainted_bytes(bytes: &[u8]) -> Sv {
        Sv::bytes(bytes).tainted()
    }

    /// The value, from now on as somebody else's: in taint mode perl does not let it reach a shell, or a
    /// file's name to be written to. For a value that nobody else holds.
    pub fn tainted(self) -> Sv {
        // SAFETY: a live SV; marking it runs no Perl code.
        unsafe { sys::cp_taint(self.raw()) }
        self
    }

    pub fn is_tainted(&self) -> bool {
        // SAFETY: a live SV, of which magic is looked at and not asked.
        unsafe { sys::cp_is_tainted(self.raw()) != 0 }
    }

    pub fn optional(bytes: Option<&[u8]>) -> Sv {
        bytes.map_or_else(Sv::undef, Sv::bytes)
    }

    pub fn int(n: i64) -> Sv {
        // SAFETY: makes a new scalar.
        Sv::fresh(unsafe { sys::cp_new_int(n) })
    }

    pub fn num(n: f64) -> Sv {
        // SAFETY: makes a new scalar.
        Sv::fresh(unsafe { sys::cp_new_num(n) })
    }

    pub fn new_array() -> Sv {
        // SAFETY: makes a new array.
        Sv::fresh(unsafe { sys::cp_new_array() })
    }

    pub fn new_hash() -> Sv {
        // SAFETY: makes a new hash.
        Sv::fresh(unsafe { sys::cp_new_hash() })
    }

    /// A new reference to this value.
    pub fn reference(&self) -> Sv {
        // SAFETY: a live SV; the reference shares it.
        Sv::fresh(unsafe { sys::cp_new_ref(self.raw()) })
    }

    /// A copy of a scalar's value.
    pub(in crate::perl) fn copied(raw: *mut sys::cp_sv) -> Sv {
        // SAFETY: a live SV; copying without magic runs no Perl code.
        Sv::fresh(unsafe { sys::cp_copy(raw) })
    }

    pub fn is_defined(&self) -> bool {
        // SAFETY: a live SV.
        unsafe { sys::cp_is_defined(self.raw()) != 0 }
    }

    pub fn is_code(&self) -> bool {
        // SAFETY: a live SV.
        unsafe { sys::cp_ref_type(self.raw()) as u32 == sys::CP_REF_CODE }
    }

    pub fn is_ref(&self) -> bool {
        // SAFETY: a live SV.
        unsafe { sys::cp_ref_type(self.raw()) as u32 != sys::CP_REF_NONE }
    }

    /// Truth in Perl's sense, but for an object's own idea of it: each is true.
    pub fn is_given(&self) -> bool {
        self.is_ref() || !matches!(&self.to_bytes()[..], b"" | b"0")
    }

    /// Whether this points to a hash that is neither tied nor restricted.
    pub fn is_plain_hash(&self) -> bool {
        // SAFETY: a live SV; the type is checked before it is used as a hash.
        self.hash()
            .is_some_and(|hash| unsafe { sys::cp_is_plain_hash(hash) != 0 })
    }

    /// Whether this is an object, or the name, of a class or of one that inherits from it.
    pub fn is_a(&self, class: &std::ffi::CStr) -> bool {
        // SAFETY: a live SV; the name ends in NUL.
        unsafe { sys::cp_isa(self.raw(), class.as_ptr()) != 0 }
    }

    pub fn as_int(&self) -> i64 {
        // SAFETY: a live SV; no overloaded conversion is run.
        unsafe { sys::cp_int(self.raw()) }
    }

    /// Whether a plain scalar has these bytes.
    pub fn is_text(&self, text: &[u8]) -> bool {
        let mut length = 0;
        // SAFETY: a live SV; the range is only looked at here.
        unsafe {
            let bytes = sys::cp_bytes(self.raw(), &mut length);
            std::slice::from_raw_parts(bytes.cast::<u8>(), length) == text
        }
    }

    /// What a look at the bytes of a text shows; `None` where this is not a text and nothing
    /// else, or one of characters.
    pub fn look_at_text<R>(&self, at: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut length = 0;
        // SAFETY: a live SV; the range is only looked at here, where no Perl code runs.
        unsafe {
            let bytes = sys::cp_plain_text(self.raw(), &mut length);
            (!bytes.is_null()).then(|| at(std::slice::from_raw_parts(bytes.cast::<u8>(), length)))
        }
    }

    /// The bytes of a plain scalar; empty for a reference.
    pub fn to_bytes(&self) -> Vec<u8> {
        plain_bytes(self.raw())
    }

    /// What this points to, if it is a reference.
    pub fn referent(&self) -> Option<Sv> {
        // SAFETY: a live SV.
        let raw = unsafe { sys::cp_referent(self.raw()) };
        NonNull::new(raw).map(|raw| Sv::share(raw.as_ptr()))
    }

    /// The address of what this points to, if it is a reference.
    pub fn address(&self) -> Option<usize> {
        // SAFETY: a live SV.
        let raw = unsafe { sys::cp_referent(self.raw()) };
        (!raw.is_null()).then_some(raw as usize)
    }

    /// The number of elements of an array, or of the array it points to.
    pub fn array_len(&self) -> usize {
        // SAFETY: `array` is an array.
        self.array()
            .map_or(0, |array| unsafe { sys::cp_array_length(array) })
    }

    /// An element of an array, or of the array it points to.
    pub fn array_get(&self, index: usize) -> Option<Sv> {
        let array = self.array()?;
        // SAFETY: `array` is an array; the element is shared before anything can free it.
        NonNull::new(unsafe { sys::cp_array_get(array, index) }).map(|sv| Sv::share(sv.as_ptr()))
    }

    /// Whether this is, or points to, an array that is neither tied nor read-only.
    pub fn is_plain_array(&self) -> bool {
        // SAFETY: `array` is an array.
        self.array()
            .is_some_and(|array| unsafe { sys::cp_is_plain_array(array) != 0 })
    }

    /// Appends to a plain array, or to the plain array it points to.
    pub fn array_push(&self, value: Sv) {
        if let Some(array) = self.array() {
            // SAFETY: `array` is an array, which takes over the reference to the value.
            unsafe { sys::cp_array_push(array, value.into_raw()) }
        }
    }

    /// Puts a value before all others of the plain array that this points to.
    pub fn array_unshift(&self, value: Sv) {
        if let Some(array) = self.array() {
            // SAFETY: `array` is an array, which takes over the reference to the value.
            unsafe { sys::cp_array_unshift(array, value.into_raw()) }
        }
    }

    fn array(&self) -> Option<*mut sys::cp_sv> {
        // SAFETY: a live SV; the type is checked before it is used as an array.
        unsafe {
            match sys::cp_ref_type(self.raw()) as u32 {
                sys::CP_REF_ARRAY => Some(sys::cp_referent(self.raw())),
                _ => None,
            }
        }
    }

    fn hash(&self) -> Option<*mut sys::cp_sv> {
        // SAFETY: a live SV; the type is checked before it is used as a hash.
        unsafe {
            match sys::cp_ref_type(self.raw()) as u32 {
                sys::CP_REF_HASH => Some(sys::cp_referent(self.raw())),
                _ => None,
            }
        }
    }

    /// Whether this is a reference to a hash, blessed or not.
    pub fn points_to_hash(&self) -> bool {
        self.hash().is_some()
    }

    /// A value of the hash that this points to.
    pub fn hash_get(&self, key: &str) -> Option<Sv> {
        let hash = self.hash()?;
        // SAFETY: `hash` is a hash; the value is shared before anything can free it.
        let raw = unsafe { sys::cp_hash_get(hash, key.as_ptr().cast(), key.len()) };
        NonNull::new(raw).map(|raw| Sv::share(raw.as_ptr()))
    }

    /// A key for `hash_find`.
    pub fn key(text: &str) -> Sv {
        // SAFETY: perl copies the range.
        Sv::fresh(unsafe { sys::cp_new_key(text.as_ptr().cast(), text.len()) })
    }

    /// A copy of a scalar's value, as a key where it is a text.
    pub(in crate::perl) fn copied_as_key(&self) -> Sv {
        // SAFETY: a live SV; copying without magic runs no Perl code.
        Sv::fresh(unsafe { sys::cp_copy_as_key(self.raw()) })
    }

    /// The same as `hash_get`, for a key that is asked for again and again.
    pub fn hash_find(&self, key: &Sv) -> Option<Sv> {
        let hash = self.hash()?;
        // SAFETY: `hash` is a hash, `key` was made by `key`; the value is shared before anything
        // can free it.
        let raw = unsafe { sys::cp_hash_find(hash, key.raw()) };
        NonNull::new(raw).map(|raw| Sv::share(raw.as_ptr()))
    }

    /// Stores into the hash that this points to.
    pub fn hash_set(&self, key: &[u8], value: Sv) {
        if let Some(hash) = self.hash() {
            // SAFETY: `hash` is a hash, which takes over the reference to the value.
            unsafe { sys::cp_hash_set(hash, key.as_ptr().cast(), key.len(), value.into_raw()) }
        }
    }

    /// A reference to a new array of these values.
    pub fn array_of(values: impl IntoIterator<Item = Sv>) -> Sv {
        let array = Sv::new_array();
        for value in values {
            // SAFETY: `array` is an array, which takes over the reference.
            unsafe { sys::cp_array_push(array.raw(), value.into_raw()) }
        }
        array.reference()
    }

    /// A reference to a new, empty hash.
    pub fn hash_ref() -> Sv {
        Sv::new_hash().reference()
    }

    /// The value as a note: plain scalars in native form, all else as it is.
    pub fn to_note(&self) -> Note {
        match self.to_plain_note() {
            Note::Foreign(value) => Note::Foreign(value),
            note if self.is_tainted() => Note::Tainted(Box::new(note)),
            note => note,
        }
    }

    fn to_plain_note(&self) -> Note {
        // SAFETY: a live SV.
        match unsafe { sys::cp_kind(self.raw()) } as u32 {
            sys::CP_UNDEF => Note::Undef,
            sys::CP_INT => Note::Int(self.as_int()),
            // SAFETY: a live SV.
            sys::CP_NUM => Note::Num(unsafe { sys::cp_num(self.raw()) }),
            sys::CP_BYTES => Note::Bytes(self.to_bytes()),
            sys::CP_TEXT => match String::from_utf8(self.to_bytes()) {
                Ok(text) => Note::Text(text),
                Err(_) => Note::Foreign(Box::new(PerlValue(Sv::copied(self.raw())))),
            },
            _ => Note::Foreign(Box::new(PerlValue(Sv::copied(self.raw())))),
        }
    }

    /// A new value for a note.
    pub fn from_note(note: &Note) -> Sv {
        match note {
            Note::Undef => Sv::undef(),
            Note::Int(n) => Sv::int(*n),
            Note::Num(n) => Sv::num(*n),
            Note::Bytes(bytes) => Sv::bytes(bytes),
            Note::Text(text) => Sv::text(text),
            Note::Tainted(note) => Sv::from_note(note).tainted(),
            Note::Hash(pairs) => {
                let hash = Sv::hash_ref();
                for (key, note) in pairs {
                    hash.hash_set(key, Sv::from_note(note));
                }
                hash
            }
            Note::Foreign(value) => match PerlValue::of(value.as_ref()) {
                Some(value) => Sv::copied(value.raw()),
                None => Sv::undef(),
            },
        }
    }
}

/// The bytes of a plain scalar; empty for a reference.
pub(in crate::perl) fn plain_bytes(raw: *mut sys::cp_sv) -> Vec<u8> {
    let mut length = 0;
    // SAFETY: a live SV; the range is copied before anything can change it.
    unsafe {
        let bytes = sys::cp_bytes(raw, &mut length);
        std::slice::from_raw_parts(bytes.cast::<u8>(), length).to_vec()
    }
}

/// A Perl value in the hands of code that does not know Perl.
#[derive(Debug)]
pub struct PerlValue(pub Sv);

impl PerlValue {
    pub fn of(value: &dyn Foreign) -> Option<&Sv> {
        value
            .as_any()
            .downcast_ref::<PerlValue>()
            .map(|value| &value.0)
    }
}

impl Foreign for PerlValue {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn share(&self) -> Box<dyn Foreign> {
        Box::new(PerlValue(self.0.clone()))
    }

    fn not_shown(&self) {
        // SAFETY: a live SV, as this owns it.
        unsafe { sys::cp_not_shown(self.0.raw()) }
    }
}
