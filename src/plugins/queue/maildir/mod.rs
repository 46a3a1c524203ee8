//! `native/queue/maildir DIR [SUBDIR [MODE]]`: puts messages into a maildir, or each recipient's into one of its own
//! below it (`%u` in SUBDIR is the address, `%l` its local part, `%d` its domain), as qpsmtpd's plugin of that name.
//! File and directory are on disk before the message is acknowledged. A SUBDIR never leads out of DIR. How it is
//! written is delivery.rs's.

mod delivery;

use std::path::{Path, PathBuf};

use self::delivery::{Delivery, Undelivered};
use crate::config::{Profile, reason};
use crate::hook::{Code, Verdict};
use crate::log::LOGWARN;
use crate::plugin::twin::Port;
use crate::plugin::{Cx, Failure, HookResult, Hooks, LoadEnv, Plugin, PluginError, Words};
use crate::smtp::Address;

/// The rights of directories where the line says nothing.
const MODE: u32 = 0o700;

pub(in crate::plugins) struct Maildir {
    /// None where the line says none that can be used: no message is taken then.
    place: Option<Place>,
}

/// Where messages go.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    dir: PathBuf,
    subdir: Option<Vec<u8>>,
    mode: u32,
}

impl Plugin for Maildir {
    const NAME: &'static str = "queue/maildir";

    type Args = Words;

    fn load(Words(words): Words, env: &LoadEnv<'_>) -> Result<Maildir, PluginError> {
        let place = match Place::of(&words) {
            Ok(place) => place,
            // As the Perl plugin has it, the service starts all the same.
            Err(problem) if env.is_twin() => {
                env.log(LOGWARN, format!("WARNING: {problem}"));
                return Ok(Maildir { place: None });
            }
            Err(problem) => return Err(PluginError::new(problem)),
        };
        if place.subdir.is_none() {
            let made = delivery::make_maildir(&place.dir, place.mode);
            made.map_err(|error| {
                let dir = place.dir.display();
                PluginError::new(format!("{dir} cannot be made: {}", reason(&error)))
            })?;
        }
        Ok(Maildir { place: Some(place) })
    }

    fn hooks(hooks: &mut Hooks<Maildir>) {
        hooks.queue(Maildir::queue);
    }
}

impl Port for Maildir {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "7cc9e4c2e292a37f2633ad6658224f644c66ce62cb73d5424c3a5b7d6d76ea65",
            Profile::V094,
        ),
        (
            "635c5b8ea732946409474cd763ab1522c8da96ad3e90f7da9e2897d549d4049f",
            Profile::V100,
        ),
    ];

    fn perl_args(words: &[Vec<u8>]) -> Words {
        Words(words.to_vec())
    }
}

impl Place {
    fn of(words: &[Vec<u8>]) -> Result<Place, &'static str> {
        let dir = words.first().and_then(|word| usual_part(word));
        let subdir = words.get(1).cloned();
        let has_parameter = |subdir: &Vec<u8>| {
            subdir
                .windows(2)
                .any(|two| two[0] == b'%' && b"ldu".contains(&two[1]))
        };
        if subdir.as_ref().is_some_and(|subdir| !has_parameter(subdir)) {
            return Err("sub directory does not contain a substitution parameter");
        }
        let mode = match words.get(2) {
            None => MODE,
            Some(word) => octal(word).ok_or("mode is not an octal number")?,
        };
        let dir = dir.ok_or("maildir directory not specified")?;
        Ok(Place {
            dir: dir.into(),
            subdir,
            mode,
        })
    }

    /// The maildir of a recipient.
    fn of_recipient(&self, subdir: &[u8], recipient: &Address) -> PathBuf {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let user = harmless(recipient.user().unwrap_or_default());
        let host = harmless(recipient.host().unwrap_or_default());
        let mut path = Vec::new();
        let mut rest = subdir.iter();
        while let Some(byte) = rest.next() {
            let mut ahead = rest.clone();
            let parameter = ahead.next().filter(|_| *byte == b'%');
            match parameter {
                Some(b'l') => path.extend_from_slice(&user),
                Some(b'd') => path.extend_from_slice(&host),
                Some(b'u') => path.extend_from_slice(&[&user[..], b"@", &host].concat()),
                _ => {
                    path.push(*byte);
                    continue;
                }
            }
            rest = ahead;
        }
        // A recipient may have no name but dots.
        let parts = path
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty());
        let parts = parts.map(|part| match part {
            b"." | b".." => part.iter().map(|_| b'_').collect(),
            part => part.to_vec(),
        });
        parts.fold(self.dir.clone(), |path, part: Vec<u8>| {
            path.join(OsStr::from_bytes(&part))
        })
    }
}

/// The first part of a word that the original takes for a path.
fn usual_part(word: &[u8]) -> Option<String> {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-/_.".contains(byte);
    let start = word.iter().position(is_usual)?;
    let part = word[start..].iter().take_while(|byte| is_usual(byte));
    Some(part.map(|byte| char::from(*byte)).collect())
}

