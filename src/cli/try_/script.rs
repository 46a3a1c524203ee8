//! What the client of a trial says: one mail, or what is typed. Each command waits for the reply to the one before.

use std::io::{BufRead, Read as _};
use std::path::Path;

use super::play::Player;

/// A mail to try.
pub(super) struct Mail {
    from: String,
    to: Vec<String>,
    /// As it goes over the wire, with its last line.
    message: Option<Vec<u8>>,
}

impl Mail {
    pub(super) fn new(
        from: &Option<String>,
        to: &[String],
        message: Option<&Path>,
    ) -> Result<Mail, String> {
        Ok(Mail {
            from: path(from.as_deref().unwrap_or_default()),
            to: to.iter().map(|to| path(to)).collect(),
            message: message.map(read).transpose()?,
        })
    }
}

/// An address in `<>`; what follows it, such as `SIZE=100`, stays behind it.
fn path(text: &str) -> String {
    match text.starts_with('<') {
        true => text.to_owned(),
        false => format!("<{text}>"),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let read = match file.as_os_str() == "-" {
        true => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map(|_| bytes)
        }
        false => std::fs::read(file),
    };
    let bytes = read.map_err(|error| {
        let reason = crate::config::reason(&error);
        format!(
            "cannot read the message {}: {reason}; name another file with --message",
            file.display()
        )
    })?;
    Ok(wire_form(&bytes))
}

/// Lines with CR LF, dots doubled (RFC 5321 4.5.2), and the end.
fn wire_form(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 16 + 8);
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for line in message.split(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// Plays one mail as far as it comes.
pub(super) fn mail(player: &mut Player, mail: &Mail, helo: &str) -> Result<(), String> {
    let takes = |code: Option<u16>| code.is_some_and(|code| code < 400);
    let goes_on = takes(player.greeting()?)
        && takes(player.say(&format!("EHLO {helo}"))?)
        && takes(player.say(&format!("MAIL FROM:{}", mail.from))?);
    let mut accepted = false;
    if goes_on {
        for to in &mail.to {
            if player.is_over() {
                break;
            }
            accepted |= takes(player.say(&format!("RCPT TO:{to}"))?);
        }
    }
    if let Some(message) = mail
        .message
        .as_ref()
        .filter(|_| accepted && !player.is_over())
    {
        player.say("DATA")?;
        if player.is_in_message() {
            player.send_message(message)?;
        }
    }
    quit(player)
}

fn quit(player: &mut Player) -> Result<(), String> {
    if !player.is_over() {
        player.say("QUIT")?;
    }
    Ok(())
}

/// Plays what comes on standard input. Its end is the client's.
pub(super) fn interactive(player: &mut Player, helo: Option<&str>) -> Result<(), String> {
    player.greeting()?;
    if let Some(helo) = helo.filter(|_| !player.is_over()) {
        player.say(&format!("EHLO {helo}"))?;
    }
    let mut input = std::io::stdin().lock();
    while !player.is_over() {
        let Some(line) = next_line(&mut input)? else {
            return player.hang_up();
        };
        if line.trim_ascii().eq_ignore_ascii_case(b"STARTTLS") {
            eprintln!("camelpost: STARTTLS is not played; --tls tries a session in TLS");
            continue;
        }
        player.say_bytes(&line)?;
        if player.is_in_message() {
            let (message, is_whole) = message_of(&mut input)?;
            if !is_whole {
                player.send_part(&message)?;
                return player.hang_up();
            }
            player.send_message(&message)?;
        }
    }
    Ok(())
}

/// A line without its end.
fn next_line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    let read = input.read_until(b'\n', &mut line);
    read.map_err(|error| format!("cannot read standard input: {error}"))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(Some(line))
}

/// A message as it is typed, up to the line with a dot; whether that came.
fn message_of(input: &mut impl BufRead) -> Result<(Vec<u8>, bool), String> {
    let mut message = Vec::new();
    while let Some(line) = next_line(input)? {
        message.extend_from_slice(&line);
        message.extend_from_slice(b"\r\n");
        if line == b"." {
            return Ok((message, true));
        }
    }
    Ok((message, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_its_line_ends_and_dots() {
        assert_eq!(
            wire_form(b"A: b\n\n.x\r\nlast"),
            b"A: b\r\n\r\n..x\r\nlast\r\n.\r\n"
        );
        assert_eq!(wire_form(b"a\n\n"), b"a\r\n\r\n.\r\n");
    }

    #[test]
    fn an_address_gets_its_brackets() {
        assert_eq!(path("a@b"), "<a@b>");
        assert_eq!(path(""), "<>");
        assert_eq!(path("<a@b> SIZE=1"), "<a@b> SIZE=1");
    }
}
