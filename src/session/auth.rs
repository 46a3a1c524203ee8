//! AUTH with PLAIN, LOGIN and CRAM-MD5: the dialogue, the hooks, and what their verdict means
//! for the session. The form of the responses is sasl.rs's.

use std::net::IpAddr;

use super::core::{Conversation, Ended, Flow, Input, LOGDEBUG};
use super::envelope::{accepted, first_bytes};
use super::sasl;
use super::state::Profile;
use super::step::Step;
use crate::config::BareLineEnds;
use crate::hook::{Arg, Code, Hook, Verdict};
use crate::smtp::split_arguments;

fn is_loopback(ip: &[u8]) -> bool {
    let ip = std::str::from_utf8(ip).ok();
    let ip = ip.and_then(|ip| ip.parse::<IpAddr>().ok());
    ip.is_some_and(|ip| ip.to_canonical().is_loopback())
}

/// What the client has shown to be who it says it is.
struct Credentials {
    user: Vec<u8>,
    password: Option<Vec<u8>>,
    digest: Option<Vec<u8>>,
    ticket: Option<Vec<u8>>,
}

impl Conversation {
    /// The mechanisms as EHLO offers them; from then on AUTH is a command.
    pub(super) async fn offered_mechanisms(&self) -> Option<Vec<u8>> {
        let tls_first = self.config("tls_before_auth").await.is_some();
        // Plugin `tls` sets this note while it offers STARTTLS to a client without TLS.
        let starttls_offered = self.transaction().notes.is_true(b"tls_enabled");
        let mechanisms = self.state.auth_mechanisms.borrow().clone();
        if mechanisms.is_empty() || (tls_first && starttls_offered) || self.auth_needs_tls() {
            return None;
        }
        self.state.auth_offered.set(true);
        self.ask(|to| Step::AddVerb("auth", to)).await;
        Some(mechanisms.join(" ").into_bytes())
    }

    /// Whether passwords of this client's would go over the net in clear text, and must not.
    pub(super) fn auth_needs_tls(&self) -> bool {
        let connection = self.connection();
        self.state.settings.strictness.tls_auth_only
            && !connection.notes.is_true(b"tls_enabled")
            && !connection
                .remote_ip
                .borrow()
                .as_deref()
                .is_some_and(is_loopback)
    }

    pub(super) async fn auth(&self, rest: Option<&[u8]>) -> Flow {
        let args = vec![rest.map_or(Arg::Undef, Arg::of_client)];
        self.run_hooks(Hook::AuthParse, args).await
    }

    pub(super) async fn auth_parse_respond(&self, verdict: &Verdict, args: &[Arg]) -> Flow {
        let rest = first_bytes(args);
        let mut words = match self.parse_with(verdict, "auth", rest).await {
            Some(values) => match accepted(values) {
                Ok(values) => values
                    .iter()
                    .filter_map(|value| Some(value.text()?.to_vec()))
                    .collect(),
                Err(reason) => {
                    self.say(501, reason).await;
                    return Ok(());
                }
            },
            None => split_arguments(rest.unwrap_or_default()),
        }
        .into_iter();
        if self.state.is_authenticated() {
            self.say(503, "but you already said AUTH ...").await;
            return Ok(());
        }
        let mechanism = words.next().unwrap_or_default().to_ascii_lowercase();
        let offered = self.state.auth_mechanisms.borrow().clone();
        let hook = match &mechanism[..] {
            b"plain" => Hook::AuthPlain,
            b"login" => Hook::AuthLogin,
            b"cram-md5" => Hook::AuthCramMd5,
            _ => Hook::Auth,
        };
        let known = |name: &&&str| name.as_bytes().eq_ignore_ascii_case(&mechanism);
        if hook == Hook::Auth || !offered.iter().any(|name| known(&name)) {
            let what = match self.state.settings.profile {
                Profile::V094 => "authentification",
                Profile::V100 => "authentication",
            };
            let mut text = format!("Unimplemented {what} mechanism: ").into_bytes();
            text.extend_from_slice(&mechanism);
            self.say(504, text).await;
            return Ok(());
        }
        self.state.authenticated.set(Code::Declined.number());
        let initial = words.next().filter(|word| !word.is_empty());
        let credentials = match hook {
            Hook::AuthPlain => self.ask_plain(initial).await?,
            Hook::AuthLogin => self.ask_login(initial).await?,
            _ => self.ask_cram_md5().await?,
        };
        if let Some(credentials) = credentials {
            // RFC 4013 2.3: no name has one, and in a plugin's log it might begin a line.
            if self.state.settings.strictness.bare_line_ends != BareLineEnds::Original
                && credentials.user.iter().any(u8::is_ascii_control)
            {
                self.say(535, sasl::invalid(b"", b"")).await;
                return Ok(());
            }
            self.authenticate(hook, &mechanism, credentials).await;
        }
        Ok(())
    }

