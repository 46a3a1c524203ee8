//! The command loop, the table of commands, and the table of responders that a plugin's
//! `run_hooks` reaches. What a command does stands in the file of its theme.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use super::core::{Conversation, Flow, Input, LOGDEBUG, LOGERROR, LOGINFO};
use super::step::{Listed, Step};
use crate::hook::{Arg, Hook, Method, Verdict};
use crate::mail::Note;
use crate::smtp::split_command;

type Pending<'a> = Pin<Box<dyn Future<Output = Flow> + 'a>>;
type Handler = for<'a> fn(&'a Conversation, Option<&'a [u8]>) -> Pending<'a>;

/// The verbs, and what each of them calls with the rest of its line.
const COMMANDS: &[(&[u8], Handler)] = &[
    (b"helo", |session, rest| Box::pin(session.helo(rest))),
    (b"ehlo", |session, rest| Box::pin(session.ehlo(rest))),
    (b"auth", |session, rest| Box::pin(session.auth(rest))),
    (b"mail", |session, rest| Box::pin(session.mail(rest))),
    (b"rcpt", |session, rest| Box::pin(session.rcpt(rest))),
    (b"data", |session, _| Box::pin(session.data())),
    (b"rset", |session, _| Box::pin(session.rset())),
    (b"vrfy", |session, _| Box::pin(session.vrfy())),
    (b"noop", |session, _| Box::pin(session.noop())),
    (b"help", |session, rest| Box::pin(session.help(rest))),
    (b"quit", |session, _| Box::pin(session.quit())),
];

