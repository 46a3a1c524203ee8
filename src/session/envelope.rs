//! The envelope: MAIL and RCPT with their parsers, `mail_pre` and `rcpt_pre`.

use std::rc::Rc;

use super::core::{Conversation, Flow, LOGDEBUG, LOGINFO, is_true, verdict_lines};
use super::step::Step;
use crate::hook::{Arg, Code, Hook, Verdict};
use crate::mail::{EnvelopeAddress, Note, Shown};
use crate::smtp::{Address, Parameter, parameters, parse_mail_or_rcpt};

/// A path, undefined where a command has no arguments, and names and values of parameters in turns.
type Path = (Option<Vec<u8>>, Vec<Arg>);

impl Conversation {
    pub(super) async fn mail(&self, rest: Option<&[u8]>) -> Flow {
        // MAIL begins a transaction; that it ends the one before is what the original does in
        // place of a 503.
        self.reset_transaction().await;
        let begun = self.connection().transactions.get();
        self.connection().transactions.set(begun.saturating_add(1));
        let id = self.state.id();
        if !id.is_empty() {
            let notes = &self.transaction().notes;
            notes.set(b"transaction_id", Note::Bytes(id.into_bytes()));
        }
        self.state.utf8_replies.set(false);
        if !self.connection().has_greeted() {
            self.say(503, "please say hello first ...").await;
            return Ok(());
        }
        let text = [b"full from_parameter: ", rest.unwrap_or_default()].concat();
        self.log(LOGDEBUG, text);
        self.note_path(b"envelope_from", rest);
        let args = vec![rest.map_or(Arg::Undef, Arg::of_client)];
        self.run_hooks(Hook::MailParse, args).await
    }

