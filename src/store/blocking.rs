//! The store for who cannot wait beside others: Perl code, which runs outside of the worker's runtime. The server
//! is asked in a runtime of its own, with connections of its own.

use std::path::PathBuf;
use std::time::Duration;

use super::error::StoreError;
use super::redis::Redis;
use super::writer::{Change, Sweep, transaction};
use super::{Backend, Kind, PATIENCE, check};
use crate::base::PerProcess;

/// How a name is locked.
pub enum LockKind {
    /// By `flock` of this file.
    File(PathBuf),
    /// On the server; whether it was free.
    Taken(bool),
}

/// A runtime that waits for one thing at a time.
#[derive(Default)]
pub(super) struct Runtime(PerProcess<(tokio::runtime::Runtime, Redis)>);

impl Runtime {
    fn ask<T>(
        &self,
        redis: &Redis,
        asked: impl AsyncFnOnce(&Redis) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let own = match self.0.get() {
            Some(own) => own,
            None => {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                let made = builder.enable_all().build();
                let made = made.map_err(|error| StoreError::Unreachable {
                    place: redis.shown().to_owned(),
                    reason: error.to_string(),
                })?;
                self.0.set((made, redis.another()))
            }
        };
        own.0.block_on(asked(&own.1))
    }
}

impl Backend {
    pub fn get_now(
        &self,
        name: &[u8],
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        check(name)?;
        match &self.kind {
            Kind::Embedded(embedded) => {
                let values = keys.iter().map(|key| embedded.get(name, key));
                values.collect()
            }
            Kind::Redis(redis) => self.for_perl.ask(redis, async |redis: &Redis| {
                redis.get(name, keys, PATIENCE).await
            }),
        }
    }

    pub fn keys_now(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        check(name)?;
        match &self.kind {
            Kind::Embedded(embedded) => embedded.keys(name),
            Kind::Redis(redis) => (self.for_perl).ask(redis, async |redis: &Redis| {
                redis.keys(name, PATIENCE).await
            }),
        }
    }

    /// Makes changes as who holds the name's lock. Whether there was a value before, for each.
    pub fn apply_now(
        &self,
        name: &[u8],
        holder: &[u8],
        changes: &[(Vec<u8>, Change)],
    ) -> Result<Vec<bool>, StoreError> {
        check(name)?;
        match &self.kind {
            Kind::Embedded(embedded) => {
                let opened = embedded.opened()?;
                type Made<'a> = (&'a [u8], Box<dyn Fn(Option<&[u8]>) -> Change + Send + 'a>);
                let made: Vec<Made<'_>> = changes
                    .iter()
                    .map(|(key, change)| {
                        let decide = |_: Option<&[u8]>| change.clone();
                        (&key[..], Box::new(decide) as Box<_>)
                    })
                    .collect();
                let each = made.iter().map(|(key, decide)| (*key, &**decide));
                let done = transaction(&opened, name, each, &mut Sweep::default())?;
                // Where it fails the next commit does it.
                let _ = opened.env.force_sync();
                done.into_iter()
                    .map(|changed| Ok(changed?.before.is_some()))
                    .collect()
            }
            Kind::Redis(redis) => {
                let before = self.for_perl.ask(redis, async |redis: &Redis| {
                    redis.apply(name, holder, changes, PATIENCE).await
                })?;
                Ok(before.iter().map(Option::is_some).collect())
            }
        }
    }

    /// The lock of a name, taken where it is a server's and free.
    pub fn lock_now(&self, name: &[u8], holder: &[u8]) -> Result<LockKind, StoreError> {
        check(name)?;
        match &self.kind {
            Kind::Embedded(embedded) => {
                embedded.prepare()?;
                Ok(LockKind::File(embedded.lock_file(name)))
            }
            Kind::Redis(redis) => {
                let taken = self.for_perl.ask(redis, async |redis: &Redis| {
                    redis.lock(name, holder, PATIENCE).await
                });
                Ok(LockKind::Taken(taken?))
            }
        }
    }

    pub fn unlock_now(&self, name: &[u8], holder: &[u8]) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Embedded(_) => Ok(()),
            Kind::Redis(redis) => self.for_perl.ask(redis, async |redis: &Redis| {
                redis.unlock(name, holder, Duration::from_millis(500)).await
            }),
        }
    }
}