impl Conversation {
    /// A command line as the log may have it: without what AUTH PLAIN brings, as in 1.00, unless everything
    /// is to be logged.
    async fn without_credentials<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        if credentials_in(line).is_none() {
            return Cow::Borrowed(line);
        }
        let level = self.config("loglevel").await.unwrap_or_default();
        let level = String::from_utf8_lossy(&level).trim().parse::<u8>();
        match level.is_ok_and(|level| level >= LOGDEBUG) {
            true => Cow::Borrowed(line),
            false => without_credentials(line),
        }
    }

    /// Serves commands until the session ends.
    pub(super) async fn command_loop(&self) -> Flow {
        loop {
            let input = self.read_line().await?;
            let has_command = matches!(input, Input::Line(_));
            self.state.has_command.set(has_command);
            match input {
                Input::Line(line) => {
                    let notes = &self.connection().notes;
                    notes.set(b"original_string", Note::of_client(&line));
                    let shown = self.without_credentials(&line).await;
                    self.log(LOGINFO, [b"dispatching ", &shown[..]].concat());
                    let flow = match self.look_ahead(&split_command(&line).0).await {
                        Ok(()) => self.dispatch(&line).await,
                        ended => ended,
                    };
                    // A `disconnect` of somebody else's may let the session go on.
                    if flow.is_err() && self.state.disconnected.get() {
                        return flow;
                    }
                    self.count(&line).await?;
                }
                Input::TooLong => {
                    self.say(500, "Line too long").await;
                    self.count(b"").await?;
                }
                Input::Bare(bare) => {
                    self.refuse_line(bare).await?;
                    self.count(b"").await?;
                }
                Input::Eof => return Err(self.hang_up().await),
            }
        }
    }

    pub(super) async fn dispatch(&self, line: &[u8]) -> Flow {
        if !self.is_replaced(Method::Dispatch) {
            return self.obey(line).await;
        }
        let (verb, rest) = match memchr::memchr(b' ', line) {
            Some(at) => (&line[..at], Some(line[at..].trim_ascii_start())),
            None => (line, None),
        };
        let mut args = vec![Arg::of_client(verb)];
        args.extend(rest.map(Arg::of_client));
        let flow = self.call(Method::Dispatch, args).await.map(|_| ());
        self.settle(verb, flow).await
    }

    /// Obeys one command line.
    pub(super) async fn obey(&self, line: &[u8]) -> Flow {
        let commands = &self.state.commands;
        commands.set(commands.get() + 1);
        let (verb, rest) = split_command(line);
        let flow = self.command(&verb, rest.as_deref()).await;
        self.settle(&verb, flow).await
    }

    /// Obeys a command whose verb is in lower case.
    pub(super) async fn command(&self, verb: &[u8], rest: Option<&[u8]>) -> Flow {
        if verb == b"auth" && self.auth_needs_tls() {
            let text = "Encryption required for requested authentication mechanism";
            self.say(538, text).await;
            return Ok(());
        }
        let listed = self.ask(|to| Step::Verb(verb.to_vec(), to)).await;
        match (Method::of_verb(verb), listed) {
            // AUTH does not exist before EHLO has offered it.
            (Some(Method::Auth), Listed::NoTable) if !self.state.auth_offered.get() => {}
            (Some(method), Listed::Yes | Listed::NoTable) => {
                return match self.is_replaced(method) {
                    true => self.command_by_method(method, rest).await,
                    false => self.own_command(verb, rest).await,
                };
            }
            (None, Listed::Yes) => {
                self.obey_plugin(verb, rest).await;
                return Ok(());
            }
            _ => {}
        }
        self.unrecognized_command(verb, rest).await
    }

    /// A command of the session's own, by its own code.
    pub(super) async fn own_command(&self, verb: &[u8], rest: Option<&[u8]>) -> Flow {
        match COMMANDS.iter().find(|(known, _)| *known == verb) {
            Some((_, handler)) => handler(self, rest).await,
            None => self.unrecognized_command(verb, rest).await,
        }
    }

    /// A verb of a plugin's. That its method gave nothing means, as in the original, that it
    /// failed, whatever it has said to the client.
    async fn obey_plugin(&self, verb: &[u8], rest: Option<&[u8]>) {
        let obey = |to| Step::Obey {
            verb: verb.to_vec(),
            rest: rest.map(<[u8]>::to_vec),
            to,
        };
        if !self.ask(obey).await {
            let verb = String::from_utf8_lossy(verb);
            let failure = format!("command '{verb}' failed unexpectedly");
            self.log(LOGERROR, format!("fault: {failure}"));
            self.say(451, format!("Internal error - try again later - {failure}"))
                .await;
        }
    }

    /// What the session itself does with a verdict.
    pub(super) fn respond_to<'a>(
        &'a self,
        hook: Hook,
        verdict: &'a Verdict,
        args: &'a [Arg],
    ) -> Pending<'a> {
        // Boxed, as responders run further hooks: queue_pre leads to queue.
        Box::pin(self.own_response(hook, verdict, args))
    }

    async fn own_response(&self, hook: Hook, verdict: &Verdict, args: &[Arg]) -> Flow {
        let responder = match Method::responder(hook) {
            Some(responder) => responder,
            // The one that has no method of its own.
            None if hook == Hook::DataHeadersEnd => {
                return self.data_headers_end_respond(verdict).await;
            }
            None => return Ok(()),
        };
        match responder {
            Method::ConnectRespond => self.connect_respond(verdict).await,
            Method::HeloRespond => self.helo_respond(verdict, args).await,
            Method::EhloRespond => self.ehlo_respond(verdict, args).await,
            Method::AuthParseRespond => self.auth_parse_respond(verdict, args).await,
            Method::MailParseRespond => self.mail_parse_respond(verdict, args).await,
            Method::MailPreRespond => self.mail_pre_respond(verdict, args).await,
            Method::RcptParseRespond => self.rcpt_parse_respond(verdict, args).await,
            Method::RcptPreRespond => self.rcpt_pre_respond(verdict, args).await,
            Method::MailRespond => self.mail_respond(verdict, args).await,
            Method::RcptRespond => self.rcpt_respond(verdict, args).await,
            Method::DataRespond => self.data_respond(verdict).await,
            Method::DataPostRespond => self.data_post_respond(verdict).await,
            Method::QueuePreRespond => self.queue_pre_respond(verdict).await,
            Method::QueueRespond => self.queue_respond(verdict).await,
            Method::QueuePostRespond => {
                self.queue_post_respond(verdict).await;
                Ok(())
            }
            Method::VrfyRespond => self.vrfy_respond(verdict).await,
            Method::NoopRespond => self.noop_respond(verdict).await,
            Method::HelpRespond => self.help_respond(verdict).await,
            Method::QuitRespond => self.quit_respond(verdict).await,
            Method::UnrecognizedCommandRespond => {
                self.unrecognized_command_respond(verdict, args).await
            }
            _ => Ok(()),
        }
    }
}

/// A command line without what AUTH PLAIN brings.
fn without_credentials(line: &[u8]) -> Cow<'_, [u8]> {
    match credentials_in(line) {
        Some(at) => [&line[..at], b"<hidden credentials>"].concat().into(),
        None => Cow::Borrowed(line),
    }
}

/// Where what AUTH PLAIN brings with it begins.
fn credentials_in(line: &[u8]) -> Option<usize> {
    let mut at = 0;
    for word in ["auth", "plain"] {
        let rest = line.get(at..)?;
        let end = memchr::memchr(b' ', rest)?;
        if !rest[..end].eq_ignore_ascii_case(word.as_bytes()) {
            return None;
        }
        at += end + rest[end..].iter().take_while(|byte| **byte == b' ').count();
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::credentials_in;

    #[test]
    fn what_auth_plain_brings_is_found_behind_any_spaces_and_in_any_case() {
        assert_eq!(credentials_in(b"AUTH PLAIN AGEAYg=="), Some(11));
        assert_eq!(credentials_in(b"auth   Plain  AGEAYg=="), Some(14));
        assert_eq!(credentials_in(b"AUTH PLAIN"), None);
        assert_eq!(credentials_in(b"AUTH LOGIN dXNlcg=="), None);
        assert_eq!(credentials_in(b"NOOP AUTH PLAIN x"), None);
        assert_eq!(credentials_in(b""), None);
    }
}
