//! The store on a Redis or Valkey server, for several machines at once. Its keys there are
//! `camelpost:NAME:KEY`, their expiry is the server's. Each process has connections of its own, made when they are
//! needed; after a failure nobody waits for the server again for a second.
//!
//! A change is a script that the server runs as one: it does nothing if the value is another one than it was when
//! the change was decided on, or if a Perl plugin of somebody else's holds the name's lock (a key with an expiry of
//! its own, so that a machine that dies gives it back).

mod connection;
pub mod wire;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use connection::{Connection, Place, Target};
use wire::Answer;

use super::error::StoreError;
use super::writer::{Change, Changed};
use crate::base::PerProcess;
use crate::config::{Endpoint, RedisPlace};

/// How long a server that has failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a change that is kept off by a lock waits before it tries again.
const STEP: Duration = Duration::from_millis(10);
/// Connections that are kept though nobody needs them now.
const KEPT: usize = 8;
/// How long a lock holds, in ms: its holder may be dead.
const LEASE: &[u8] = b"30000";

/// KEYS: the key, the name's lock. ARGV: the holder's word, `any`, `none` or `is`, the value then, `set` or
/// `remove`, the value, its time in ms (0: none).
const CHANGE: &[u8] = b"local held = redis.call('get', KEYS[2])
if held and held ~= ARGV[1] then return {'locked'} end
local now = redis.call('get', KEYS[1])
if ARGV[2] == 'none' and now then return {'changed'} end
if ARGV[2] == 'is' and now ~= ARGV[3] then return {'changed'} end
if ARGV[4] == 'remove' then redis.call('del', KEYS[1])
elseif ARGV[6] == '0' then redis.call('set', KEYS[1], ARGV[5])
else redis.call('set', KEYS[1], ARGV[5], 'px', ARGV[6]) end
return {'done', now}";

/// Gives a lock back, if it is still this holder's.
const RELEASE: &[u8] =
    b"if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end return 1";

/// A server.
pub struct Redis {
    target: Target,
    idle: PerProcess<RefCell<Vec<Connection>>>,
    failed: RefCell<Option<(Instant, String)>>,
    process: Cell<u32>,
}

/// What came of a change.
enum Outcome {
    Done(Option<Vec<u8>>),
    Locked,
    Changed,
}

impl Redis {
    /// Looks the server's name up, and does not connect.
    pub fn new(place: &RedisPlace) -> Result<Redis, String> {
        let (shown, found) = match &place.endpoint {
            Endpoint::Unix(path) => (
                format!("unix:{}", path.display()),
                Place::Unix(path.clone()),
            ),
            Endpoint::Tcp { host, port } => {
                let shown = match host.contains(':') {
                    true => format!("redis://[{host}]:{port}"),
                    false => format!("redis://{host}:{port}"),
                };
                // Here and not in workers, where looking up would keep all sessions waiting.
                let addresses = (&host[..], *port).to_socket_addrs();
                let addresses = addresses.map_err(|error| {
                    format!("{shown}: {error}; name a server that is known here, or its address")
                })?;
                (shown, Place::Tcp(addresses.collect()))
            }
        };
        Ok(Redis {
            target: Target {
                shown,
                place: found,
                user: place.user.clone(),
                password: place.password.clone(),
                database: place.database,
            },
            idle: PerProcess::new(),
            failed: RefCell::default(),
            process: Cell::new(0),
        })
    }

    /// For another runtime of the same process.
    pub fn another(&self) -> Redis {
        Redis {
            target: self.target.clone(),
            idle: PerProcess::new(),
            failed: RefCell::default(),
            process: Cell::new(0),
        }
    }

    /// As it may be shown: without its password.
    pub fn shown(&self) -> &str {
        &self.target.shown
    }

    fn unreachable(&self, reason: String) -> StoreError {
        StoreError::Unreachable {
            place: self.target.shown.clone(),
            reason,
        }
    }

