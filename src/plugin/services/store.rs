//! The store for native plugins: keys and values in a name space that all sessions, workers and, with Redis,
//! machines share. What it is made of is src/store.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::hook::Hook;
use crate::log::LOGWARN;
use crate::plugin::access::SessionAccess;
use crate::plugin::cx::Identity;
use crate::plugin::failure::Failure;
pub use crate::store::Change;
use crate::store::{
    self, Backend, Changed, Decide, Kind, PATIENCE, Pending, STILL_DOWN, StoreError,
};
use crate::watch;

/// A name space of the store. Keys and values are bytes.
///
/// A store that cannot be reached is a failure of the hook, within two seconds and within three quarters of the
/// time that the hook has; `on_error` says what that means. The log says so once, and when it is back.
pub struct Store<'a> {
    session: &'a dyn SessionAccess,
    plugin: &'a Identity,
    hook: Hook,
    name: Vec<u8>,
}

impl<'a> Store<'a> {
    pub(in crate::plugin) fn new(
        session: &'a dyn SessionAccess,
        plugin: &'a Identity,
        hook: Hook,
        name: &str,
    ) -> Store<'a> {
        Store {
            session,
            plugin,
            hook,
            name: name.as_bytes().to_vec(),
        }
    }

    /// The value of a key, unless there is none or it has expired.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Failure> {
        let backend = self.backend()?;
        let found = backend.get(&self.name, key.as_ref(), self.patience()).await;
        self.told(backend, found)
    }

    /// Sets a value, for so long: without a time until it is removed.
    pub async fn set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Vec<u8>>,
        lives: Option<Duration>,
    ) -> Result<(), Failure> {
        let change = Change::Set(value.into(), lives);
        self.change(key.as_ref(), Box::new(move |_| change.clone()), false)
            .await?;
        Ok(())
    }

    /// Removes a value. Whether there was one.
    pub async fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool, Failure> {
        let remove = Box::new(|_: Option<&[u8]>| Change::Remove);
        let changed = self.change(key.as_ref(), remove, false).await?;
        Ok(changed.before.is_some())
    }

    /// Changes a value by what it is: nobody else changes it meanwhile, in no process. It may be asked more than
    /// once, and runs in another thread. Gives what the value is then.
    pub async fn update(
        &self,
        key: impl AsRef<[u8]>,
        decide: impl Fn(Option<&[u8]>) -> Change + Send + 'static,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let changed = self.change(key.as_ref(), Box::new(decide), true).await?;
        Ok(changed.after)
    }

    /// Adds to a number in decimal digits; none is 0. It lives for so long from now on: without a time until it is
    /// removed. Gives the sum.
    pub async fn increment(
        &self,
        key: impl AsRef<[u8]>,
        by: i64,
        lives: Option<Duration>,
    ) -> Result<i64, Failure> {
        let decide = move |old: Option<&[u8]>| match number(old) {
            Some(old) => Change::Set(old.saturating_add(by).to_string().into_bytes(), lives),
            None => Change::Keep,
        };
        let value = self.update(key, decide).await?;
        let value = value.as_deref();
        number(value).ok_or_else(|| {
            let found = value.unwrap_or_default().escape_ascii().to_string();
            StoreError::NotANumber(found).into()
        })
    }

    fn backend(&self) -> Result<&'a Backend, Failure> {
        let backend = self.session.store();
        let backend = backend.ok_or_else(|| Failure::new("there is no store in this hook"))?;
        store::check(&self.name)?;
        Ok(backend)
    }

    /// A late answer would be none: the hook's own time is to end after the store's.
    fn patience(&self) -> Duration {
        let limit = self.session.call_limit(&self.plugin.name, self.hook);
        limit.map_or(PATIENCE, |limit| PATIENCE.min(limit * 3 / 4))
    }

    async fn change(&self, key: &[u8], decide: Decide, reads: bool) -> Result<Changed, Failure> {
        let backend = self.backend()?;
        let changed = match &backend.kind {
            Kind::Redis(redis) => {
                let patience = self.patience();
                redis
                    .change(&self.name, key, &*decide, reads, patience)
                    .await
            }
            Kind::Embedded(embedded) => {
                let (done, answer) = oneshot::channel();
                let pending = Pending {
                    key: key.to_vec(),
                    decide,
                    done,
                };
                match embedded.change(&self.name, pending) {
                    Err(error) => Err(error),
                    Ok(job) => self.answered(job, answer).await?,
                }
            }
        };
        self.told(backend, changed)
    }

    /// What the thread at work gives, which goes on for others, and until it is all on disk.
    async fn answered(
        &self,
        job: Option<store::Job>,
        mut answer: oneshot::Receiver<Result<Changed, StoreError>>,
    ) -> Result<Result<Changed, StoreError>, Failure> {
        if let Some(job) = job {
            tokio::select! {
                biased;
                given = &mut answer => return Ok(given.unwrap_or(Err(StoreError::NoAnswer))),
                ended = self.session.offload(job) => ended?,
            }
        }
        Ok(answer.await.unwrap_or(Err(StoreError::NoAnswer)))
    }

    /// Says once that the store cannot be reached, and once that it can be again.
    fn told<T>(&self, backend: &Backend, given: Result<T, StoreError>) -> Result<T, Failure> {
        match given {
            Ok(value) => {
                if watch::is_store_back() {
                    let text = format!("store {} can be reached again", backend.place());
                    let (hook, plugin) = (self.hook.name(), &self.plugin.name);
                    self.session.log(LOGWARN, hook, plugin, text.as_bytes());
                }
                Ok(value)
            }
            Err(error) if error.is_outage() => match watch::has_store_gone() {
                true => {
                    let text = format!("{error}; nothing more is said until that is over");
                    Err(Failure::new(text))
                }
                false => Err(Failure::new(STILL_DOWN)),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// None is 0.
fn number(text: Option<&[u8]>) -> Option<i64> {
    match text {
        None => Some(0),
        Some(text) => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}
