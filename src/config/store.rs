//! `store`: where plugins keep what outlives a session. One line; without the file it is the embedded store
//! below the spool directory. Opens nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::dir::ConfigDir;
use super::error::ConfigError;
use super::read::Entry;

/// Bytes that the embedded store may grow to where its line says nothing else. They are room for addresses; on
/// disk is what is in use.
const USUAL_SIZE: u64 = 4 << 30;
const LEAST_SIZE: u64 = 1 << 20;
/// A multiple of every machine's page.
const STEP: u64 = 64 << 10;

const ALLOWED: &str = "one line: \"embedded\" or \"embedded /DIRECTORY\", behind which \"size=SIZE\" may stand (bytes, or \
                       with K, M, G or T; 1M at least), or \"redis://HOST[:PORT][/DATABASE]\" with \"USER:PASSWORD@\" \
                       or \":PASSWORD@\" before HOST where the server asks for it, or \
                       \"unix:/PATH/OF/SOCKET[?db=DATABASE]\"";

/// What config `store` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSetting {
    /// There is such a line: Perl plugins have this store too.
    pub is_named: bool,
    pub place: StorePlace,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// In files of this machine.
    Embedded { dir: PathBuf, size: u64 },
    /// A server that speaks Redis' protocol.
    Redis(RedisPlace),
}

/// A Redis or Valkey server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisPlace {
    pub endpoint: Endpoint,
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub database: u32,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl StoreSetting {
    /// Reads it. `spool` is the spool directory.
    pub fn load(config: &ConfigDir, spool: &Path) -> Result<StoreSetting, ConfigError> {
        let usual = spool.join("store");
        let entries = config.entries("store")?;
        let Some(entry) = entries.first() else {
            return Ok(StoreSetting {
                is_named: false,
                place: StorePlace::Embedded {
                    dir: usual,
                    size: USUAL_SIZE,
                },
            });
        };
        if let Some(second) = entries.get(1) {
            return Err(refused(second));
        }
        let place = place(&entry.text, &usual).ok_or_else(|| refused(entry))?;
        Ok(StoreSetting {
            is_named: true,
            place,
        })
    }
}

fn refused(entry: &Entry) -> ConfigError {
    ConfigError::Value {
        place: entry.place.clone(),
        name: "store".to_owned(),
        found: without_password(&entry.text).escape_ascii().to_string(),
        allowed: ALLOWED,
    }
}

/// The line as it may be shown.
fn without_password(text: &[u8]) -> Vec<u8> {
    let Some(at) = text.iter().rposition(|byte| *byte == b'@') else {
        return text.to_vec();
    };
    [b"...", &text[at..]].concat()
}

fn place(text: &[u8], usual: &Path) -> Option<StorePlace> {
    for scheme in [&b"redis://"[..], b"valkey://"] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return tcp(rest).map(StorePlace::Redis);
        }
    }
    if let Some(rest) = text.strip_prefix(b"unix:") {
        return unix(rest).map(StorePlace::Redis);
    }
    let mut words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    if words.next()? != b"embedded" {
        return None;
    }
    let (mut dir, mut bytes) = (None, None);
    for word in words {
        match word.strip_prefix(b"size=") {
            Some(found) if bytes.is_none() => bytes = Some(size(found)?),
            None if word.starts_with(b"/") && dir.is_none() => {
                dir = Some(PathBuf::from(OsStr::from_bytes(word)));
            }
            _ => return None,
        }
    }
    Some(StorePlace::Embedded {
        dir: dir.unwrap_or_else(|| usual.to_path_buf()),
        size: bytes.unwrap_or(USUAL_SIZE),
    })
}

fn size(text: &[u8]) -> Option<u64> {
    let units = [(b'K', 10), (b'M', 20), (b'G', 30), (b'T', 40)];
    let last = text.last()?.to_ascii_uppercase();
    let unit = units.iter().find(|(letter, _)| *letter == last);
    let (digits, shift) = match unit {
        Some((_, shift)) => (&text[..text.len() - 1], *shift),
        None => (text, 0),
    };
    let number = super::value::digits(digits, 10)?;
    let bytes = number.checked_mul(1 << shift)?;
    let bytes = bytes.checked_next_multiple_of(STEP)?;
    usize::try_from(bytes).ok()?;
    (bytes >= LEAST_SIZE).then_some(bytes)
}

