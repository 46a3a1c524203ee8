//! `native/tls [CERT KEY CA [DHPARAM]] [names DIR] [client_ca FILE]`: STARTTLS, and TLS from the start on
//! port 465, as plugin `tls` of qpsmtpd 0.94 and 1.00, under whose line it stands where that file is
//! unchanged. TLS ends in the worker that the session is in; the Perl plugin takes a process for it.
//!
//! `names DIR` has `NAME.crt` and `NAME.key` for other names of this server, by which a client may ask
//! for it; `client_ca FILE` has the certificates of those who vouch for clients, which are asked for one
//! then. Certificates are read again when the files have changed.

mod certificates;
mod protocols;
mod settings;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use certificates::Certificates;
use protocols::Protocols;
use settings::Settings;

use crate::base::log::{LOGDEBUG, LOGERROR, LOGINFO, LOGWARN};
use crate::config::{Profile, reason};
use crate::hook::{Code, Hook, HookCall, Verdict};
use crate::mail::Note;
use crate::plugin::twin::{Twin, TwinLine};
use crate::plugin::{Handler, HookResult, Later, PluginError, SessionAccess};

/// The port on which the client begins with TLS (RFC 8314 section 3.3).
const SMTPS: i64 = 465;

const REFUSED: &str = "Command refused due to lack of security";

/// The connection's note that it has TLS; the transaction's that it was offered.
const ENABLED: &[u8] = b"tls_enabled";
/// The transaction's note that there was no handshake.
const FAILED: &[u8] = b"ssl_failed";

pub(super) struct Tls {
    name: Rc<str>,
    /// None where they were not there when the plugin was loaded: TLS is not offered.
    certificates: Option<Certificates>,
    /// STARTTLS is offered as long as this can be read.
    certificate: PathBuf,
}

impl Twin for Tls {
    const NAME: &'static str = "tls";
    const USUALLY: bool = true;

    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "411c49c46778ba411854adbb6af9764877fde322b0e99f1d29d299db94cd6884",
            Profile::V094,
        ),
        (
            "a4f4fc6e74330874688ae37498f362418fe42fb177ba7a67cc89a457229cbc6f",
            Profile::V100,
        ),
    ];

    fn load(line: &TwinLine<'_>) -> Result<Vec<Handler>, PluginError> {
        let plugin = Rc::new(Tls::from_line(line).map_err(PluginError::new)?);
        let mut handlers = Vec::new();
        let mut on = |hook: Hook, run: Run| {
            let plugin = plugin.clone();
            handlers.push(Handler::new(
                line.name.into(),
                line.listed.into(),
                hook,
                move |session, call| run(plugin.clone(), session, call),
            ));
        };
        on(Hook::Connect, |plugin, session, _| {
            Box::pin(async { Ok(plugin.connect(session).await) })
        });
        on(Hook::Ehlo, |plugin, session, _| {
            Box::pin(async { Ok(plugin.ehlo(session).await) })
        });
        on(Hook::UnrecognizedCommand, |plugin, session, call| {
            Box::pin(async { Ok(plugin.command(session, call).await) })
        });
        on(Hook::PostConnection, |plugin, session, _| {
            Box::pin(async { Ok(plugin.post_connection(session).await) })
        });
        let refused = [Hook::Helo, Hook::Mail, Hook::Rcpt, Hook::Data];
        let auth = [
            Hook::Auth,
            Hook::AuthPlain,
            Hook::AuthLogin,
            Hook::AuthCramMd5,
        ];
        let auth = auth.into_iter().filter(|hook| (line.has_entries)(*hook));
        for hook in refused.into_iter().chain(auth) {
            on(hook, |_, session, _| {
                Box::pin(async { Ok(refuse_after_failure(session)) })
            });
        }
        Ok(handlers)
    }
}

type Run = for<'a> fn(Rc<Tls>, &'a dyn SessionAccess, &'a HookCall) -> Later<'a, HookResult>;

