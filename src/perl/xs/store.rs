//! Camelpost::_store_* — the store that config `store` names, for Qpsmtpd::DB::Camelpost. Values come tainted: what
//! is stored is mostly what clients have said.

use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::value::Sv;
use crate::perl::host;
use crate::store::{Backend, Change, LockKind, STILL_DOWN, StoreError};
use crate::watch;

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Camelpost::_store_place", place),
    ("Camelpost::_store_get", get),
    ("Camelpost::_store_apply", apply),
    ("Camelpost::_store_keys", keys),
    ("Camelpost::_store_lock", lock),
    ("Camelpost::_store_unlock", unlock),
];

/// Where it is; undef where config `store` names none.
fn place(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current().ok();
    let place = host.and_then(|host| Some(host.store.get()?.place()));
    frame.ret_optional(place.as_deref().map(str::as_bytes));
    Ok(())
}

fn store() -> Result<Rc<Backend>, Raise> {
    let host = host::current()?;
    let none = || Raise::Croak("config store names no store".to_owned());
    host.store.get().cloned().ok_or_else(none)
}

/// An outage is said once: of its other words chain/course.rs writes nothing.
fn given<T>(given: Result<T, StoreError>) -> Result<T, Raise> {
    match given {
        Ok(value) => {
            if watch::is_store_back() {
                tracing::warn!("the store can be reached again");
            }
            Ok(value)
        }
        Err(error) if error.is_outage() && !watch::has_store_gone() => {
            Err(Raise::Croak(STILL_DOWN.to_owned()))
        }
        Err(error) if error.is_outage() => Err(Raise::Croak(format!(
            "{error}; plugin_settings on_error says what that means for the hook, and nothing more is said until \
             that is over"
        ))),
        Err(error) => Err(Raise::Croak(error.to_string())),
    }
}

fn bytes_from(frame: &Frame<'_>, first: usize) -> Result<Vec<Vec<u8>>, Raise> {
    (first..frame.len()).map(|at| frame.bytes(at)).collect()
}

/// _store_get(NAME, KEY…): a value for each, or undef.
fn get(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (name, keys) = (frame.bytes(0)?, bytes_from(frame, 1)?);
    for value in given(store()?.get_now(&name, &keys))? {
        frame.ret(match value {
            Some(value) => Sv::tainted_bytes(&value),
            None => Sv::undef(),
        });
    }
    Ok(())
}

/// _store_apply(NAME, HOLDER, KEY, VALUE, …): sets each, or removes it where the value is undefined. How many of
/// those that it removes there were.
fn apply(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (name, holder) = (frame.bytes(0)?, frame.bytes(1)?);
    let mut changes = Vec::new();
    for at in (2..frame.len()).step_by(2) {
        let change = match frame.defined_bytes(at + 1)? {
            Some(value) => Change::Set(value, None),
            None => Change::Remove,
        };
        changes.push((frame.bytes(at)?, change));
    }
    let existed = given(store()?.apply_now(&name, &holder, &changes))?;
    let removed = changes
        .iter()
        .zip(existed)
        .filter(|((_, change), existed)| *change == Change::Remove && *existed);
    let removed = i64::try_from(removed.count()).unwrap_or(i64::MAX);
    frame.ret_int(removed);
    Ok(())
}

/// _store_keys(NAME): all of them.
fn keys(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let name = frame.bytes(0)?;
    for key in given(store()?.keys_now(&name))? {
        frame.ret(Sv::tainted_bytes(&key));
    }
    Ok(())
}

/// _store_lock(NAME, HOLDER): the file whose lock it is; or 1 where a server has given it, 0 where it has not.
fn lock(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (name, holder) = (frame.bytes(0)?, frame.bytes(1)?);
    match given(store()?.lock_now(&name, &holder))? {
        LockKind::File(path) => frame.ret_bytes(path.as_os_str().as_bytes()),
        LockKind::Taken(taken) => frame.ret_int(taken.into()),
    }
    Ok(())
}

/// _store_unlock(NAME, HOLDER): a server's lock is given back.
fn unlock(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (name, holder) = (frame.bytes(0)?, frame.bytes(1)?);
    given(store()?.unlock_now(&name, &holder))
}
