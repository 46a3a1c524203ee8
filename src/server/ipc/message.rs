//! What supervisor, zygote and workers say to each other, and its bytes. Both ends are the same
//! program, so the form is plain: a tag, then fields in order, integers little-endian. Decoding
//! still trusts nothing: a worker runs plugins.

#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use super::wire::{Reader, Writer};
pub(in crate::server) use crate::server::facts::ProcessEnd;
use crate::server::facts::{About, LoadFacts, Names};
use crate::server::refusal::RefusalReport;
use crate::server::sandbox::Sandbox;

/// The version of these messages; zygote and supervisor compare it before anything else.
pub(crate) const PROTOCOL: u32 = 8;

/// More addresses than this are not passed along (they would not fit).
pub(in crate::server) const MAX_CHILD_ADDRS: usize = 1800;

/// Supervisor to zygote.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum ToZygote {
    /// The first message, before anything is loaded: as whom to run, where that is not who has started
    /// it, and what its workers give up.
    Begin {
        user: Option<String>,
        sandbox: Sandbox,
        /// Which load it is, from 1.
        load: u64,
    },
    /// Fork a worker; its end of the link comes as the descriptor.
    Fork { worker: u64 },
    /// Detach: send stdout and stderr to /dev/null.
    Silence,
    /// Stderr leads to the descriptor that comes along from now on.
    Log,
    /// A worker of a zygote that is gone has ended: see to what it has left behind.
    CleanUp { pid: i32 },
    /// End; workers that are there go on. A supervisor that is gone has not said it.
    Leave,
}

/// Zygote to supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum FromZygote {
    /// Everything is loaded.
    Ready { protocol: u32, facts: LoadFacts },
    /// Loading failed; lines for the user.
    Failed { message: String },
    /// Before `Ready`: what the numbers on the workers' pages stand for. Where there are plugins, the
    /// memory of the ledger comes as the descriptor.
    Names { names: Names },
    /// This is being loaded from now on.
    Loading { what: String },
    /// A worker lives; its pidfd comes as the descriptor.
    Forked { worker: u64, pid: i32 },
    /// fork(2) failed with this errno.
    NotForked { worker: u64, errno: i32 },
    /// A worker has ended and was reaped.
    Exited { worker: u64, end: ProcessEnd },
}

/// Supervisor to worker.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum ToWorker {
    /// A session; the client's socket comes as the descriptor.
    Session(Assignment),
    /// The first message: the memory of the page comes as the descriptor.
    Page,
    /// End the sessions soon; no other will come.
    Stop,
    /// It may have several sessions; these hooks (a bit for each by its number) are seen to run
    /// long.
    Shared { long: u64 },
    /// The session is to go on in a process forked for it, whose link is the descriptor.
    Leave { session: u64 },
    /// The session is to go on where it is; `alone`: no other will come as long as it lasts.
    Stay { session: u64, alone: bool },
    /// A process that was forked for a session has ended.
    ChildEnded,
    /// A line of the service, for the logging plugins.
    Line { level: u8, text: String },
    /// A report of refusals has come: there may be another.
    Heard,
}

/// Worker to supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum FromWorker {
    Done {
        session: u64,
        reuse: bool,
    },
    /// The session's socket carries TLS now: a reply in clear would be noise.
    Secured {
        session: u64,
    },
    /// The session should go on in a process of its own; `must`: it would keep all others waiting.
    Asks {
        session: u64,
        must: bool,
    },
    /// It goes on there; the process's pidfd comes as the descriptor.
    Left {
        session: u64,
        pid: i32,
    },
    /// That could not be: it goes on where it was.
    Stayed {
        session: u64,
    },
    /// What was refused since the last time; the next is told when this was heard.
    Refused {
        report: RefusalReport,
    },
}

/// A session as it is given to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Assignment {
    pub(in crate::server) session: u64,
    pub(in crate::server) peer: SocketAddr,
    pub(in crate::server) local: SocketAddr,
    pub(in crate::server) open: u32,
    pub(in crate::server) limit: u32,
    pub(in crate::server) max_from_ip: u32,
    pub(in crate::server) child_addrs: Vec<IpAddr>,
}