impl Tls {
    fn from_line(line: &TwinLine<'_>) -> Result<Tls, String> {
        let settings = settings(line)?;
        let missing = [&settings.certificate, &settings.key, &settings.ca];
        let missing = missing.into_iter().find_map(|path| absence(path, line.of));
        let certificate = settings.certificate.clone();
        let name = Rc::from(line.name);
        if let Some(missing) = missing {
            (line.log)(
                LOGERROR,
                "Cannot locate cert/key!  Run plugins/tls_cert to generate",
            );
            let place = line.place;
            (line.log)(
                LOGERROR,
                &format!("{missing} ({place}): TLS is not offered"),
            );
            return Ok(Tls {
                name,
                certificates: None,
                certificate,
            });
        }
        if line.of == Profile::V100 && settings.dh.is_none() {
            for text in [
                "dhparam is not exist or empty, possible DHE ciphers will be unavailable.",
                "The encryption strength will decline due to lack of Forward Secrecy.",
            ] {
                (line.log)(LOGINFO, text);
            }
        }
        (line.log)(LOGDEBUG, &format!("ciphers: {}", settings.ciphers));
        let certificates = Certificates::read(settings)
            .map_err(|why| format!("Could not create SSL context: {why}"))?;
        Ok(Tls {
            name,
            certificates: Some(certificates),
            certificate,
        })
    }

    async fn connect(self: Rc<Self>, session: &dyn SessionAccess) -> Verdict {
        let log = |level, text: &str| {
            session.log(level, Hook::Connect.name(), &self.name, text.as_bytes())
        };
        if session.connection().data.local_port.get() != Some(SMTPS) {
            log(LOGDEBUG, "skip, not SMTPS");
            return Verdict::declined();
        }
        if self.start(session, Hook::Connect).await.is_err() {
            log(LOGINFO, "fail, unable to establish SSL");
            return Verdict::with_text(Code::DenyDisconnect, "Cannot establish SSL session");
        }
        log(LOGINFO, "pass, connect via SMTPS");
        Verdict::declined()
    }

    async fn ehlo(self: Rc<Self>, session: &dyn SessionAccess) -> Verdict {
        let can = self.certificates.is_some() && is_readable(&self.certificate);
        if !can || session.connection().notes.is_true(ENABLED) {
            return Verdict::declined();
        }
        let transaction = session.transaction();
        if transaction.notes.is_true(FAILED) {
            return Verdict::with_text(Code::Deny, REFUSED);
        }
        if let Some(client) = session.tls() {
            client.offer("STARTTLS").await;
            transaction.notes.set(ENABLED, Note::Int(1));
        }
        Verdict::declined()
    }

    async fn command(self: Rc<Self>, session: &dyn SessionAccess, call: &HookCall) -> Verdict {
        let transaction = session.transaction();
        if !call.is_for_verb(b"starttls") || !transaction.notes.is_true(ENABLED) {
            return Verdict::declined();
        }
        if call.args.len() > 1 {
            return Verdict::with_text(Code::Deny, "Syntax error (no parameters allowed)");
        }
        if let Some(client) = session.tls() {
            client.reply(220, "Go ahead with TLS").await;
        }
        let hook = Hook::UnrecognizedCommand;
        if let Err(why) = self.start(session, hook).await {
            let text = format!("TLS failed: Could not create SSL socket: {why}");
            session.log(LOGWARN, hook.name(), &self.name, text.as_bytes());
            // From now on each command is answered with 5xx (RFC 3207 section 4.1).
            transaction.notes.set(FAILED, Note::Int(1));
            return Verdict::with_text(Code::Deny, "TLS Negotiation Failed");
        }
        session.log(LOGINFO, hook.name(), &self.name, b"TLS setup returning");
        Verdict::new(Code::Done)
    }

    async fn start(&self, session: &dyn SessionAccess, hook: Hook) -> Result<(), String> {
        let (Some(certificates), Some(client)) = (&self.certificates, session.tls()) else {
            return Err("there is no certificate".to_owned());
        };
        let ssl = certificates.ssl(|problem| {
            let text = format!("{problem}: the certificate that was read before is shown");
            session.log(LOGERROR, hook.name(), &self.name, text.as_bytes());
        })?;
        client.start(ssl, &self.name, hook).await
    }

