//! Where plugins keep what outlives a session: keys with an expiry in name spaces, shared by all workers of a
//! machine (embedded.rs), or by several machines (redis). What native plugins see of it is plugin/services/store.rs,
//! what Perl plugins see perl/xs/store.rs. Knows neither.

#![forbid(unsafe_code)]

mod blocking;
mod embedded;
mod error;
mod record;
pub mod redis;
mod writer;

use std::path::Path;
use std::time::Duration;

pub use blocking::LockKind;
pub use embedded::{Embedded, OpenEnv};
pub use error::StoreError;
pub use redis::Redis;
pub use writer::{Change, Changed, Decide, Job, Pending};

use crate::config::{StorePlace, StoreSetting};

/// How long a store's answer is waited for at most. A hook's own time holds besides.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The first words of an error that was told of before: chain/course.rs writes no more of it into the log.
pub const STILL_DOWN: &str = "the store still cannot be reached";

/// The longest name of a name space, in bytes.
const LONGEST_NAME: usize = 100;

/// The store of a configuration, as each process has it.
pub struct Backend {
    /// Perl plugins have it too.
    pub is_named: bool,
    pub kind: Kind,
    for_perl: blocking::Runtime,
}

/// Which it is.
pub enum Kind {
    Embedded(Embedded),
    Redis(Redis),
}

impl Backend {
    /// Opens nothing yet, but makes the directory that config `store` names. The error is for an administrator.
    pub fn new(setting: &StoreSetting, open: OpenEnv) -> Result<Backend, String> {
        let kind = match &setting.place {
            StorePlace::Embedded { dir, size } => {
                let embedded = Embedded::new(dir.clone(), *size, open);
                if setting.is_named {
                    embedded.prepare().map_err(|error| error.to_string())?;
                }
                Kind::Embedded(embedded)
            }
            StorePlace::Redis(place) => Kind::Redis(Redis::new(place)?),
        };
        Ok(Backend {
            is_named: setting.is_named,
            kind,
            for_perl: blocking::Runtime::default(),
        })
    }

    /// Where it is, as it may be shown.
    pub fn place(&self) -> String {
        match &self.kind {
            Kind::Embedded(embedded) => embedded.dir().display().to_string(),
            Kind::Redis(redis) => redis.shown().to_owned(),
        }
    }

    /// The directory that processes write to.
    pub fn dir(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Embedded(embedded) => Some(embedded.dir()),
            Kind::Redis(_) => None,
        }
    }

    /// A value of a name space.
    pub async fn get(
        &self,
        name: &[u8],
        key: &[u8],
        patience: Duration,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        check(name)?;
        match &self.kind {
            Kind::Embedded(embedded) => embedded.get(name, key),
            Kind::Redis(redis) => {
                let values = redis.get(name, &[key.to_vec()], patience).await;
                Ok(values?.pop().flatten())
            }
        }
    }
}

/// Whether it can be the name of a name space.
pub fn check(name: &[u8]) -> Result<(), StoreError> {
    match name.len() {
        1..=LONGEST_NAME => Ok(()),
        length => Err(StoreError::Name(length)),
    }
}
