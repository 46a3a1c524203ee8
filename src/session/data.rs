//! DATA: takes the message into the transaction's body, the lines before the first blank one
//! as its header, and hands it on to data_post. A message is stored whole or not at all.

use super::core::{Conversation, Ended, Flow, LOGALERT, LOGDEBUG, LOGERROR, LOGINFO};
use super::header_lines::header_of;
use super::state::Profile;
use super::step::ReadEvent;
use crate::hook::{Code, Hook, Verdict};
use crate::mail::{BodyError, Header, HeaderSlot};
use crate::smtp::{BareByte, DataDecoder, DataEvent};

/// Bytes for which there is room while the client is waited for.
const SMALL_BLOCK: usize = 16 * 1024;

/// What has come of a message so far.
#[derive(Default)]
struct Incoming {
    /// The header's lines, until the blank line after them has come.
    header: Option<Vec<u8>>,
    /// How much of `header` was searched for the blank line.
    searched: usize,
    /// Its lines so far.
    header_lines: u64,
    /// It is longer than it may be: it is kept in memory.
    header_is_too_big: bool,
    /// The bytes taken in.
    size: u64,
    limit: Option<u64>,
    /// The body could not be stored.
    failed: bool,
    /// It has this in it and must not.
    bare: Option<BareByte>,
}

impl Incoming {
    fn is_too_big(&self) -> bool {
        self.header_is_too_big || self.limit.is_some_and(|limit| self.size > limit)
    }
}

impl Conversation {
    pub(super) async fn data(&self) -> Flow {
        self.run_hooks(Hook::Data, Vec::new()).await
    }

    pub(super) async fn data_respond(&self, verdict: &Verdict) -> Flow {
        if verdict.code != Code::Done {
            // It may have come while plugins made up their minds; the client has had no reply yet.
            self.look_ahead(b"data").await?;
        }
        let code = match verdict.code {
            Code::Done => return Ok(()),
            Code::Deny | Code::DenyDisconnect => 554,
            Code::DenySoft => 451,
            Code::DenySoftDisconnect => match self.state.settings.profile {
                Profile::V094 => 421,
                Profile::V100 => 451,
            },
            _ => return self.take_message().await,
        };
        self.refuse_message(code, verdict).await
    }

    /// The reply to a verdict against the message, and the end of its transaction.
    async fn refuse_message(&self, code: u16, verdict: &Verdict) -> Flow {
        let default = match verdict.code.is_temporary() {
            true => "Message denied temporarily",
            false => "Message denied",
        };
        self.reply_verdict(code, verdict, default).await;
        if verdict.code.disconnects() {
            return Err(self.disconnect().await);
        }
        self.reset_transaction().await;
        Ok(())
    }

    async fn take_message(&self) -> Flow {
        let transaction = self.transaction();
        if transaction.sender.borrow().is_none() {
            self.say(503, "MAIL first").await;
            return Ok(());
        }
        if transaction.recipients.borrow().is_empty() {
            self.say(503, "RCPT first").await;
            return Ok(());
        }
        drop(transaction);
        self.say(354, "go ahead").await;
        let mut message = Incoming {
            header: Some(Vec::new()),
            limit: self.databytes().await,
            ..Incoming::default()
        };
        self.log_size(&message).await;
        self.state.in_message.set(true);
        let received = self.receive(&mut message).await;
        self.state.in_message.set(false);
        if !received? {
            self.say(451, "Incomplete DATA").await;
            self.reset_transaction().await;
            return Ok(());
        }
        self.log_size(&message).await;
        if message.header_is_too_big {
            self.log(
                LOGALERT,
                "Message header too big (header_size_limit, header_line_limit)",
            );
            self.say(552, "Message header too big!").await;
            self.reset_transaction().await;
            return Ok(());
        }
        if let Some(bare) = message.bare {
            let text = format!(
                "Message has a bare {}: lines must end in CR LF",
                bare.name()
            );
            self.say(550, text).await;
            self.reset_transaction().await;
            return Ok(());
        }
        if message.is_too_big() {
            let text = format!(
                "Message too big: size: {} (max size: {})",
                message.size,
                message.limit.unwrap_or_default()
            );
            self.log(LOGALERT, text);
            self.say(552, "Message too big!").await;
            self.reset_transaction().await;
            return Ok(());
        }
        if let Some(lines) = message.header.take() {
            self.end_header(&mut message, lines).await?;
        }
        if message.failed {
            self.say(452, "Cannot store the message; try again later")
                .await;
            self.reset_transaction().await;
            return Ok(());
        }
        self.add_trace_fields().await;
        self.run_hooks(Hook::DataPost, Vec::new()).await
    }

    async fn log_size(&self, message: &Incoming) {
        let limit = message.limit.unwrap_or_default();
        let text = format!("max_size: {limit} / size: {}", message.size);
        self.log(LOGDEBUG, text);
    }