    async fn post_connection(self: Rc<Self>, session: &dyn SessionAccess) -> Verdict {
        let connection = session.connection();
        if connection.notes.is_true(b"tls_socket_is_duped") {
            if let Some(client) = session.tls() {
                client.end().await;
            }
            connection.notes.set(b"tls_socket", Note::Undef);
            // The name is the Perl plugin's.
            connection.notes.set(b"tls_socked_is_duped", Note::Int(0));
        }
        Verdict::declined()
    }
}

/// After a handshake that failed there is nothing that may be done in clear.
fn refuse_after_failure(session: &dyn SessionAccess) -> Verdict {
    match session.transaction().notes.is_true(FAILED) {
        true => Verdict::with_text(Code::Deny, REFUSED),
        false => Verdict::declined(),
    }
}

/// The words of the line, and the config files.
fn settings(line: &TwinLine<'_>) -> Result<Settings, String> {
    let words: Vec<&[u8]> = line.args.iter().map(Vec::as_slice).collect();
    let is_own_line = line.listed.starts_with("native/");
    let own = |word: &&[u8]| is_own_line && matches!(*word, b"names" | b"client_ca");
    let positional = words.iter().position(own).unwrap_or(words.len());
    let (files, named) = words.split_at(positional);
    // The Perl plugin takes what it knows, and does not look at the rest.
    if let Some(word) = files.get(4).filter(|_| is_own_line) {
        return Err(not_understood(word));
    }
    let dir = match Path::new("ssl").is_dir() {
        true => "ssl",
        false => "config/ssl",
    };
    let file = |at: usize, usual: &str| match files.get(at).filter(|word| is_true(word)) {
        Some(word) => path(word),
        None => Path::new(dir).join(usual),
    };
    let dh = Some(file(3, "qpsmtpd-dhparam.pem"));
    let is_1_00 = line.of == Profile::V100;
    let value = |name: &str| {
        let first = (line.config)(name).into_iter().next();
        let first = first.filter(|value| is_true(value));
        first.map(|value| String::from_utf8_lossy(&value).into_owned())
    };
    let usual = protocols::USUAL.to_owned();
    let spoken = match is_1_00 {
        true => value("tls_protocols").unwrap_or(usual),
        false => usual,
    };
    let mut settings = Settings {
        certificate: file(0, "qpsmtpd-server.crt"),
        key: file(1, "qpsmtpd-server.key"),
        ca: file(2, "qpsmtpd-ca.crt"),
        dh: dh.filter(|path| is_1_00 && path.metadata().is_ok_and(|m| m.is_file() && m.len() > 0)),
        ciphers: value("tls_ciphers").unwrap_or_else(|| "HIGH".to_owned()),
        protocols: Protocols::parse(&spoken)
            .map_err(|why| format!("Could not create SSL context: tls_protocols: {why}"))?,
        client_ca: None,
        names: None,
    };
    for pair in named.chunks(2) {
        match *pair {
            [b"names", dir] => settings.names = Some(path(dir)),
            [b"client_ca", file] => settings.client_ca = Some(path(file)),
            [name, ..] => return Err(not_understood(name)),
            [] => {}
        }
    }
    Ok(settings)
}

fn not_understood(word: &[u8]) -> String {
    let word = String::from_utf8_lossy(word);
    format!(
        "'{word}' is not understood; there are: [CERT KEY CA [DHPARAM]] [names DIR] [client_ca FILE]"
    )
}

fn path(word: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(word))
}

/// Truth in Perl's sense.
fn is_true(word: &[u8]) -> bool {
    !word.is_empty() && word != b"0"
}

/// What is wrong with a file that has to be there: 0.94 looks whether it is one, 1.00 whether it can be read.
fn absence(path: &Path, of: Profile) -> Option<String> {
    let told = |why: String| Some(format!("{}: {why}", path.display()));
    match path.metadata() {
        Err(error) => told(reason(&error)),
        Ok(facts) if of == Profile::V094 && !facts.is_file() => told("is no file".to_owned()),
        Ok(_) if of == Profile::V100 && !is_readable(path) => told("cannot be read".to_owned()),
        Ok(_) => None,
    }
}

fn is_readable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok()
}
