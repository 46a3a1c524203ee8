//! The metrics endpoint (`--metrics`): `GET /metrics` for Prometheus and `GET /healthz` for monitors.

#![forbid(unsafe_code)]

mod text;

use super::control::{Command, Status};
use super::http::{Answer, Head, OK, PLAIN, Refusal, Site, UNAVAILABLE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metrics {
    Text,
    /// Whether mail is taken.
    Health,
}

impl Site for Metrics {
    const WHAT: &'static str = "metrics";
    const IS_PRIVATE: bool = false;
    const OPTION: &'static str = "--metrics";

    fn page(head: &Head) -> Result<Metrics, Refusal> {
        match &head.path[..] {
            "/metrics" => Ok(Metrics::Text),
            "/healthz" => Ok(Metrics::Health),
            _ => Err(Refusal::NOT_HERE),
        }
    }

    fn command(self) -> Option<Command> {
        Some(Command::Status {
            sessions: false,
            plugins: self == Metrics::Text,
            files: false,
            refusals: false,
        })
    }

    fn answer(self, status: Option<&Status>) -> Answer {
        let Some(status) = status else {
            return Answer::new(UNAVAILABLE, PLAIN, String::new());
        };
        match (self, status.trouble()) {
            (Metrics::Text, _) => Answer::new(OK, text::CONTENT_TYPE, text::metrics(status)),
            (Metrics::Health, None) => Answer::new(OK, PLAIN, "ok\n".to_owned()),
            (Metrics::Health, Some(why)) => Answer::new(UNAVAILABLE, PLAIN, format!("{why}\n")),
        }
    }
}