    /// Takes in the message; `false` where the client vanished before its end.
    async fn receive(&self, message: &mut Incoming) -> Result<bool, Ended> {
        let mut decoder = DataDecoder::new(self.state.settings.strictness.bare_line_ends);
        let mut block = Vec::new();
        loop {
            block.clear();
            let event = {
                let mut input = self.state.input.borrow_mut();
                decoder.decode(&mut input, &mut block)
            };
            message.bare = decoder.bare();
            self.take_block(message, &block).await?;
            match event {
                DataEvent::End => return Ok(true),
                DataEvent::BareLfDot => {
                    self.say(421, "See http://smtpd.develooper.com/barelf.html")
                        .await;
                    return Err(self.disconnect().await);
                }
                DataEvent::More => {}
            }
            // A client that is waited for costs no room.
            if block.capacity() > SMALL_BLOCK {
                block = Vec::new();
            }
            if self.read_message().await? == ReadEvent::Eof {
                // reset_transaction sees the size of what has come.
                self.store(message, decoder.unfinished()).await;
                return Ok(false);
            }
        }
    }

    async fn take_block(&self, message: &mut Incoming, block: &[u8]) -> Flow {
        // What is refused already is read and thrown away.
        if message.is_too_big() || message.bare.is_some() {
            return Ok(());
        }
        let Some(lines) = message.header.as_mut() else {
            message.size += block.len() as u64;
            self.store(message, block).await;
            return Ok(());
        };
        let before = lines.len();
        lines.extend_from_slice(block);
        let end = end_of_header(lines, message.searched);
        let new = lines.get(before..end.unwrap_or(lines.len()));
        message.header_lines += memchr::memchr_iter(b'\n', new.unwrap_or_default()).count() as u64;
        let limits = &self.state.settings.limits;
        let size = end.unwrap_or(lines.len()) as u64;
        if limits.header_size.is_some_and(|limit| size > limit)
            || limits
                .header_lines
                .is_some_and(|limit| message.header_lines > limit)
        {
            message.size += block.len() as u64;
            message.header_is_too_big = true;
            message.header = None;
            return Ok(());
        }
        let Some(end) = end else {
            message.size = lines.len() as u64;
            message.searched = lines.len().saturating_sub(1);
            self.store(message, block).await;
            return Ok(());
        };
        let body = lines.split_off(end);
        let mut lines = message.header.take().unwrap_or_default();
        // It is kept, and had room for the block in which it ended.
        lines.shrink_to_fit();
        message.size = lines.len() as u64;
        self.store(message, lines.get(before..).unwrap_or_default())
            .await;
        if !message.is_too_big() {
            self.end_header(message, lines).await?;
        }
        message.size += body.len() as u64;
        self.store(message, &body).await;
        Ok(())
    }

    /// The header is complete, and stored: asks the plugins.
    async fn end_header(&self, message: &mut Incoming, lines: Vec<u8>) -> Flow {
        let header = HeaderSlot::Native(Header::new(header_of(lines)));
        let old = self.transaction().header.replace(header);
        drop(old);
        if !message.failed {
            let verdict = self.hook(Hook::DataHeadersEnd, Vec::new()).await;
            self.data_headers_end_respond(&verdict).await?;
        }
        // Where the body begins is not known before, as in the original.
        self.transaction().body.borrow_mut().end_header();
        Ok(())
    }

    /// Only verdicts that disconnect count: the client is not waiting for a reply.
    pub(super) async fn data_headers_end_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::DenyDisconnect => self.refuse_message(554, verdict).await,
            Code::DenySoftDisconnect => self.refuse_message(421, verdict).await,
            _ => Ok(()),
        }
    }

    /// Appends to the body. After a failure the rest is not stored; the message is refused once
    /// the client has sent it.
    async fn store(&self, message: &mut Incoming, bytes: &[u8]) {
        if message.failed || bytes.is_empty() {
            return;
        }
        let transaction = self.transaction();
        let (result, spooled): (Result<(), BodyError>, bool) = {
            let mut body = transaction.body.borrow_mut();
            let before = body.path().is_some();
            let result = body.write(bytes);
            (result, !before && body.path().is_some())
        };
        if spooled {
            self.log(LOGINFO, "spooling message to disk");
        }
        if let Err(error) = result {
            message.failed = true;
            self.log(LOGERROR, error.to_string());
        }
    }

    pub(super) async fn data_post_respond(&self, verdict: &Verdict) -> Flow {
        match verdict.code {
            Code::Done => Ok(()),
            Code::Deny | Code::DenyDisconnect => self.refuse_message(552, verdict).await,
            Code::DenySoft | Code::DenySoftDisconnect => self.refuse_message(452, verdict).await,
            _ => self.queue().await,
        }
    }
}

/// The offset of the first blank line, from the line in which `from` is.
fn end_of_header(lines: &[u8], from: usize) -> Option<usize> {
    if lines.first() == Some(&b'\n') {
        return Some(0);
    }
    let rest = lines.get(from..)?;
    memchr::memmem::find(rest, b"\n\n").map(|at| from + at + 1)
}

#[cfg(test)]
mod tests {
    use super::end_of_header;

    #[test]
    fn the_header_ends_at_the_first_blank_line() {
        assert_eq!(end_of_header(b"a: b\n\nc\n\nd\n", 0), Some(5));
        assert_eq!(end_of_header(b"\na: b\n\n", 0), Some(0));
        assert_eq!(end_of_header(b"a: b\n \n", 0), None);
        assert_eq!(end_of_header(b"", 0), None);
    }

    #[test]
    fn a_blank_line_is_found_across_blocks() {
        assert_eq!(end_of_header(b"a: b\n\n", 4), Some(5));
    }
}