    /// Answers to commands, within this time.
    async fn ask(
        &self,
        commands: &[Vec<&[u8]>],
        patience: Duration,
    ) -> Result<Vec<Answer>, StoreError> {
        let process = std::process::id();
        if self.process.replace(process) != process {
            self.failed.replace(None);
        }
        if let Some((at, reason)) = &*self.failed.borrow()
            && at.elapsed() < PAUSE
        {
            return Err(self.unreachable(reason.clone()));
        }
        let idle = self.idle.get_or(RefCell::default);
        let asked = async {
            let mut kept = idle.borrow_mut().pop();
            if kept.as_ref().is_some_and(|kept| !kept.is_idle()) {
                // A server that was started anew has closed all of them.
                kept = None;
                idle.borrow_mut().clear();
            }
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(&self.target).await?,
            };
            let answers = connection.ask(commands).await?;
            Ok::<_, String>((connection, answers))
        };
        let asked = tokio::time::timeout(patience, asked).await;
        let asked = asked.unwrap_or_else(|_| {
            let ms = patience.as_millis();
            Err(format!("no answer within {ms} ms"))
        });
        let (connection, answers) = asked.map_err(|reason| self.has_failed(reason))?;
        for answer in &answers {
            if let Answer::Error(text) = answer {
                return Err(self.refused(text));
            }
        }
        let mut idle = idle.borrow_mut();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        Ok(answers)
    }

    fn has_failed(&self, reason: String) -> StoreError {
        self.failed.replace(Some((Instant::now(), reason.clone())));
        self.unreachable(reason)
    }

    /// An error that the server gives: of the whole server, or of what was asked.
    fn refused(&self, text: &[u8]) -> StoreError {
        const OF_ALL: [&[u8]; 8] = [
            b"LOADING",
            b"MASTERDOWN",
            b"READONLY",
            b"NOAUTH",
            b"NOPERM",
            b"BUSY",
            b"MISCONF",
            b"CLUSTERDOWN",
        ];
        let answer = text.escape_ascii().to_string();
        if OF_ALL.iter().any(|word| text.starts_with(word)) {
            return self.has_failed(format!("the server says: {answer}"));
        }
        StoreError::Refused {
            place: self.target.shown.clone(),
            answer,
        }
    }

    fn odd(&self) -> StoreError {
        StoreError::Refused {
            place: self.target.shown.clone(),
            answer: "something that was not asked for".to_owned(),
        }
    }

    /// The values of keys, in their order.
    pub async fn get(
        &self,
        name: &[u8],
        keys: &[Vec<u8>],
        patience: Duration,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key_of(name, key)).collect();
        let commands: Vec<Vec<&[u8]>> = keys.iter().map(|key| vec![&b"GET"[..], key]).collect();
        let answers = self.ask(&commands, patience).await?;
        let values = answers.into_iter().map(|answer| match answer {
            Answer::Text(value) => Ok(Some(value)),
            Answer::Nothing => Ok(None),
            _ => Err(self.odd()),
        });
        values.collect()
    }

    /// Changes a value; `reads`: what it becomes depends on what it is.
    pub async fn change(
        &self,
        name: &[u8],
        key: &[u8],
        decide: &dyn Fn(Option<&[u8]>) -> Change,
        reads: bool,
        patience: Duration,
    ) -> Result<Changed, StoreError> {
        let begun = Instant::now();
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            let before = match reads {
                true => self.get(name, &[key.to_vec()], left).await?.pop().flatten(),
                false => None,
            };
            let change = decide(before.as_deref());
            if change == Change::Keep {
                let after = before.clone();
                return Ok(Changed { before, after });
            }
            let expected = reads.then_some(before.as_deref());
            let left = patience.saturating_sub(begun.elapsed());
            let changes = [(key.to_vec(), change)];
            let outcome = self.run(name, b"", &changes, expected, left).await?.pop();
            match outcome.ok_or_else(|| self.odd())? {
                Outcome::Done(before) => {
                    let [(_, change)] = changes;
                    let after = match change {
                        Change::Set(value, _) => Some(value),
                        _ => None,
                    };
                    return Ok(Changed { before, after });
                }
                Outcome::Changed => {}
                Outcome::Locked => tokio::time::sleep(STEP).await,
            }
            if begun.elapsed() >= patience {
                return Err(self.locked(name));
            }
        }
    }

    fn locked(&self, name: &[u8]) -> StoreError {
        StoreError::Locked {
            place: self.target.shown.clone(),
            name: name.escape_ascii().to_string(),
        }
    }

    /// Makes changes as the holder of the lock, or as nobody (`b""`). What was there before.
    pub async fn apply(
        &self,
        name: &[u8],
        holder: &[u8],
        changes: &[(Vec<u8>, Change)],
        patience: Duration,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let outcomes = self.run(name, holder, changes, None, patience).await?;
        let before = outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Done(before) => Ok(before),
            _ => Err(self.locked(name)),
        });
        before.collect()
    }

    /// `expected`: what is to be there, where that counts.
    async fn run(
        &self,
        name: &[u8],
        holder: &[u8],
        changes: &[(Vec<u8>, Change)],
        expected: Option<Option<&[u8]>>,
        patience: Duration,
    ) -> Result<Vec<Outcome>, StoreError> {
        let (mode, value): (&[u8], &[u8]) = match expected {
            None => (b"any", b""),
            Some(None) => (b"none", b""),
            Some(Some(value)) => (b"is", value),
        };
        let lock = lock_of(name);
        let texts: Vec<(Vec<u8>, Vec<u8>)> = changes
            .iter()
            .map(|(key, change)| (key_of(name, key), time_of(change)))
            .collect();
        let commands: Vec<Vec<&[u8]>> = changes
            .iter()
            .zip(&texts)
            .map(|((_, change), (key, time))| {
                let (what, new): (&[u8], &[u8]) = match change {
                    Change::Set(value, _) => (b"set", value),
                    _ => (b"remove", b""),
                };
                vec![
                    b"EVAL", CHANGE, b"2", key, &lock, holder, mode, value, what, new, time,
                ]
            })
            .collect();
        let answers = self.ask(&commands, patience).await?;
        answers
            .into_iter()
            .map(|answer| self.outcome(answer))
            .collect()
    }

    fn outcome(&self, answer: Answer) -> Result<Outcome, StoreError> {
        let Answer::List(list) = answer else {
            return Err(self.odd());
        };
        let mut list = list.into_iter();
        match (list.next(), list.next()) {
            (Some(Answer::Text(word)), None) if word == b"locked" => Ok(Outcome::Locked),
            (Some(Answer::Text(word)), None) if word == b"changed" => Ok(Outcome::Changed),
            (Some(Answer::Text(_)), Some(Answer::Text(before))) => Ok(Outcome::Done(Some(before))),
            (Some(Answer::Text(_)), _) => Ok(Outcome::Done(None)),
            _ => Err(self.odd()),
        }
    }

    /// The keys of a name.
    pub async fn keys(&self, name: &[u8], patience: Duration) -> Result<Vec<Vec<u8>>, StoreError> {
        let prefix = key_of(name, b"");
        let pattern = [&prefix[..], b"*"].concat();
        let mut found = BTreeSet::new();
        let mut cursor = b"0".to_vec();
        loop {
            let command = vec![&b"SCAN"[..], &cursor, b"MATCH", &pattern, b"COUNT", b"1000"];
            let answer = self.ask(&[command], patience).await?.pop();
            let Some(Answer::List(list)) = answer else {
                return Err(self.odd());
            };
            let mut list = list.into_iter();
            let (Some(Answer::Text(next)), Some(Answer::List(keys))) = (list.next(), list.next())
            else {
                return Err(self.odd());
            };
            for key in keys {
                if let Answer::Text(key) = key
                    && let Some(key) = key.strip_prefix(&prefix[..])
                {
                    found.insert(key.to_vec());
                }
            }
            if next == b"0" {
                return Ok(found.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// Takes the lock of a name, if nobody has it.
    pub async fn lock(
        &self,
        name: &[u8],
        holder: &[u8],
        patience: Duration,
    ) -> Result<bool, StoreError> {
        let lock = lock_of(name);
        let command = vec![&b"SET"[..], &lock, holder, b"NX", b"PX", LEASE];
        let answer = self.ask(&[command], patience).await?.pop();
        Ok(matches!(answer, Some(Answer::Status(_))))
    }

    pub async fn unlock(
        &self,
        name: &[u8],
        holder: &[u8],
        patience: Duration,
    ) -> Result<(), StoreError> {
        let lock = lock_of(name);
        let command = vec![&b"EVAL"[..], RELEASE, b"1", &lock, holder];
        self.ask(&[command], patience).await.map(drop)
    }
}

/// Names have no colon there, and nothing that a pattern of SCAN's would take for something else.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for byte in name {
        match byte.is_ascii_alphanumeric() || b"-_./".contains(byte) {
            true => escaped.push(*byte),
            false => escaped.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
    escaped
}

fn key_of(name: &[u8], key: &[u8]) -> Vec<u8> {
    [b"camelpost:", &escaped(name)[..], b":", key].concat()
}

fn lock_of(name: &[u8]) -> Vec<u8> {
    [b"camelpost-lock:", &escaped(name)[..]].concat()
}

/// A value's time in ms.
fn time_of(change: &Change) -> Vec<u8> {
    let lives = match change {
        Change::Set(_, Some(lives)) => lives.as_millis().clamp(1, i64::MAX as u128 / 2),
        _ => 0,
    };
    lives.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_part_of_another_s_keys() {
        assert_eq!(key_of(b"greylist", b"a:b"), b"camelpost:greylist:a:b");
        assert_eq!(key_of(b"a:b*", b"c"), b"camelpost:a%3ab%2a:c");
        assert_ne!(key_of(b"a:b", b"c"), key_of(b"a", b"b:c"));
    }

    #[test]
    fn a_time_is_never_none_where_there_is_one() {
        let time = |lives| time_of(&Change::Set(Vec::new(), lives));
        assert_eq!(time(None), b"0");
        assert_eq!(time(Some(Duration::ZERO)), b"1");
        assert_eq!(time(Some(Duration::from_secs(2))), b"2000");
    }
}
