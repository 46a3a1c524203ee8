//! The absolute paths that the line of a plugin names, or its plugin takes when none is named; and whether the present user
//! could write there. Does not know which plugin does.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::plugin_line::PluginLine;

/// Those among the words of a line, without a slash at the end; and the usual one, where that is there.
pub fn paths_of(line: &PluginLine, is_there: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let words = line.args.iter().filter(|word| word.starts_with(b"/"));
    // Made of its parts it has no slash at its end.
    let plain = |word: &Vec<u8>| Path::new(OsStr::from_bytes(word)).components().collect();
    let usual = usual(line).filter(|path| is_there(path));
    words.map(plain).chain(usual).collect()
}

/// Where a plugin of qpsmtpd's has its database when its line names no directory.
fn usual(line: &PluginLine) -> Option<PathBuf> {
    let dir = match &*line.name {
        b"greylisting" => "/var/lib/qpsmtpd/greylisting",
        b"karma" => "/var/lib/qpsmtpd/karma",
        _ => return None,
    };
    let is_named = line.args.iter().any(|word| word == b"db_dir");
    (!is_named).then(|| PathBuf::from(dir))
}

/// Whether a plugin may write there: no program, socket, certificate, or what this user may read only.
pub fn may_be_written(path: &Path) -> bool {
    let read_only = ["cdb", "crt", "key", "pem"];
    if path
        .extension()
        .is_some_and(|end| read_only.iter().any(|known| end == *known))
    {
        return false;
    }
    let Ok(found) = fs::metadata(path) else {
        return path.parent().is_some_and(Path::is_dir);
    };
    let kind = found.file_type();
    let is_program = kind.is_file() && found.permissions().mode() & 0o111 != 0;
    let is_connection = kind.is_socket() || kind.is_char_device() || kind.is_block_device();
    !is_program && !is_connection && accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}
