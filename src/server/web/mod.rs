//! The page for people (`--web`): what the daemon does now, and what was refused in the last hour. It only shows;
//! it has no forms, no cookies, and nothing from elsewhere. Who may reach it is decided by its address alone.

#![forbid(unsafe_code)]

mod page;
mod parts;
mod refusals;

use super::control::{Command, Status};
use super::http::{Answer, Head, OK, PLAIN, Refusal, Site, UNAVAILABLE};

/// Even a name of a plugin that was not escaped could load or run nothing, and no other site can frame the page
/// or read of it.
const HEADERS: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Web {
    Page,
    Style,
    Script,
}

impl Site for Web {
    const WHAT: &'static str = "the page";
    const OPTION: &'static str = "--web";
    const IS_PRIVATE: bool = true;

    fn page(head: &Head) -> Result<Web, Refusal> {
        match &head.path[..] {
            "/" => Ok(Web::Page),
            "/page.css" => Ok(Web::Style),
            "/page.js" => Ok(Web::Script),
            _ => Err(Refusal::NOT_HERE),
        }
    }

    fn command(self) -> Option<Command> {
        (self == Web::Page).then_some(Command::Status {
            sessions: true,
            plugins: true,
            files: false,
            refusals: true,
        })
    }

    fn answer(self, status: Option<&Status>) -> Answer {
        let mut answer = match (self, status) {
            (Web::Style, _) => file("text/css", include_str!("page.css")),
            (Web::Script, _) => file("text/javascript", include_str!("page.js")),
            (Web::Page, Some(status)) => {
                let page = page::page(status).into_string();
                Answer::new(OK, "text/html; charset=utf-8", page)
            }
            (Web::Page, None) => Answer::new(UNAVAILABLE, PLAIN, String::new()),
        };
        answer.headers = HEADERS;
        answer
    }
}

fn file(content_type: &'static str, text: &str) -> Answer {
    Answer::new(OK, content_type, text.to_owned())
}
