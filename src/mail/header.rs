//! The message's header. It stays as the bytes that were received, with fields added above or
//! below, until a scripting language asks for it; from then on that language's object is the
//! header that is queued.

use super::foreign::Foreign;

/// A header in native form: complete lines, each with its line feed, folded lines as received.
#[derive(Debug, Default, Clone)]
pub struct Header {
    /// All fields as they came, lines ending in LF.
    pub bytes: Vec<u8>,
}

impl Header {
    /// A header of these fields.
    pub fn new(bytes: Vec<u8>) -> Header {
        Header { bytes }
    }

    /// Puts a field on top. `value` may hold line feeds followed by white space (folding).
    pub fn add_on_top(&mut self, name: &[u8], value: &[u8]) {
        let mut bytes = Vec::with_capacity(self.bytes.len() + name.len() + value.len() + 3);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.bytes);
        self.bytes = bytes;
    }
}

/// Where the header is: not there before DATA, native, or an object of the scripting language.
#[derive(Debug, Default)]
pub enum HeaderSlot {
    #[default]
    /// There is none before DATA.
    None,
    /// As it came, with what the server has put on top.
    Native(Header),
    /// An object of the scripting language, which has touched it.
    Foreign(Box<dyn Foreign>),
}
