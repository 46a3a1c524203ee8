//! A session's hands: what the code of commands and responders uses to talk to the client, to
//! run hooks, to ask the configuration and to log. Decides nothing about SMTP.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::machine::Steps;
use super::state::State;
use super::step::{Answer, ReadEvent, Step, To};
use crate::config::BareLineEnds;
use crate::hook::{Arg, Method, Verdict};
use crate::mail::{Connection, Shown, Transaction};
use crate::smtp::{BareByte, CommandLines, LineEvent, MAX_COMMAND_LINE, Reply};

pub(super) use crate::base::log::{LOGALERT, LOGDEBUG, LOGERROR, LOGINFO, LOGNOTICE, LOGWARN};

/// The session is over: its last hooks have run, and nothing of it may go on.
#[derive(Debug)]
pub(super) struct Ended;

/// Whether the session goes on.
pub(super) type Flow = Result<(), Ended>;

/// What the client sent next.
pub(super) enum Input {
    Line(Vec<u8>),
    TooLong,
    /// With an octet that `bare_line_ends` does not allow.
    Bare(BareByte),
    Eof,
}

/// The session's hands: its state, and the way to whoever carries its steps out.
pub(super) struct Conversation {
    pub state: Rc<State>,
    steps: Steps,
    lines: RefCell<CommandLines>,
}

impl Conversation {
    pub(super) fn new(state: Rc<State>, steps: Steps) -> Conversation {
        let lines = CommandLines::new(MAX_COMMAND_LINE, state.settings.strictness.bare_line_ends);
        Conversation {
            state,
            steps,
            lines: RefCell::new(lines),
        }
    }

    pub(super) fn connection(&self) -> Rc<Shown<Connection>> {
        self.state.connection.borrow().clone()
    }