    /// `None` where the client has had its reply already; so in the other two.
    async fn ask_plain(&self, initial: Option<Vec<u8>>) -> Result<Option<Credentials>, Ended> {
        let response = match initial {
            Some(response) => response,
            None => match self.challenge(b" ").await? {
                Some(response) => response,
                None => return Ok(None),
            },
        };
        match sasl::plain(&sasl::decode(&response)) {
            Ok((user, password)) => Ok(Some(Credentials {
                user,
                password: Some(password),
                digest: None,
                ticket: None,
            })),
            Err(text) => {
                self.say(535, text).await;
                Ok(None)
            }
        }
    }

    async fn ask_login(&self, initial: Option<Vec<u8>>) -> Result<Option<Credentials>, Ended> {
        let user = match initial {
            Some(initial) => sasl::decode(&initial),
            None => match self.prompt(b"Username:").await? {
                Some(user) => user,
                None => return Ok(None),
            },
        };
        let Some(password) = self.prompt(b"Password:").await? else {
            return Ok(None);
        };
        if user.is_empty() {
            self.say(535, sasl::invalid(&user, b"")).await;
            return Ok(None);
        }
        Ok(Some(Credentials {
            user,
            password: Some(password),
            digest: None,
            ticket: None,
        }))
    }

    async fn ask_cram_md5(&self) -> Result<Option<Credentials>, Ended> {
        let ticket = sasl::ticket(&self.me().await, self.now().await);
        self.state.auth_ticket.replace(Some(ticket.clone()));
        let challenge = sasl::encode(&ticket);
        let Some(response) = self.challenge(challenge.as_bytes()).await? else {
            return Ok(None);
        };
        let Some((user, digest)) = sasl::cram_md5(&sasl::decode(&response)) else {
            self.say(504, "Invalid authentication string").await;
            return Ok(None);
        };
        Ok(Some(Credentials {
            user,
            password: None,
            digest: Some(digest),
            ticket: Some(ticket),
        }))
    }

    /// Asks for something in base64 that must not be empty.
    async fn prompt(&self, what: &[u8]) -> Result<Option<Vec<u8>>, Ended> {
        let challenge = sasl::encode(what);
        let Some(response) = self.challenge(challenge.as_bytes()).await? else {
            return Ok(None);
        };
        let value = sasl::decode(&response);
        // RFC 4954's way to cancel, and the one that the original knows: `*` in base64.
        if response == b"*" || value == b"*" {
            self.say(501, "Authentication canceled").await;
            return Ok(None);
        }
        if value.is_empty() {
            self.say(535, sasl::invalid(b"", b"")).await;
            return Ok(None);
        }
        Ok(Some(value))
    }

    /// Sends a challenge; the line that answers it. A client that is gone has said nothing.
    async fn challenge(&self, challenge: &[u8]) -> Result<Option<Vec<u8>>, Ended> {
        self.say(334, challenge).await;
        match self.read_line().await? {
            Input::Line(line) => Ok(Some(line)),
            Input::Eof => Ok(Some(Vec::new())),
            Input::TooLong => {
                self.say(500, "Line too long").await;
                Ok(None)
            }
            Input::Bare(bare) => {
                self.refuse_line(bare).await?;
                Ok(None)
            }
        }
    }

    async fn authenticate(&self, hook: Hook, mechanism: &[u8], credentials: Credentials) {
        let of_client = |value: &Option<Vec<u8>>| value.clone().map_or(Arg::Undef, Arg::Client);
        let args = vec![
            Arg::of_client(mechanism),
            Arg::of_client(&credentials.user),
            of_client(&credentials.password),
            of_client(&credentials.digest),
            of_client(&credentials.ticket),
        ];
        let mut verdict = self.hook(hook, args.clone()).await;
        if verdict.code == Code::Declined {
            verdict = self.hook(Hook::Auth, args).await;
        }
        let passed = verdict.code == Code::Ok;
        if passed {
            self.state.authenticated.set(Code::Ok.number());
            self.state.auth_user.replace(Some(credentials.user.clone()));
            let name = Some(mechanism.to_vec());
            self.state.auth_mechanism.replace(name);
            self.connection().relay_client.set(true);
        } else {
            self.state.authenticated.set(Code::Deny.number());
        }
        let text = self.auth_text(passed, mechanism, &credentials.user, &verdict);
        self.say(if passed { 235 } else { 535 }, &text).await;
        self.log(LOGDEBUG, text);
    }

    fn auth_text(&self, passed: bool, mechanism: &[u8], user: &[u8], verdict: &Verdict) -> Vec<u8> {
        let mut text = mechanism.to_ascii_uppercase();
        text.extend_from_slice(match passed {
            true => b" authentication successful for ",
            false => b" authentication failed for ",
        });
        text.extend_from_slice(&sasl::in_one_line(user));
        if !passed && self.state.settings.profile == Profile::V100 {
            text.extend_from_slice(b" from ");
            let connection = self.connection();
            text.extend_from_slice(connection.remote_ip.borrow().as_deref().unwrap_or(b"?"));
        }
        if let Some(more) = verdict.text() {
            text.extend_from_slice(b" - ");
            text.extend_from_slice(more);
        }
        text
    }
}