/// Rights of three digits; of none at all there is no sense in them, and the usual ones hold.
fn octal(word: &[u8]) -> Option<u32> {
    let is_octal = word.len() == 3 && word.iter().all(|byte| (b'0'..=b'7').contains(byte));
    let text = std::str::from_utf8(word).ok().filter(|_| is_octal)?;
    let mode = u32::from_str_radix(text, 8).ok()?;
    Some(if mode == 0 { MODE } else { mode })
}

/// A part of an address as a part of a path.
fn harmless(part: &[u8]) -> Vec<u8> {
    let kept = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-+_.,@=".contains(byte) => *byte,
        _ => b'_',
    };
    part.iter().map(kept).collect()
}

impl Maildir {
    async fn queue(&self, cx: &mut Cx<'_>) -> HookResult {
        let Some(place) = &self.place else {
            return undelivered(cx, &Undelivered::nowhere());
        };
        let recipients = cx.envelope().recipients();
        let mut text = None;
        match &place.subdir {
            None => {
                let message = cx.message();
                for recipient in &recipients {
                    let header = message.header();
                    header
                        .add_on_top("Delivered-To", recipient.address())
                        .await?;
                }
                match deliver(cx, &place.dir, None, place.mode).await? {
                    Ok(id) => text = Some(id),
                    Err(why) => return undelivered(cx, &why),
                }
            }
            Some(subdir) => {
                for recipient in &recipients {
                    let dir = place.of_recipient(subdir, recipient);
                    match deliver(cx, &dir, Some(recipient), place.mode).await? {
                        Ok(id) => text = Some(id),
                        Err(why) => return undelivered(cx, &why),
                    }
                }
            }
        }
        Ok(match text {
            Some(text) => Verdict::with_text(Code::Ok, text),
            None => Verdict::new(Code::Ok),
        })
    }
}

/// Another plugin may have the message.
fn undelivered(cx: &Cx<'_>, why: &Undelivered) -> HookResult {
    cx.log(LOGWARN, &why.log);
    let text = format!("queue error ({})", why.step);
    Ok(Verdict::with_text(Code::Declined, text))
}

/// Puts the message into a maildir, and gives the reply.
async fn deliver(
    cx: &Cx<'_>,
    dir: &Path,
    recipient: Option<&Address>,
    mode: u32,
) -> Result<Result<Vec<u8>, Undelivered>, Failure> {
    let message = cx.message();
    let header = message.header().text().await?;
    let sender = cx.envelope().sender().map(|sender| sender.format());
    let mut start = [b"Return-Path: ", &sender.unwrap_or_default()[..], b"\n"].concat();
    if let Some(recipient) = recipient {
        start.extend_from_slice(&[b"Delivered-To: ", &recipient.address()[..], b"\n"].concat());
    }
    start.extend_from_slice(&header);
    let mut chunks = message.chunks();
    let mut delivery = Delivery::new(dir, mode, start);
    while let Some(chunk) = chunks.next().await? {
        delivery.push(chunk);
        if delivery.is_full() {
            delivery = match cx.offload(move || delivery.write()).await? {
                Ok(delivery) => delivery,
                Err(why) => return Ok(Err(why)),
            };
        }
    }
    if let Err(why) = cx.offload(move || delivery.end()).await? {
        return Ok(Err(why));
    }
    let fields = message.header().fields().await?;
    let is_id = |name: &[u8]| name.eq_ignore_ascii_case(b"Message-Id");
    let id = fields.into_iter().find(|field| is_id(&field.name));
    let id = id.map(|field| field.value).unwrap_or_default();
    let id = id.split(|byte| b"\r\n".contains(byte)).next();
    Ok(Ok([b"Queued! ", id.unwrap_or_default()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: &str) -> Result<Place, &'static str> {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
        Place::of(&words)
    }

    #[test]
    fn a_line_is_a_directory_a_pattern_and_rights() {
        let all = place("/var/mail %d/%l 750").unwrap();
        assert_eq!(all.dir, Path::new("/var/mail"));
        assert_eq!(
            (all.subdir.as_deref(), all.mode),
            (Some(&b"%d/%l"[..]), 0o750)
        );
        assert_eq!(place("/m %u 000").unwrap().mode, MODE);
        assert_eq!(place("/m").unwrap().subdir, None);
        for (line, problem) in [
            (
                "/m %x",
                "sub directory does not contain a substitution parameter",
            ),
            ("/m %u 0755", "mode is not an octal number"),
            ("*", "maildir directory not specified"),
        ] {
            assert_eq!(place(line), Err(problem), "{line}");
        }
    }

    #[test]
    fn a_recipient_s_maildir_is_below_that_of_all() {
        let path = |subdir: &str, user: &str, host: &str| {
            let place = place(&format!("/m {subdir}")).unwrap();
            let address = Address::from_parts(Some(user.into()), Some(host.into()));
            let path = place.of_recipient(subdir.as_bytes(), &address);
            path.display().to_string()
        };
        assert_eq!(path("%d/%l", "b", "example.com"), "/m/example.com/b");
        assert_eq!(path("x/%u%%", "b/../c d", "a"), "/m/x/b_.._c_d@a%%");
        assert_eq!(path("%d/%l", "..", "example.com"), "/m/example.com/__");
        assert_eq!(path("%d/%l", "", "."), "/m/_");
    }
}
