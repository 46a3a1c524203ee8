//! The beginning of a session: pre-connection, connect and the server's greeting, HELO and
//! EHLO with what the server offers.

use super::core::{Conversation, Ended, Flow, LOGNOTICE, verdict_lines};
use super::state::SessionSettings;
use super::step::Step;
use crate::hook::{Arg, Code, Hook, Verdict};
use crate::mail::{HELLO_HOST, Note};
use crate::smtp::{Reply, split_arguments};

/// What greetings, HELP and Received lines call this server.
pub const PRODUCT: &str = "camelpost";

impl Conversation {
    /// A whole session.
    pub(super) async fn converse(&self) -> Flow {
        self.pre_connection().await?;
        self.ask(Step::LookUpClient).await;
        let flow = self.connect().await;
        if flow.is_err() && self.state.disconnected.get() {
            return flow;
        }
        self.command_loop().await
    }

    async fn pre_connection(&self) -> Flow {
        // There may be thousands of them: they are not kept for the session's life.
        let Some(neighbours) = self.state.neighbours.take() else {
            return Ok(());
        };
        let connection = self.connection();
        let bytes = |value: &Option<Vec<u8>>| value.clone().map_or(Arg::Undef, Arg::Bytes);
        let port = |value: Option<i64>| value.map_or(Arg::Undef, Arg::Int);
        let args = vec![
            Arg::from("remote_ip"),
            bytes(&connection.remote_ip.borrow()),
            Arg::from("remote_port"),
            port(connection.remote_port.get()),
            Arg::from("local_ip"),
            bytes(&connection.local_ip.borrow()),
            Arg::from("local_port"),
            port(connection.local_port.get()),
            Arg::from("max_conn_ip"),
            Arg::Int(neighbours.max_conn_ip),
            Arg::from("child_addrs"),
            Arg::List(neighbours.child_addrs),
        ];
        let verdict = self.hook(Hook::PreConnection, args).await;
        let (code, default) = match verdict.code {
            Code::Deny | Code::DenyDisconnect => (550, "Sorry, service not available for you"),
            Code::DenySoft | Code::DenySoftDisconnect => (451, "Sorry, try again later"),
            _ => return Ok(()),
        };
        // The session has not begun: its reply is not logged as the others are, and neither
        // disconnect nor post-connection run.
        let lines = verdict_lines(&verdict, default.as_bytes());
        let reply = Reply::lines(code, lines).in_form(self.state.reply_form());
        self.tell(|to| Step::Reply(reply, to));
        self.state.disconnected.set(true);
        Err(Ended)
    }

    async fn connect(&self) -> Flow {
        let mut text = b"Connection from ".to_vec();
        text.extend_from_slice(&self.client());
        self.log(LOGNOTICE, text);
        let flow = self.run_hooks(Hook::Connect, Vec::new()).await;
        self.settle(b"connect", flow).await
    }