    pub(super) async fn mail_parse_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        match self.path("mail", verdict, args).await {
            Ok((path, params)) => self.run_hooks(Hook::MailPre, pre_args(path, params)).await,
            Err(reason) => {
                self.say(501, reason).await;
                Ok(())
            }
        }
    }

    pub(super) async fn mail_pre_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        let (path, params) = chosen(verdict, args);
        let names = params.iter().step_by(2);
        let utf8 = names
            .filter_map(Arg::text)
            .any(|name| name.eq_ignore_ascii_case(b"smtputf8"));
        self.state.utf8_replies.set(utf8);
        self.log_path("from", &path).await;
        let Some(address) = self.reverse_path(path.as_deref()).await else {
            self.say(501, "could not parse your mail from command")
                .await;
            return Ok(());
        };
        if self.is_too_big(&params).await {
            self.say(552, "Message too big!").await;
            return Ok(());
        }
        let args = address_args(address, params);
        self.run_hooks(Hook::Mail, args).await
    }

    pub(super) async fn mail_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        let Some(Arg::Address(sender)) = args.first() else {
            return Ok(());
        };
        let path = sender.address.borrow().format();
        let temporary = verdict.code.is_temporary();
        match verdict.code {
            Code::Done => Ok(()),
            _ if verdict.code.is_denial() => {
                let (what, default): (_, &[u8]) = match temporary {
                    true => ("denysoft", b", temporarily denied"),
                    false => ("deny", b", denied"),
                };
                let lines = verdict_lines(verdict, &[&path, default].concat());
                let mut text = format!("{what} mail from ").into_bytes();
                text.extend_from_slice(&path);
                text.extend_from_slice(&in_parentheses(&lines));
                self.log(LOGINFO, text);
                let code = match verdict.code {
                    Code::DenySoft => 450,
                    Code::DenySoftDisconnect => 421,
                    _ => 550,
                };
                self.reply(code, lines).await;
                if verdict.code.disconnects() {
                    return Err(self.disconnect().await);
                }
                Ok(())
            }
            _ => {
                let text = [b"getting mail from ", &path[..]].concat();
                self.log(LOGDEBUG, text);
                let text: &[u8] = b", sender OK - how exciting to get mail from you!";
                self.say(250, [&path, text].concat()).await;
                self.transaction().sender.replace(Some(sender.clone()));
                Ok(())
            }
        }
    }

    pub(super) async fn rcpt(&self, rest: Option<&[u8]>) -> Flow {
        self.note_path(b"envelope_rcpt", rest);
        let args = vec![rest.map_or(Arg::Undef, Arg::of_client)];
        self.run_hooks(Hook::RcptParse, args).await
    }

    pub(super) async fn rcpt_parse_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        let (path, params) = match self.path("rcpt", verdict, args).await {
            Ok(found) => found,
            Err(reason) => {
                self.say(501, reason).await;
                return Ok(());
            }
        };
        if self.transaction().sender.borrow().is_none() {
            self.say(503, "Use MAIL before RCPT").await;
            return Ok(());
        }
        if self.has_enough_recipients() {
            // RFC 5321 4.5.3.1.10: what the client has is sent, and the rest in another transaction.
            self.say(452, "Too many recipients").await;
            self.state.counts.one_too_many();
            return Ok(());
        }
        self.run_hooks(Hook::RcptPre, pre_args(path, params)).await
    }

    /// So many, or so long, that a client with no end of them takes no more of the worker's memory.
    fn has_enough_recipients(&self) -> bool {
        let settings = &self.state.settings;
        let transaction = self.transaction();
        let recipients = transaction.recipients.borrow().len();
        let bytes = transaction.forward_bytes.get() as u64;
        settings.recipient_limit > 0 && recipients >= settings.recipient_limit
            || settings
                .limits
                .envelope_size
                .is_some_and(|limit| bytes >= limit)
    }

    pub(super) async fn rcpt_pre_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        let (path, params) = chosen(verdict, args);
        self.log_path("to", &path).await;
        let address = self.forward_path(path.as_deref()).await;
        let Some(address) = address.filter(|address| !address.is_null()) else {
            self.say(501, "could not parse recipient").await;
            return Ok(());
        };
        let args = address_args(address, params);
        self.run_hooks(Hook::Rcpt, args).await
    }

    pub(super) async fn rcpt_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        let Some(Arg::Address(recipient)) = args.first() else {
            return Ok(());
        };
        let (code, default) = match verdict.code {
            Code::Done => return Ok(()),
            Code::Ok => {
                let transaction = self.transaction();
                transaction.recipients.borrow_mut().push(recipient.clone());
                let mut text = recipient.address.borrow().format();
                let before = transaction.forward_bytes.get();
                transaction.forward_bytes.set(before + text.len());
                text.extend_from_slice(b", recipient ok");
                self.say(250, text).await;
                return Ok(());
            }
            Code::Deny => (550, "relaying denied"),
            Code::DenySoft => (450, "relaying denied"),
            Code::DenyDisconnect => (550, "delivery denied"),
            Code::DenySoftDisconnect => (421, "relaying denied"),
            _ => {
                self.say(450, "No plugin decided if relaying is allowed")
                    .await;
                return Ok(());
            }
        };
        let lines = verdict_lines(verdict, default.as_bytes());
        if verdict.code.disconnects() {
            let text = [b"delivery denied", &in_parentheses(&lines)[..]].concat();
            self.log(LOGDEBUG, text);
        }
        self.reply(code, lines).await;
        if verdict.code.disconnects() {
            return Err(self.disconnect().await);
        }
        Ok(())
    }

    /// What the client sent behind the verb, for plugins.
    fn note_path(&self, name: &[u8], rest: Option<&[u8]>) {
        let note = rest.map_or(Note::Undef, Note::of_client);
        self.connection().notes.set(name, note);
    }

    /// Takes the command apart, by a plugin's parser where there is one. `Err` holds the text
    /// of a 501.
    async fn path(
        &self,
        verb: &str,
        verdict: &Verdict,
        args: &[Arg],
    ) -> Result<(Arg, Vec<Parameter>), Vec<u8>> {
        let rest = first_bytes(args);
        if let Some(values) = self.parse_with(verdict, verb, rest).await {
            let mut values = accepted(values)?.into_iter();
            let path = values.next().unwrap_or(Arg::Undef);
            let words: Vec<Arg> = values.collect();
            let words = words.iter().filter_map(|word| Some(word.text()?.to_vec()));
            return Ok((path, parameters(&words.collect::<Vec<_>>())));
        }
        match rest {
            None => Ok((Arg::Undef, Vec::new())),
            Some(rest) => {
                let (path, params) = parse_mail_or_rcpt(verb.as_bytes(), rest)?;
                Ok((Arg::Client(path), params))
            }
        }
    }

    async fn reverse_path(&self, text: Option<&[u8]>) -> Option<Address> {
        let is_null = |text: &[u8]| {
            let bracketed = text.starts_with(b"<") && text.ends_with(b">");
            let undefined = memchr::memmem::find(text, b"[undefined]").is_some();
            text == b"<#@[]>" || (bracketed && undefined)
        };
        match text.is_some_and(is_null) {
            true => self.forward_path(Some(b"<>")).await,
            false => self.forward_path(text).await,
        }
    }

    /// The address; there must be `<>` around it.
    async fn forward_path(&self, text: Option<&[u8]>) -> Option<Address> {
        let path = text?.to_vec();
        let (user, host) = self.ask(|to| Step::Canonify(path, to)).await?;
        Some(Address::from_parts(Some(user), host))
    }

    async fn log_path(&self, direction: &str, path: &Option<Vec<u8>>) {
        let mut text = format!("{direction} email address : [").into_bytes();
        text.extend_from_slice(path.as_deref().unwrap_or_default());
        text.push(b']');
        self.log(LOGDEBUG, text);
    }

    /// Whether the client says (SIZE of RFC 1870) that the message will exceed `databytes`. It counts a
    /// CR in each line, which a message is taken without, and a line may hold nothing else: only what
    /// is too big without half of it is too big for sure.
    async fn is_too_big(&self, params: &[Arg]) -> bool {
        let mut params = params.chunks(2);
        let size = params.find_map(|pair| match pair {
            [name, value] if name.text() == Some(b"size") => value.text(),
            _ => None,
        });
        let Some(size) = size else {
            return false;
        };
        if size.is_empty() || !size.iter().all(u8::is_ascii_digit) {
            return false;
        }
        let size = super::core::leading_number(size);
        self.databytes().await.is_some_and(|limit| size / 2 > limit)
    }
}

