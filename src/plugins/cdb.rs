//! Looks a key up in a cdb file, D. J. Bernstein's constant database: whether it is there, and its first
//! value. Reads what it needs of the file each time, as maps are large and are replaced while they are used.
//! Does not write any.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The first value of a key; `None` where the map does not have it.
pub(super) fn value(map: &Path, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(map)?;
    let hash = hash(key);
    // The first 2048 bytes: place and number of slots of each of 256 tables.
    let (table, slots) = pair(&file, u64::from(hash % 256) * 8)?;
    if slots == 0 {
        return Ok(None);
    }
    let first = hash / 256 % slots;
    for slot in (first..slots).chain(0..first) {
        let (found, at) = pair(&file, u64::from(table) + u64::from(slot) * 8)?;
        if at == 0 {
            return Ok(None);
        }
        if found != hash {
            continue;
        }
        // A record: the lengths of key and value, and both.
        let (key_length, value_length) = pair(&file, at.into())?;
        if key_length as usize != key.len() {
            continue;
        }
        let at = u64::from(at) + 8;
        if bytes(&file, at, key_length)? == key {
            return bytes(&file, at + u64::from(key_length), value_length).map(Some);
        }
    }
    Ok(None)
}

fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, byte| {
        (hash << 5).wrapping_add(hash) ^ u32::from(*byte)
    })
}

/// Two numbers, the lower byte first.
fn pair(file: &File, at: u64) -> io::Result<(u32, u32)> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    let [a, b, c, d, e, f, g, h] = bytes;
    Ok((
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ))
}

/// No more than the file has, whatever it says.
fn bytes(file: &File, at: u64, length: u32) -> io::Result<Vec<u8>> {
    let end = at + u64::from(length);
    if end > file.metadata()?.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of these keys and values, as cdbmake would write it.
    fn made(entries: &[(&[u8], &[u8])]) -> tempfile::NamedTempFile {
        let mut records = Vec::new();
        let mut tables = vec![Vec::new(); 256];
        for (key, value) in entries {
            let at = 2048 + u32::try_from(records.len()).unwrap();
            tables[(hash(key) % 256) as usize].push((hash(key), at));
            for length in [key.len(), value.len()] {
                records.extend(u32::try_from(length).unwrap().to_le_bytes());
            }
            records.extend([*key, *value].concat());
        }
        let (mut head, mut slots_of_all) = (Vec::new(), Vec::new());
        for table in tables {
            let at = 2048 + records.len() + slots_of_all.len();
            let slots = table.len() * 2;
            head.extend(u32::try_from(at).unwrap().to_le_bytes());
            head.extend(u32::try_from(slots).unwrap().to_le_bytes());
            let mut placed = vec![(0, 0); slots];
            for (hash, at) in table {
                let mut slot = (hash / 256) as usize % slots;
                while placed[slot] != (0, 0) {
                    slot = (slot + 1) % slots;
                }
                placed[slot] = (hash, at);
            }
            for (hash, at) in placed {
                slots_of_all.extend([hash.to_le_bytes(), at.to_le_bytes()].concat());
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [head, records, slots_of_all].concat()).unwrap();
        file
    }

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let keys: Vec<String> = (0..600).map(|n| format!("host{n}.example")).collect();
        let entries: Vec<(&[u8], &[u8])> = keys
            .iter()
            .map(|key| (key.as_bytes(), &b"yes"[..]))
            .collect();
        let map = made(&entries);
        for key in &keys {
            let found = value(map.path(), key.as_bytes()).unwrap();
            assert_eq!(found.as_deref(), Some(&b"yes"[..]), "{key}");
            let other = format!("x{key}");
            assert_eq!(
                value(map.path(), other.as_bytes()).unwrap(),
                None,
                "{other}"
            );
        }
    }

    #[test]
    fn a_torn_map_is_an_error() {
        let map = made(&[(b"key", b"value")]);
        let whole = std::fs::read(map.path()).unwrap();
        std::fs::write(map.path(), &whole[..2060]).unwrap();
        assert!(value(map.path(), b"key").is_err());
        assert!(value(Path::new("/nonexistent.cdb"), b"key").is_err());
    }
}
