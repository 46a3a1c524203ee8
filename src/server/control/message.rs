//! What is said on the control socket: one line of JSON from the caller, one line back, each with
//! the version of this protocol. Fields may be added; a change of meaning is a new version.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::shown;
use super::status::Status;

/// The version that this program speaks.
pub(super) const VERSION: u32 = 1;

/// What the daemon is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Command {
    Status {
        /// Whether each open session is wanted too.
        #[serde(default)]
        sessions: bool,
        /// Whether what plugins did is wanted too.
        #[serde(default)]
        plugins: bool,
        /// Whether files that have changed since they were loaded are to be looked for.
        #[serde(default)]
        files: bool,
        /// Whether the refusals of the last hour are wanted too. The page alone asks for them.
        #[serde(skip)]
        refusals: bool,
    },
    /// Answered when the new generation serves, or when it is clear that it will not.
    Reload,
    /// Answered when the program that is on disk now serves, or when it is clear that it will not.
    Upgrade,
    Drain {
        /// How long the open sessions may go on.
        limit_seconds: u64,
        /// Whether the answer is wanted when the daemon ends, or at once.
        #[serde(default)]
        wait: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) command: Command,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Outcome {
    Status(Box<Status>),
    Reloaded {
        generation: u64,
    },
    /// Another process serves now.
    Upgraded {
        pid: u32,
        /// Sessions that go on in the process that answers.
        sessions: u64,
    },
    /// The daemon ends when these sessions have.
    Draining {
        sessions: u64,
    },
    /// The daemon ends now.
    Drained {
        /// Sessions that were still open at the limit.
        cut_off: u64,
    },
    Failed {
        error: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// The request in a line, or the answer that says what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Command, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // The error quotes what was sent, which may have lines of its own.
    let wrong = |error: serde_json::Error| {
        let error = shown::text(&error.to_string());
        format!(
            "not a request: {error}; a request is one line such as \
             {{\"version\":{VERSION},\"command\":\"status\"}}"
        )
    };
    let Versioned { version } = serde_json::from_slice(line).map_err(wrong)?;
    if version != VERSION {
        return Err(format!(
            "the request has version {version}, this daemon speaks version {VERSION}: use the \
             camelpost program that the daemon was started from"
        ));
    }
    serde_json::from_slice(line)
        .map(|request: Request| request.command)
        .map_err(wrong)
}

/// A line with its end.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    // Serializing these types into memory cannot fail: no map has keys other than strings.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_outcome_comes_back_as_it_was() {
        for command in [
            Command::Status {
                sessions: true,
                plugins: true,
                files: true,
                refusals: false,
            },
            Command::Reload,
            Command::Upgrade,
            Command::Drain {
                limit_seconds: 5,
                wait: true,
            },
        ] {
            let request = Request {
                version: VERSION,
                command: command.clone(),
            };
            assert_eq!(parse(&line(&request)), Ok(command));
        }
        for outcome in [
            Outcome::Reloaded { generation: 7 },
            Outcome::Upgraded {
                pid: 4711,
                sessions: 2,
            },
            Outcome::Draining { sessions: 1 },
            Outcome::Drained { cut_off: 0 },
            Outcome::Failed {
                error: "two\nlines".into(),
            },
        ] {
            let sent = line(&Reply {
                version: VERSION,
                outcome: outcome.clone(),
            });
            assert_eq!(sent.iter().filter(|byte| **byte == b'\n').count(), 1);
            let reply: Reply = serde_json::from_slice(&sent).unwrap();
            assert_eq!(reply.outcome, outcome);
        }
    }

    #[test]
    fn what_may_be_left_out_has_its_default() {
        assert_eq!(
            parse(br#"{"version":1,"command":"status"}"#),
            Ok(Command::Status {
                sessions: false,
                plugins: false,
                files: false,
                refusals: false,
            })
        );
    }

    #[test]
    fn a_wrong_request_is_explained() {
        for (request, part) in [
            ("", "not a request"),
            ("status", "not a request"),
            ("[]", "not a request"),
            (r#"{"command":"status"}"#, "version"),
            (r#"{"version":2,"command":"status"}"#, "version 2"),
            (r#"{"version":1,"command":"fly"}"#, "fly"),
            (
                r#"{"version":1,"command":"drain","limit_seconds":-1}"#,
                "limit",
            ),
        ] {
            let problem = parse(request.as_bytes()).unwrap_err();
            assert!(problem.contains("request"), "{problem}");
            if part != "limit" {
                assert!(problem.contains(part), "no {part} in {problem}");
            }
        }
    }
}