impl ToZygote {
    pub(in crate::server) fn encode(&self) -> Vec<u8> {
        match self {
            ToZygote::Fork { worker } => Writer::new(1).u64(*worker).0,
            ToZygote::Silence => Writer::new(2).0,
            ToZygote::Log => Writer::new(6).0,
            ToZygote::Leave => Writer::new(7).0,
            ToZygote::CleanUp { pid } => Writer::new(3).i32(*pid).0,
            ToZygote::Begin {
                user,
                sandbox,
                load,
            } => match user {
                None => Writer::new(4).u8(sandbox.bits()).u64(*load).0,
                Some(name) => Writer::new(5).u8(sandbox.bits()).u64(*load).text(name),
            },
        }
    }

    pub(in crate::server) fn decode(bytes: &[u8]) -> Option<ToZygote> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            1 => Some(ToZygote::Fork {
                worker: reader.u64()?,
            }),
            2 => Some(ToZygote::Silence),
            6 => Some(ToZygote::Log),
            7 => Some(ToZygote::Leave),
            3 => Some(ToZygote::CleanUp { pid: reader.i32()? }),
            4 => Some(ToZygote::Begin {
                user: None,
                sandbox: Sandbox::from_bits(reader.u8()?)?,
                load: reader.u64()?,
            }),
            5 => Some(ToZygote::Begin {
                sandbox: Sandbox::from_bits(reader.u8()?)?,
                load: reader.u64()?,
                user: Some(String::from_utf8(reader.0.to_vec()).ok()?),
            }),
            _ => None,
        }
    }
}

impl FromZygote {
    pub(in crate::server) fn encode(&self) -> Vec<u8> {
        match self {
            FromZygote::Ready { protocol, facts } => Writer::new(1)
                .u32(*protocol)
                .u8(facts.hooks_pre_connection.into())
                .u8(facts.log_level)
                .u8(facts.hooks_logging.into())
                .text(&facts.about.lines()),
            FromZygote::Failed { message } => Writer::new(2).text(message),
            FromZygote::Names { names } => {
                let names = [names.hooks.join(" "), names.plugins.join("\n")];
                Writer::new(7).text(&names.join("\n"))
            }
            FromZygote::Loading { what } => Writer::new(6).text(what),
            FromZygote::Forked { worker, pid } => Writer::new(3).u64(*worker).i32(*pid).0,
            FromZygote::NotForked { worker, errno } => Writer::new(4).u64(*worker).i32(*errno).0,
            FromZygote::Exited { worker, end } => {
                let writer = Writer::new(5).u64(*worker);
                match end {
                    ProcessEnd::Status(status) => writer.u8(0).i32(*status).0,
                    ProcessEnd::Signal(signal) => writer.u8(1).i32(*signal).0,
                }
            }
        }
    }

    pub(in crate::server) fn decode(bytes: &[u8]) -> Option<FromZygote> {
        let mut reader = Reader(bytes);
        Some(match reader.u8()? {
            1 => FromZygote::Ready {
                protocol: reader.u32()?,
                facts: LoadFacts {
                    hooks_pre_connection: reader.bool()?,
                    log_level: reader.u8()?,
                    hooks_logging: reader.bool()?,
                    about: About::of_lines(&String::from_utf8_lossy(reader.0)),
                },
            },
            2 => FromZygote::Failed {
                message: String::from_utf8_lossy(reader.0).into_owned(),
            },
            3 => FromZygote::Forked {
                worker: reader.u64()?,
                pid: reader.i32()?,
            },
            4 => FromZygote::NotForked {
                worker: reader.u64()?,
                errno: reader.i32()?,
            },
            5 => FromZygote::Exited {
                worker: reader.u64()?,
                end: match reader.u8()? {
                    0 => ProcessEnd::Status(reader.i32()?),
                    _ => ProcessEnd::Signal(reader.i32()?),
                },
            },
            6 => FromZygote::Loading {
                what: String::from_utf8_lossy(reader.0).into_owned(),
            },
            7 => {
                let text = String::from_utf8_lossy(reader.0);
                let (hooks, plugins) = text.split_once('\n')?;
                FromZygote::Names {
                    names: Names {
                        hooks: hooks.split(' ').map(str::to_owned).collect(),
                        plugins: plugins.split('\n').map(str::to_owned).collect(),
                    },
                }
            }
            _ => return None,
        })
    }
}

