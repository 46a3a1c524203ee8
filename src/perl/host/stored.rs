//! What a queue plugin has stored is on disk before the message is acknowledged: the files that it wrote,
//! linked or renamed during its call, and the directories that have got entries by that. Also what failed
//! on the way and went unnoticed by the plugin. Does not see what programs that it runs store, which see
//! to it themselves, nor what it writes through handles that were open before.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::perl::ffi::sys;

/// Notes are taken until it is dropped.
pub(in crate::perl) struct Stored {
    ended: bool,
}

/// One of them. The descriptor is open as long as the notes are there.
struct Note<'a> {
    kind: u32,
    descriptor: Option<BorrowedFd<'a>>,
    error: Option<Errno>,
    is_placed: bool,
    path: PathBuf,
    from: PathBuf,
}

impl Stored {
    pub(in crate::perl) fn watch() -> Stored {
        // SAFETY: sets a flag of the glue's.
        unsafe { sys::cp_stored_begin() };
        Stored { ended: false }
    }

    /// Everything noted is on disk; else what is not, and why.
    pub(in crate::perl) fn sync(mut self) -> Result<(), String> {
        let notes = self.end();
        let placed: HashSet<&Path> = of(&notes, sys::CP_STORED_PLACED)
            .map(|note| note.from.as_path())
            .collect();
        for note in of(&notes, sys::CP_STORED_NOT_PLACED) {
            let made_good = placed.contains(note.from.as_path()) || lies_at(&note.path);
            if let Some(error) = note.error.filter(|_| !made_good) {
                let (from, to) = (note.from.display(), note.path.display());
                return Err(failed(&format!("move or link {from} to {to}"), error));
            }
        }
        // What has failed at first may have been done elsewhere then: a file that was opened later.
        let last_opened = notes
            .iter()
            .rposition(|note| note.kind == sys::CP_STORED_FILE);
        for (at, note) in notes.iter().enumerate() {
            let is_last = last_opened.is_none_or(|last| at >= last);
            if note.kind == sys::CP_STORED_NOT_OPENED && is_last {
                let error = note.error.unwrap_or(Errno::IO);
                return Err(failed("open a file to write to", error));
            }
            if note.kind == sys::CP_STORED_FILE
                && is_last
                && let Some(error) = note.error
            {
                return Err(failed(
                    &format!("write all of {}", place_of(note).display()),
                    error,
                ));
            }
        }
        if let Some(note) = of(&notes, sys::CP_STORED_FAILED).next() {
            let what = format!("keep an eye on {}", note.path.display());
            return Err(failed(&what, note.error.unwrap_or(Errno::IO)));
        }
        let mut synced = HashSet::new();
        for note in of(&notes, sys::CP_STORED_FILE) {
            sync_file(note, &mut synced)?;
        }
        for note in of(&notes, sys::CP_STORED_DIRECTORY) {
            if let Some(directory) = note.descriptor {
                sync_once(directory, &note.path, &mut synced)?;
            }
        }
        for note in of(&notes, sys::CP_STORED_ON) {
            if let Some(descriptor) = note.descriptor {
                let what = format!("sync the file system of {}", note.path.display());
                rustix::fs::syncfs(descriptor).map_err(|error| failed(&what, error))?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Vec<Note<'_>> {
        self.ended = true;
        // SAFETY: no value is borrowed; what Perl code of a handle's layers does ends inside.
        let count = unsafe { sys::cp_stored_end() };
        // SAFETY: `at` is below the number of notes, which stay as they are until `drop` forgets them.
        let note = |at| unsafe { &*sys::cp_stored_note(at) };
        (0..count)
            .map(|at| {
                let told = note(at);
                Note {
                    kind: told.kind.unsigned_abs(),
                    // SAFETY: the note owns it, and `drop` closes it, which the borrow of `self` keeps away.
                    descriptor: (told.fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(told.fd) }),
                    error: (told.error != 0).then(|| Errno::from_raw_os_error(told.error)),
                    is_placed: told.is_placed != 0,
                    path: text(told.path),
                    from: text(told.from),
                }
            })
            .collect()
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // SAFETY: as in `end`; the notes that are forgotten are borrowed from nobody.
        unsafe {
            if !self.ended {
                sys::cp_stored_end();
            }
            sys::cp_stored_forget();
        }
    }
}

fn text(text: *const std::ffi::c_char) -> PathBuf {
    if text.is_null() {
        return PathBuf::new();
    }
    // SAFETY: a text of the glue's that ends in NUL and lives as long as its note.
    let text = unsafe { CStr::from_ptr(text) };
    OsStr::from_bytes(text.to_bytes()).into()
}

fn of<'a>(notes: &'a [Note<'a>], kind: u32) -> impl Iterator<Item = &'a Note<'a>> {
    notes.iter().filter(move |note| note.kind == kind)
}

fn lies_at(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn failed(what: &str, error: Errno) -> String {
    let reason = crate::config::reason(&error.into());
    format!("cannot {what}: {reason}")
}

/// A file that is there no more has no need of it, whatever became of its contents.
fn sync_file(note: &Note<'_>, synced: &mut HashSet<(u64, u64)>) -> Result<(), String> {
    let Some(file) = note.descriptor else {
        return Ok(());
    };
    let is = rustix::fs::fstat(file);
    let is = is.map_err(|error| failed("look at a file that was written", error))?;
    if is.st_nlink == 0 {
        return Ok(());
    }
    let path = place_of(note);
    if let Some(error) = note.error {
        return Err(failed(&format!("write all of {}", path.display()), error));
    }
    sync_once(file, &path, synced)?;
    // It may be new under the name that it was opened by.
    if !note.is_placed
        && let Some(parent) = path.parent()
        && let Ok(directory) = File::open(parent)
    {
        sync_once(directory.as_fd(), parent, synced)?;
    }
    Ok(())
}

/// Where it is now.
fn place_of(note: &Note<'_>) -> PathBuf {
    let Some(file) = note.descriptor.filter(|_| note.path.as_os_str().is_empty()) else {
        return note.path.clone();
    };
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::read_link(link).unwrap_or_else(|_| PathBuf::from("a file"))
}

fn sync_once(
    file: BorrowedFd<'_>,
    path: &Path,
    synced: &mut HashSet<(u64, u64)>,
) -> Result<(), String> {
    let what = format!("sync {}", path.display());
    let is = rustix::fs::fstat(file).map_err(|error| failed(&what, error))?;
    if !synced.insert((is.st_dev, is.st_ino)) {
        return Ok(());
    }
    let done = file
        .try_clone_to_owned()
        .and_then(|file| File::from(file).sync_all());
    let Err(error) = done else { return Ok(()) };
    match Errno::from_io_error(&error) {
        // A file system that has nothing to sync, or does not know how.
        Some(Errno::INVAL | Errno::ROFS | Errno::NOTSUP) => Ok(()),
        Some(error) => Err(failed(&what, error)),
        None => Err(format!("cannot {what}: {error}")),
    }
}
