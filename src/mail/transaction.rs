//! The mail transaction of RFC 5321: reverse-path, forward-paths, header and body, and notes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::address::EnvelopeAddress;
use super::body::Body;
use super::foreign::{Foreign, Shown};
use super::header::HeaderSlot;
use super::notes::Notes;

/// One mail transaction. A session always has one, also before MAIL.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The reverse-path, once MAIL was accepted.
    pub sender: RefCell<Option<Rc<Shown<EnvelopeAddress>>>>,
    /// The forward-paths that were accepted, in order.
    pub recipients: RefCell<Vec<Rc<Shown<EnvelopeAddress>>>>,
    /// A plugin has added, set or removed some: none then counts as 0, and not as undefined.
    pub had_recipients: Cell<bool>,
    /// Bytes of the forward-paths that the client has given and that were taken.
    pub forward_bytes: Cell<usize>,
    /// The message's header.
    pub header: RefCell<HeaderSlot>,
    /// The message's body.
    pub body: RefCell<Body>,
    /// What plugins keep until the transaction ends.
    pub notes: Notes,
    /// The handle on the spool file that a scripting language was given.
    pub body_handle: RefCell<Option<Box<dyn Foreign>>>,
    /// Seconds since 1970 when the transaction began.
    pub start_time: Cell<i64>,
}
