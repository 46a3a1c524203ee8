//! The message in a native plugin's hands: its header, and its body in lines or in chunks, wherever it
//! is kept.

use std::path::PathBuf;
use std::rc::Rc;

use super::header::HeaderHandle;
use crate::mail::{Shown, Transaction};
use crate::plugin::access::SessionAccess;
use crate::plugin::failure::Failure;

/// How much of a body is looked at in one go.
const CHUNK: usize = 64 * 1024;

/// The message of the present transaction; empty before DATA.
pub struct Message<'a> {
    session: &'a dyn SessionAccess,
    transaction: Rc<Shown<Transaction>>,
}

impl<'a> Message<'a> {
    pub(in crate::plugin) fn of(session: &'a dyn SessionAccess) -> Message<'a> {
        Message {
            transaction: session.transaction(),
            session,
        }
    }

    /// The header as it will be queued.
    pub fn header(&self) -> HeaderHandle<'a> {
        HeaderHandle(self.session)
    }

    /// Bytes of the whole message as it was received (`data_size`).
    pub fn size(&self) -> u64 {
        self.transaction.body.borrow().size()
    }

    /// Bytes behind the header.
    pub fn body_size(&self) -> u64 {
        self.transaction.body.borrow().body_size()
    }

    /// The spool file, which has the whole message as it was received, header included; none for a
    /// message below `size_threshold`, which is in memory.
    pub fn spool_file(&self) -> Option<PathBuf> {
        let body = self.transaction.body.borrow();
        body.path().map(|path| path.to_path_buf())
    }

    /// The body's lines, each with its LF. Where it is read by others does not matter.
    pub fn lines(&self) -> Lines {
        Lines {
            chunks: self.chunks(),
            held: Vec::new(),
            taken: 0,
        }
    }

    /// The body in pieces of some size.
    pub fn chunks(&self) -> Chunks {
        Chunks {
            transaction: self.transaction.clone(),
            at: self.transaction.body.borrow_mut().start_offset(),
        }
    }
}

/// A body on its way through a plugin, piece by piece.
pub struct Chunks {
    transaction: Rc<Shown<Transaction>>,
    at: u64,
}

impl Chunks {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let chunk = self.transaction.body.borrow_mut().chunk(self.at, CHUNK)?;
        if chunk.is_empty() {
            return Ok(None);
        }
        self.at += chunk.len() as u64;
        // Of a large message the other sessions are not to notice.
        tokio::task::yield_now().await;
        Ok(Some(chunk))
    }
}

/// A body on its way through a plugin, line by line.
pub struct Lines {
    chunks: Chunks,
    held: Vec<u8>,
    taken: usize,
}

impl Lines {
    /// The next line with its LF; `None` at the end. The last may have none.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let rest = &self.held[self.taken..];
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let line = rest[..=end].to_vec();
                self.taken += end + 1;
                return Ok(Some(line));
            }
            self.held.drain(..self.taken);
            self.taken = 0;
            match self.chunks.next().await? {
                Some(chunk) => self.held.extend_from_slice(&chunk),
                None if self.held.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.held))),
            }
        }
    }
}