/// What `mail_pre` and `rcpt_pre` get.
fn pre_args(path: Arg, params: Vec<Parameter>) -> Vec<Arg> {
    vec![path, Arg::Hash(params)]
}

/// `mail_pre` and `rcpt_pre` may have put another path in the place of the client's.
fn chosen(verdict: &Verdict, args: &[Arg]) -> Path {
    let path = match verdict.code {
        Code::Ok => verdict.values.first().cloned().flatten(),
        _ => first_bytes(args).map(<[u8]>::to_vec),
    };
    let params = match (&verdict.parameters, args.get(1)) {
        (Some(params), _) => params.clone(),
        (None, Some(Arg::Hash(params))) => {
            let pair = |(name, value): &Parameter| {
                let value = value.clone().map_or(Arg::Undef, Arg::Bytes);
                [Arg::Bytes(name.clone()), value]
            };
            params.iter().flat_map(pair).collect()
        }
        _ => Vec::new(),
    };
    (path, params)
}

pub(super) fn first_bytes(args: &[Arg]) -> Option<&[u8]> {
    args.first().and_then(Arg::text)
}

/// What a parser returned after OK, or its reason.
pub(super) fn accepted(values: Vec<Arg>) -> Result<Vec<Arg>, Vec<u8>> {
    let mut values = values.into_iter();
    let ok = Code::Ok.number().map(|number| number.to_string());
    let code = values.next();
    if code.as_ref().and_then(Arg::text) == ok.as_deref().map(str::as_bytes) {
        return Ok(values.collect());
    }
    let reason = values.next();
    let reason = reason
        .as_ref()
        .and_then(Arg::text)
        .filter(|text| is_true(text));
    Err(reason.unwrap_or(b"Syntax error in command").to_vec())
}

fn address_args(address: Address, params: Vec<Arg>) -> Vec<Arg> {
    let address = Rc::new(Shown::new(EnvelopeAddress::new(address)));
    let mut args = vec![Arg::Address(address)];
    args.extend(params);
    args
}

/// ` (one two)`.
fn in_parentheses(lines: &[Vec<u8>]) -> Vec<u8> {
    [b" (", &lines.join(&b' ')[..], b")"].concat()
}