    pub(super) async fn connect_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::Deny | Code::DenyDisconnect => {
                self.reply_verdict(550, verdict, "Connection from you denied, bye bye.")
                    .await;
                Err(self.disconnect().await)
            }
            Code::DenySoft | Code::DenySoftDisconnect => {
                let default = "Connection from you temporarily denied, bye bye.";
                self.reply_verdict(450, verdict, default).await;
                Err(self.disconnect().await)
            }
            Code::Done => Ok(()),
            _ => {
                self.look_before_greeting().await?;
                let greeting = self.greeting().await;
                self.say(220, greeting).await;
                Ok(())
            }
        }
    }

    async fn greeting(&self) -> Vec<u8> {
        if let Some(mut greeting) = self.config("smtpgreeting").await {
            self.state.version_hidden.set(true);
            if !has_word(&greeting, b"ESMTP") {
                greeting.extend_from_slice(b" ESMTP");
            }
            return greeting;
        }
        let mut greeting = self.me().await;
        let SessionSettings {
            product, version, ..
        } = &*self.state.settings;
        let rest =
            format!(" ESMTP {product} {version} ready; send us your mail, but not your spam.");
        greeting.extend_from_slice(rest.as_bytes());
        greeting
    }

    pub(super) async fn helo(&self, rest: Option<&[u8]>) -> Flow {
        self.hello("helo", Hook::HeloParse, Hook::Helo, rest).await
    }

    pub(super) async fn ehlo(&self, rest: Option<&[u8]>) -> Flow {
        self.hello("ehlo", Hook::EhloParse, Hook::Ehlo, rest).await
    }

    async fn hello(
        &self,
        verb: &'static str,
        parse: Hook,
        hook: Hook,
        rest: Option<&[u8]>,
    ) -> Flow {
        let verdict = self.hook(parse, Vec::new()).await;
        let args: Vec<Arg> = match self.parse_with(&verdict, verb, rest).await {
            // The first value of a parser is not looked at.
            Some(values) => values.into_iter().skip(1).collect(),
            None => {
                let words = split_arguments(rest.unwrap_or_default());
                words.into_iter().map(Arg::Client).collect()
            }
        };
        let host = args.first().and_then(Arg::text);
        if !host.is_some_and(super::core::is_true) {
            let text = format!("{verb} requires domain/address - see RFC-2821 4.1.1.1");
            self.say(501, text).await;
            return Ok(());
        }
        if self.connection().has_greeted() {
            self.say(503, "but you already said HELO ...").await;
            return Ok(());
        }
        self.run_hooks(hook, args).await
    }

    /// Calls the parser that a parse hook gave; `None` where it gave none, or where there is
    /// nothing behind the verb to be parsed.
    pub(super) async fn parse_with(
        &self,
        verdict: &Verdict,
        verb: &str,
        rest: Option<&[u8]>,
    ) -> Option<Vec<Arg>> {
        let parser = verdict.parser.as_ref()?.share();
        let (verb, rest) = (verb.as_bytes().to_vec(), rest?.to_vec());
        let step = |to| Step::Parse {
            parser,
            verb,
            rest,
            to,
        };
        Some(self.ask(step).await)
    }

    pub(super) async fn helo_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        if self.hello_refused(verdict).await? {
            return Ok(());
        }
        self.said_hello(b"helo", args);
        let mut text = self.hi().await;
        text.extend_from_slice(b"; I am so happy to meet you.");
        self.say(250, text).await;
        Ok(())
    }

    pub(super) async fn ehlo_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        if self.hello_refused(verdict).await? {
            return Ok(());
        }
        self.said_hello(b"ehlo", args);
        let auth = self.offered_mechanisms().await;
        let mut lines = vec![self.hi().await];
        lines.push(b"PIPELINING".to_vec());
        lines.push(b"8BITMIME".to_vec());
        if let Some(databytes) = self.config("databytes").await {
            lines.push([b"SIZE ", &databytes[..]].concat());
        }
        lines.extend(self.capabilities().await);
        lines.append(&mut self.transaction().capabilities.borrow_mut());
        if let Some(mechanisms) = auth {
            lines.push([b"AUTH ", &mechanisms[..]].concat());
        }
        self.reply(250, lines).await;
        Ok(())
    }

    /// Answers a verdict that is not in the client's favour; `true` where that is all.
    async fn hello_refused(&self, verdict: &Verdict) -> Result<bool, Ended> {
        let (code, default) = match verdict.code {
            Code::Deny | Code::DenyDisconnect => (550, "Greeting denied"),
            Code::DenySoft | Code::DenySoftDisconnect => (450, "Greeting temporarily denied"),
            Code::Done => return Ok(true),
            _ => return Ok(false),
        };
        self.reply_verdict(code, verdict, default).await;
        if verdict.code.disconnects() {
            return Err(self.disconnect().await);
        }
        Ok(true)
    }

    fn said_hello(&self, hello: &[u8], args: &[Arg]) {
        let connection = self.connection();
        connection.hello.replace(Some(hello.to_vec()));
        match args.first() {
            Some(Arg::Bytes(host)) => {
                connection.faces.clear(HELLO_HOST);
                connection.hello_host.replace(Some(host.clone()));
            }
            Some(Arg::Client(host)) => {
                connection.tell(HELLO_HOST, &connection.hello_host, host.clone());
            }
            _ => {}
        }
    }

    async fn hi(&self) -> Vec<u8> {
        let mut text = self.me().await;
        text.extend_from_slice(b" Hi ");
        let connection = self.connection();
        if let Some(info) = connection.remote_info.borrow().as_deref() {
            text.extend_from_slice(info);
        }
        text.extend_from_slice(b" [");
        if let Some(ip) = connection.remote_ip.borrow().as_deref() {
            text.extend_from_slice(ip);
        }
        text.push(b']');
        text
    }

    /// `host [ip]`.
    fn client(&self) -> Vec<u8> {
        let connection = self.connection();
        let mut text = connection.remote_info.borrow().clone().unwrap_or_default();
        text.extend_from_slice(b" [");
        text.extend_from_slice(connection.remote_ip.borrow().as_deref().unwrap_or_default());
        text.push(b']');
        text
    }

    /// The lines that plugins add to the reply to EHLO.
    async fn capabilities(&self) -> Vec<Vec<u8>> {
        match self.transaction().notes.get(b"capabilities") {
            Some(Note::Foreign(_)) => self.ask(Step::Capabilities).await,
            // A native plugin leaves its lines in one note.
            Some(note) => {
                let text = note.bytes().unwrap_or_default();
                let lines = text.split(|byte| *byte == b'\n');
                lines.map(<[u8]>::to_vec).collect()
            }
            None => Vec::new(),
        }
    }
}

/// Whether `word` stands in `text` with no letter, digit or underscore beside it.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let in_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    memchr::memmem::find_iter(text, word).any(|at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        !in_word(before) && !in_word(text.get(at + word.len()))
    })
}