impl ToWorker {
    pub(in crate::server) fn encode(&self) -> Vec<u8> {
        match self {
            ToWorker::Session(assignment) => {
                let mut writer = Writer::new(1)
                    .u64(assignment.session)
                    .address(assignment.peer)
                    .address(assignment.local)
                    .u32(assignment.open)
                    .u32(assignment.limit)
                    .u32(assignment.max_from_ip);
                for ip in assignment.child_addrs.iter().take(MAX_CHILD_ADDRS) {
                    writer = writer.ip(*ip);
                }
                writer.0
            }
            ToWorker::Stop => Writer::new(2).0,
            ToWorker::Page => Writer::new(3).0,
            ToWorker::Shared { long } => Writer::new(4).u64(*long).0,
            ToWorker::Leave { session } => Writer::new(5).u64(*session).0,
            ToWorker::Stay { session, alone } => Writer::new(6).u64(*session).u8((*alone).into()).0,
            ToWorker::ChildEnded => Writer::new(7).0,
            ToWorker::Line { level, text } => Writer::new(8).u8(*level).text(text),
            ToWorker::Heard => Writer::new(9).0,
        }
    }

    pub(in crate::server) fn decode(bytes: &[u8]) -> Option<ToWorker> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            1 => {
                let mut assignment = Assignment {
                    session: reader.u64()?,
                    peer: reader.address()?,
                    local: reader.address()?,
                    open: reader.u32()?,
                    limit: reader.u32()?,
                    max_from_ip: reader.u32()?,
                    child_addrs: Vec::new(),
                };
                while !reader.0.is_empty() {
                    assignment.child_addrs.push(reader.ip()?);
                }
                Some(ToWorker::Session(assignment))
            }
            2 => Some(ToWorker::Stop),
            3 => Some(ToWorker::Page),
            4 => Some(ToWorker::Shared {
                long: reader.u64()?,
            }),
            5 => Some(ToWorker::Leave {
                session: reader.u64()?,
            }),
            6 => Some(ToWorker::Stay {
                session: reader.u64()?,
                alone: reader.bool()?,
            }),
            7 => Some(ToWorker::ChildEnded),
            8 => Some(ToWorker::Line {
                level: reader.u8()?,
                text: String::from_utf8_lossy(reader.0).into_owned(),
            }),
            9 => Some(ToWorker::Heard),
            _ => None,
        }
    }
}

impl FromWorker {
    pub(in crate::server) fn encode(&self) -> Vec<u8> {
        match self {
            FromWorker::Done { session, reuse } => {
                Writer::new(1).u64(*session).u8((*reuse).into()).0
            }
            FromWorker::Secured { session } => Writer::new(2).u64(*session).0,
            FromWorker::Asks { session, must } => Writer::new(3).u64(*session).u8((*must).into()).0,
            FromWorker::Left { session, pid } => Writer::new(4).u64(*session).i32(*pid).0,
            FromWorker::Stayed { session } => Writer::new(5).u64(*session).0,
            FromWorker::Refused { report } => Writer::new(6).text(&report.as_text()),
        }
    }