/// What is behind `redis://`.
fn tcp(rest: &[u8]) -> Option<RedisPlace> {
    let (credentials, rest) = match rest.iter().rposition(|byte| *byte == b'@') {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    };
    let (user, password) = match credentials {
        None => (None, None),
        Some(text) => {
            let at = text.iter().position(|byte| *byte == b':')?;
            let user = unescaped(&text[..at])?;
            (
                Some(user).filter(|user| !user.is_empty()),
                Some(unescaped(&text[at + 1..])?),
            )
        }
    };
    let rest = std::str::from_utf8(rest).ok()?;
    let (server, database) = match rest.split_once('/') {
        Some((server, "")) => (server, 0),
        Some((server, number)) => (server, database(number)?),
        None => (rest, 0),
    };
    let (host, port) = match server.strip_prefix('[') {
        // An IPv6 address.
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, behind.strip_prefix(':'))
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let is_of_names = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(is_of_names) {
        return None;
    }
    let port = match port {
        Some(port) => u16::try_from(super::value::digits(port.as_bytes(), 10)?).ok()?,
        None => 6379,
    };
    Some(RedisPlace {
        endpoint: Endpoint::Tcp {
            host: host.to_owned(),
            port,
        },
        user,
        password,
        database,
    })
}

/// What is behind `unix:`.
fn unix(rest: &[u8]) -> Option<RedisPlace> {
    let (path, number) = match rest.iter().position(|byte| *byte == b'?') {
        Some(at) => {
            let number = rest[at + 1..].strip_prefix(b"db=")?;
            (&rest[..at], database(std::str::from_utf8(number).ok()?)?)
        }
        None => (rest, 0),
    };
    path.starts_with(b"/").then(|| RedisPlace {
        endpoint: Endpoint::Unix(PathBuf::from(OsStr::from_bytes(path))),
        user: None,
        password: None,
        database: number,
    })
}

fn database(text: &str) -> Option<u32> {
    u32::try_from(super::value::digits(text.as_bytes(), 10)?).ok()
}

/// `%40` is `@`.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2)?;
        bytes.push(u8::try_from(super::value::digits(digits, 16)?).ok()?);
        rest = &rest[2..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<StoreSetting, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("store"), text).unwrap();
        let config = ConfigDir::locate(Some(dir.path().to_path_buf())).unwrap();
        StoreSetting::load(&config, Path::new("/spool")).map_err(|error| error.to_string())
    }

    fn redis(text: &str) -> RedisPlace {
        match of(text).unwrap().place {
            StorePlace::Redis(place) => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_a_line_the_store_is_below_the_spool_directory() {
        let usual = of("# nothing\n").unwrap();
        assert!(!usual.is_named);
        let expected = |dir: &str, size| StorePlace::Embedded {
            dir: dir.into(),
            size,
        };
        assert_eq!(usual.place, expected("/spool/store", 4 << 30));
        let of = |text| of(text).unwrap();
        assert!(of("embedded\n").is_named);
        assert_eq!(of("embedded").place, usual.place);
        assert_eq!(of("embedded /a size=2M").place, expected("/a", 2 << 20));
        assert_eq!(
            of("embedded size=1048577").place,
            expected("/spool/store", (1 << 20) + (64 << 10))
        );
    }

    #[test]
    fn a_server_is_named_by_address_or_by_socket() {
        let place = redis("redis://127.0.0.1");
        assert_eq!(
            place.endpoint,
            Endpoint::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 6379
            }
        );
        assert_eq!(
            (place.user, place.password, place.database),
            (None, None, 0)
        );
        let place = redis("valkey://smtp:a%40b:c@store.example:7000/3");
        assert_eq!(place.user.as_deref(), Some(&b"smtp"[..]));
        assert_eq!(place.password.as_deref(), Some(&b"a@b:c"[..]));
        assert_eq!(place.database, 3);
        let place = redis("redis://:secret@[::1]:6380/");
        assert_eq!(place.user, None);
        assert_eq!(
            place.endpoint,
            Endpoint::Tcp {
                host: "::1".to_owned(),
                port: 6380
            }
        );
        let place = redis("unix:/run/redis.sock?db=2");
        assert_eq!(place.endpoint, Endpoint::Unix("/run/redis.sock".into()));
        assert_eq!(place.database, 2);
    }

    #[test]
    fn a_wrong_line_is_refused_with_its_place_and_without_the_password() {
        for line in [
            "lmdb",
            "embedded relative",
            "embedded /a /b",
            "embedded size=1K",
            "embedded size=many",
            "embedded size=99999999999999T",
            "redis://",
            "redis://host:port",
            "redis://host:70000",
            "redis://host/x",
            "redis://nobody@host",
            "redis://a:%4@host",
            "redis://ho st",
            "unix:relative",
            "unix:/a?database=1",
            "rediss://host",
            "embedded\nembedded",
        ] {
            let problem = of(line).unwrap_err();
            let place = format!("store:{}: store is \"", line.lines().count());
            assert!(problem.contains(&place), "{line}: {problem}");
            assert!(problem.contains("must be one line"), "{line}: {problem}");
        }
        let problem = of("redis://:secret@host:x").unwrap_err();
        assert!(!problem.contains("secret"), "{problem}");
    }
}
