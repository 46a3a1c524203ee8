//! The mail transaction of RFC 5321: reverse-path, forward-paths, header and body, and notes.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use super::{Body, EnvelopeAddress, HeaderSlot, Notes, Shown};

/// One mail transaction. A session always has one, also before MAIL.
#[derive(Debug, Default)]
pub struct Transaction {
    pub sender: RefCell<Option<Rc<Shown<EnvelopeAddress>>>>,
    pub recipients: RefCell<Vec<Rc<Shown<EnvelopeAddress>>>>,
    pub header: RefCell<HeaderSlot>,
    pub body: RefCell<Body>,
    pub notes: Notes,
    /// Files made for plugins, removed with the transaction.
    pub temp_files: RefCell<Vec<PathBuf>>,
    /// Directories made for plugins, removed with their contents with the transaction.
    pub temp_dirs: RefCell<Vec<PathBuf>>,
    /// Seconds since 1970 when the transaction began.
    pub start_time: Cell<i64>,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        for file in self.temp_files.borrow().iter() {
            let _ = std::fs::remove_file(file);
        }
        for dir in self.temp_dirs.borrow().iter() {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}