    pub(super) fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.state.transaction.borrow().clone()
    }

    /// Gives a step and waits for its answer.
    pub(super) async fn ask<T: Answer>(&self, step: impl FnOnce(To<T>) -> Step) -> T {
        self.steps.ask(step).await
    }

    /// Gives a step that has nothing to answer; it is carried out before the next one that has.
    pub(super) fn tell(&self, step: impl FnOnce(To<()>) -> Step) {
        self.steps.tell(step(To::new()));
    }

    /// A reply with one line.
    pub(super) async fn say(&self, code: u16, text: impl AsRef<[u8]>) {
        self.reply(code, vec![text.as_ref().to_vec()]).await;
    }

    /// A reply; each of its lines is logged as it goes to the client.
    pub(super) async fn reply(&self, code: u16, mut lines: Vec<Vec<u8>>) {
        lines.retain(|line| !line.is_empty());
        if code >= 400 && self.state.settings.show_id.refused {
            self.add_id(&mut lines);
        }
        self.state.counts.replied(code);
        if self.is_replaced(Method::Respond) {
            let mut args = vec![Arg::Int(code.into())];
            args.extend(lines.into_iter().map(Arg::Bytes));
            self.try_call(Method::Respond, args).await;
            return;
        }
        let reply = Reply::lines(code, lines).in_form(self.state.reply_form());
        for line in reply.written() {
            self.log(LOGINFO, line);
        }
        self.tell(|to| Step::Reply(reply, to));
    }

    /// The client can name the message, or what was refused, to who reads the log.
    pub(super) fn add_id(&self, lines: &mut [Vec<u8>]) {
        let id = self.state.id();
        if let Some(last) = lines.last_mut()
            && !id.is_empty()
        {
            last.extend_from_slice(format!(" ({id})").as_bytes());
        }
    }

    /// A reply with a verdict's texts. Where there is none, or the first is not true in Perl's
    /// sense, `default` stands in its place.
    pub(super) async fn reply_verdict(
        &self,
        code: u16,
        verdict: &Verdict,
        default: impl AsRef<[u8]>,
    ) {
        self.reply(code, verdict_lines(verdict, default.as_ref()))
            .await;
    }

    pub(super) fn log(&self, level: u8, text: impl Into<Vec<u8>>) {
        let text = text.into();
        self.tell(|to| Step::Log { level, text, to });
    }

    /// The first value of a config file, where it is true in Perl's sense.
    pub(super) async fn config(&self, name: &'static str) -> Option<Vec<u8>> {
        let values = self.config_lines(name).await;
        values.into_iter().next().filter(|value| is_true(value))
    }

    /// All values of a config file.
    pub(super) async fn config_lines(&self, name: &'static str) -> Vec<Vec<u8>> {
        self.ask(|to| Step::Config(name, to)).await
    }

    /// The present time.
    pub(super) async fn now(&self) -> SystemTime {
        self.ask(Step::Now).await
    }

    /// `me` as the configuration has it now.
    pub(super) async fn me(&self) -> Vec<u8> {
        match self.config("me").await {
            Some(me) => me,
            None => self.state.settings.me.clone(),
        }
    }

    /// `databytes`: the size that a message may have, if it is limited.
    pub(super) async fn databytes(&self) -> Option<u64> {
        let value = self.config("databytes").await?;
        Some(leading_number(&value)).filter(|limit| *limit > 0)
    }

    /// Waits for bytes from the client; a client that takes too long ends the session.
    pub(super) async fn read(&self) -> Result<ReadEvent, Ended> {
        let timeout = self.timeout().await;
        match self.ask(|to| Step::Read { timeout, to }).await {
            ReadEvent::TimedOut => {
                self.say(421, "Connection Timed Out").await;
                Err(self.hang_up().await)
            }
            event => Ok(event),
        }
    }

    /// Reads on within a message, for which there is the method `getline`.
    pub(super) async fn read_message(&self) -> Result<ReadEvent, Ended> {
        if !self.is_replaced(Method::Getline) {
            return self.read().await;
        }
        let timeout = self.timeout().await.as_secs();
        let args = vec![Arg::Int(i64::try_from(timeout).unwrap_or(i64::MAX))];
        match self.call(Method::Getline, args).await?.first {
            Some(line) if !line.is_empty() => {
                self.state.input.borrow_mut().push(&line);
                Ok(ReadEvent::Bytes)
            }
            _ => Ok(ReadEvent::Eof),
        }
    }

    /// The next line from the client. A last line without its end is a line, too.
    pub(super) async fn read_line(&self) -> Result<Input, Ended> {
        loop {
            let event = {
                let mut input = self.state.input.borrow_mut();
                self.lines.borrow_mut().next(&mut input)
            };
            match event {
                LineEvent::Line(line) => return Ok(Input::Line(line)),
                LineEvent::TooLong => return Ok(Input::TooLong),
                LineEvent::Bare(bare) => return Ok(Input::Bare(bare)),
                LineEvent::Incomplete => {}
            }
            if self.read().await? == ReadEvent::Eof {
                let rest = self.state.input.borrow_mut().take();
                return Ok(match rest.len() {
                    0 => Input::Eof,
                    1..=MAX_COMMAND_LINE => match self.lines.borrow().judge(&rest) {
                        LineEvent::Bare(bare) => Input::Bare(bare),
                        _ => Input::Line(rest),
                    },
                    _ => Input::TooLong,
                });
            }
        }
    }

    /// The reply to a line with an octet that is none of a line's. Where that is no slip of the client's
    /// but a reason to doubt where its lines end, it is sent away.
    pub(super) async fn refuse_line(&self, bare: BareByte) -> Flow {
        let text = format!("Line has a bare {}: lines must end in CR LF", bare.name());
        if self.state.settings.strictness.bare_line_ends != BareLineEnds::Reject {
            self.say(501, text).await;
            return Ok(());
        }
        self.say(521, text).await;
        Err(self.disconnect().await)
    }

    async fn timeout(&self) -> Duration {
        if let Some(timeout) = self.state.timeout.get() {
            return timeout;
        }
        let mut configured = self.config("timeoutsmtpd").await;
        if configured.is_none() {
            configured = self.config("timeout").await;
        }
        let timeout = configured
            .map(|value| leading_number(&value))
            .filter(|seconds| *seconds > 0)
            .map_or(self.state.settings.timeout, Duration::from_secs);
        self.state.timeout.set(Some(timeout));
        timeout
    }
}

/// See `Session::reply_verdict`.
pub(super) fn verdict_lines(verdict: &Verdict, default: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = verdict.lines();
    lines.retain(|line| !line.is_empty());
    match lines.first_mut() {
        Some(first) if !is_true(first) => *first = default.to_vec(),
        Some(_) => {}
        None => lines.push(default.to_vec()),
    }
    lines
}

/// Truth in Perl's sense.
pub(super) fn is_true(text: &[u8]) -> bool {
    !text.is_empty() && text != b"0"
}

/// A text as a number in Perl's sense, for those that are not negative.
pub(super) fn leading_number(text: &[u8]) -> u64 {
    text.trim_ascii_start()
        .iter()
        .map_while(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')))
        .fold(0u64, |number, digit| {
            number.saturating_mul(10).saturating_add(digit)
        })
}
