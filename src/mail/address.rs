//! An address of the envelope, with the notes that plugins put on it.

use std::cell::RefCell;

use super::face::Faces;
use super::notes::Notes;
use crate::smtp::Address;

/// A reverse-path or forward-path as plugins hold it: the parsed address, which `user` and
/// `host` may change, and notes.
#[derive(Debug, Default)]
pub struct EnvelopeAddress {
    /// The parsed address.
    pub address: RefCell<Address>,
    /// What plugins keep with it.
    pub notes: Notes,
    /// Parts that plugins wrote in a form of their own.
    pub faces: Faces,
}

impl EnvelopeAddress {
    /// An address without notes.
    pub fn new(address: Address) -> EnvelopeAddress {
        EnvelopeAddress {
            address: RefCell::new(address),
            notes: Notes::default(),
            faces: Faces::default(),
        }
    }
}