    pub(in crate::server) fn decode(bytes: &[u8]) -> Option<FromWorker> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            1 => Some(FromWorker::Done {
                session: reader.u64()?,
                reuse: reader.bool()?,
            }),
            2 => Some(FromWorker::Secured {
                session: reader.u64()?,
            }),
            3 => Some(FromWorker::Asks {
                session: reader.u64()?,
                must: reader.bool()?,
            }),
            4 => Some(FromWorker::Left {
                session: reader.u64()?,
                pid: reader.i32()?,
            }),
            5 => Some(FromWorker::Stayed {
                session: reader.u64()?,
            }),
            6 => Some(FromWorker::Refused {
                report: RefusalReport::of_text(reader.0)?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::server::ipc::channel::MAX_MESSAGE;

    fn assignment(addresses: usize) -> ToWorker {
        ToWorker::Session(Assignment {
            session: 7,
            peer: "192.0.2.1:4711".parse().unwrap(),
            local: "[2001:db8::25]:25".parse().unwrap(),
            open: 3,
            limit: 200,
            max_from_ip: 5,
            child_addrs: vec![IpAddr::V6(Ipv6Addr::LOCALHOST); addresses],
        })
    }

    #[test]
    fn every_message_comes_back_as_it_was() {
        for message in [
            ToZygote::Fork { worker: u64::MAX },
            ToZygote::Silence,
            ToZygote::CleanUp { pid: 77 },
            ToZygote::Begin {
                user: None,
                sandbox: Sandbox::default(),
                load: 1,
            },
            ToZygote::Begin {
                user: Some("nobody".into()),
                sandbox: Sandbox {
                    landlock: true,
                    seccomp: true,
                },
                load: 3,
            },
        ] {
            assert_eq!(ToZygote::decode(&message.encode()), Some(message));
        }
        for message in [
            FromZygote::Ready {
                protocol: PROTOCOL,
                facts: LoadFacts {
                    hooks_pre_connection: true,
                    log_level: 6,
                    hooks_logging: true,
                    about: About {
                        perl: Some("5.36.0".into()),
                        config: "/etc/x".into(),
                        profile: "0.94".into(),
                        plugins: 7,
                        plugin_dirs: vec!["/usr/x".into(), "/usr/y".into()],
                    },
                },
            },
            FromZygote::Failed {
                message: "two\nlines".into(),
            },
            FromZygote::Loading {
                what: "a plugin".into(),
            },
            FromZygote::Names {
                names: Names {
                    plugins: vec!["one".into(), "two".into()],
                    hooks: vec!["rcpt".into(), "data".into()],
                },
            },
            FromZygote::Forked { worker: 1, pid: 2 },
            FromZygote::NotForked {
                worker: 1,
                errno: 11,
            },
            FromZygote::Exited {
                worker: 1,
                end: ProcessEnd::Signal(9),
            },
            FromZygote::Exited {
                worker: 1,
                end: ProcessEnd::Status(-1),
            },
        ] {
            assert_eq!(FromZygote::decode(&message.encode()), Some(message));
        }
        for message in [
            assignment(0),
            assignment(3),
            ToWorker::Stop,
            ToWorker::Page,
            ToWorker::Shared { long: 1 << 33 },
            ToWorker::Line {
                level: 4,
                text: "reloaded".into(),
            },
            ToWorker::Leave { session: 4 },
            ToWorker::Stay {
                session: 5,
                alone: true,
            },
            ToWorker::ChildEnded,
        ] {
            assert_eq!(ToWorker::decode(&message.encode()), Some(message));
        }
        for message in [
            FromWorker::Done {
                session: 1,
                reuse: true,
            },
            FromWorker::Secured { session: 9 },
            FromWorker::Asks {
                session: 1,
                must: true,
            },
            FromWorker::Left { session: 2, pid: 3 },
            FromWorker::Stayed { session: 4 },
        ] {
            assert_eq!(FromWorker::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn a_truncated_message_is_none() {
        let whole = assignment(2).encode();
        for len in 0..30 {
            assert_eq!(ToWorker::decode(&whole[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn the_longest_messages_fit() {
        assert!(assignment(100_000).encode().len() <= MAX_MESSAGE);
        let message = FromZygote::Failed {
            message: "ä".repeat(MAX_MESSAGE),
        };
        assert!(message.encode().len() <= MAX_MESSAGE);
    }
}
