//! What the server itself adds to a message's header: the Received line and
//! Authentication-Results, in the order of the profile.

use super::core::{Conversation, LOGDEBUG, is_true};
use super::header_lines::{field_values, move_fields};
use super::state::{Profile, SessionSettings, seconds_since_1970};
use super::step::Step;
use crate::base::civil_date;
use crate::config::BareLineEnds;
use crate::hook::{Arg, Code, Hook, Method};
use crate::mail::HeaderSlot;

const AUTH_RESULTS: &str = "Authentication-Results";
const RECEIVED: &str = "Received";

/// What `me-auth-results` says of the field with our results.
enum Named {
    /// There is none.
    Unwanted,
    As(Vec<u8>),
    /// Under the server's own name.
    AsServer,
}

impl Named {
    fn is_wanted(&self) -> bool {
        !matches!(self, Named::Unwanted)
    }
}

impl Conversation {
    /// Adds the server's own fields to the message that has just come.
    pub(super) async fn add_trace_fields(&self) {
        match self.state.settings.profile {
            Profile::V094 => {
                self.add_results(Named::AsServer).await;
                self.add_received().await;
            }
            Profile::V100 => {
                self.hook(Hook::DataPostHeaders, Vec::new()).await;
                let named = self.name_for_results().await;
                if named.is_wanted() {
                    self.keep_older_results().await;
                }
                self.add_received().await;
                self.add_results(named).await;
            }
        }
    }

    /// `$qp->clean_authentication_results`.
    pub(super) async fn clean_results(&self) {
        if self.name_for_results().await.is_wanted() {
            self.keep_older_results().await;
        }
    }

    /// `$qp->authentication_results`.
    pub(super) async fn add_own_results(&self) {
        let named = match self.state.settings.profile {
            Profile::V094 => Named::AsServer,
            Profile::V100 => self.name_for_results().await,
        };
        self.add_results(named).await;
    }

    async fn add_results(&self, named: Named) {
        let server = match named {
            Named::Unwanted => return,
            Named::As(name) => name,
            Named::AsServer => self.me().await,
        };
        let results = self.authentication_results(server).await;
        self.add_on_top(AUTH_RESULTS, results).await;
    }

    async fn name_for_results(&self) -> Named {
        let lines = self.config_lines("me-auth-results").await;
        match lines.first() {
            Some(first) if first == b"none" => Named::Unwanted,
            // Further lines are further results.
            Some(first) if is_true(first) => Named::As(lines.join(&b"; "[..])),
            _ => Named::AsServer,
        }
    }

    async fn authentication_results(&self, server: Vec<u8>) -> Vec<u8> {
        self.log(LOGDEBUG, "adding auth results header");
        let mut value = server;
        value.extend_from_slice(b"; auth=");
        if self.state.authenticated.get().is_none() {
            value.extend_from_slice(b"none");
        } else {
            let result: &[u8] = match self.state.is_authenticated() {
                true => b"pass (",
                false => b"fail (",
            };
            value.extend_from_slice(result);
            let mechanism = self.state.auth_mechanism.borrow();
            value.extend_from_slice(mechanism.as_deref().unwrap_or_default());
            value.extend_from_slice(b") smtp.auth=");
            let user = self.state.auth_user.borrow();
            value.extend_from_slice(&printable(user.as_deref().unwrap_or_default()));
        }
        let notes = &self.connection().notes;
        if let Some(more) = notes
            .bytes(b"authentication_results")
            .filter(|t| is_true(t))
        {
            value.extend_from_slice(b"; ");
            value.extend_from_slice(&more);
        }
        value
    }

    /// Renames the results that came with the message, so that nobody takes them for ours, and puts
    /// them at the header's end, as 1.00 does. A field that a DKIM signature covers stays, since the signature would break.
    async fn keep_older_results(&self) {
        let mut moved = false;
        let native = match &mut *self.transaction().header.borrow_mut() {
            HeaderSlot::None => true,
            HeaderSlot::Native(header) => {
                let signatures = field_values(&header.bytes, "DKIM-Signature");
                if !signatures.iter().any(|value| signs_results(value)) {
                    move_fields(&mut header.bytes, AUTH_RESULTS, ORIGINAL_RESULTS);
                    moved = true;
                }
                true
            }
            HeaderSlot::Foreign(_) => false,
        };
        if native {
            if moved {
                self.log(LOGDEBUG, MOVED);
            }
            return;
        }
        let signatures = self.ask(|to| Step::GetHeader("DKIM-Signature", to)).await;
        if !signatures.iter().any(|value| signs_results(value)) {
            let rename = |to| Step::RenameHeader {
                old: AUTH_RESULTS,
                new: ORIGINAL_RESULTS,
                to,
            };
            self.ask(rename).await;
            self.log(LOGDEBUG, MOVED);
        }
    }

    async fn add_received(&self) {
        if self.is_replaced(Method::ReceivedLine) {
            let line = self.replaced_received_line().await;
            if let (Profile::V100, Some(line)) = (self.state.settings.profile, line) {
                self.add_on_top(RECEIVED, line).await;
            }
            return;
        }
        let line = self.make_received_line().await;
        if let (Profile::V100, Some(line)) = (self.state.settings.profile, line) {
            self.add_on_top(RECEIVED, line).await;
        }
    }

    /// The text of the Received line. Under 0.94 it is in the header then, under 1.00 the caller
    /// puts it there.
    pub(super) async fn make_received_line(&self) -> Option<Vec<u8>> {
        let connection = self.connection();
        let tls = connection.notes.is_true(b"tls_enabled");
        let authenticated = self.state.is_authenticated();
        let mut smtp = match connection.said_ehlo() {
            true => String::from("ESMTP"),
            false => String::from("SMTP"),
        };
        // The words of RFC 3848 are for ESMTP only.
        let extended = connection.said_ehlo();
        let mut cipher = Vec::new();
        if tls {
            smtp.push_str(if extended { "S" } else { "" });
            cipher = self.cipher().await;
        }
        let mut auth = Vec::new();
        if authenticated {
            smtp.push_str(if extended { "A" } else { "" });
            auth = self.auth_comment();
        }
        let args = vec![
            Arg::from(&smtp[..]),
            match authenticated {
                true => Arg::Client(auth),
                false => Arg::Bytes(auth),
            },
            Arg::Bytes(cipher.clone()),
        ];
        let verdict = self.hook(Hook::ReceivedLine, args).await;
        let line = match (&verdict.code, self.state.settings.keeps_received) {
            // It loses the line that the plugin made, and adds none.
            (Code::Ok, false) => return None,
            // Folded lines as the plugin gave them; without a text the field is empty.
            (Code::Ok, true) => without_name(verdict.lines().join(&b'\n')),
            _ => self.received_line(&smtp, &cipher).await,
        };
        if self.state.settings.profile == Profile::V094 {
            self.add_on_top(RECEIVED, line.clone()).await;
        }
        Some(line)
    }

    async fn received_line(&self, smtp: &str, cipher: &[u8]) -> Vec<u8> {
        let me = self.me().await;
        let connection = self.connection();
        let text = |value: &Option<Vec<u8>>| printable(value.as_deref().unwrap_or_default());
        let SessionSettings {
            product, version, ..
        } = &*self.state.settings;
        let now = seconds_since_1970(self.now().await);
        // 1.00 has the cipher behind the protocol, where its readers look for it.
        let with = match self.state.settings.profile {
            Profile::V094 => [cipher, smtp.as_bytes()].concat(),
            Profile::V100 => [smtp.as_bytes(), b" ", cipher].concat(),
        };
        // RFC 5321 section 4.4.
        let with = match self.state.id() {
            id if self.state.settings.show_id.received && !id.is_empty() => {
                [with.trim_ascii_end(), b" id ", id.as_bytes()].concat()
            }
            _ => with,
        };
        [
            b"from ",
            &text(&connection.remote_info.borrow())[..],
            b" (HELO ",
            &text(&connection.hello_host.borrow())[..],
            b") (",
            &text(&connection.remote_ip.borrow())[..],
            b")\n by ",
            &me[..],
            format!(" ({product}/{version}) with ").as_bytes(),
            &with,
            b"; ",
            date(now, self.state.settings.zone.offset_at(now)).as_bytes(),
        ]
        .concat()
    }

    /// `(NAME encrypted)`, under 0.94 with a space behind it, or nothing where the cipher is not known.
    async fn cipher(&self) -> Vec<u8> {
        let end: &[u8] = match self.state.settings.profile {
            Profile::V094 => b" encrypted) ",
            Profile::V100 => b" encrypted)",
        };
        match self.ask(Step::Cipher).await {
            Some(name) => [b"(", &name[..], end].concat(),
            None => Vec::new(),
        }
    }

    fn auth_comment(&self) -> Vec<u8> {
        let user = self.state.auth_user.borrow();
        let mechanism = self.state.auth_mechanism.borrow();
        [
            b"(smtp-auth username ",
            &printable(user.as_deref().unwrap_or_default())[..],
            b", mechanism ",
            mechanism.as_deref().unwrap_or_default(),
            b")\n",
        ]
        .concat()
    }

    async fn add_on_top(&self, name: &'static str, value: Vec<u8>) {
        let value = match self.state.settings.strictness.bare_line_ends {
            BareLineEnds::Original => value,
            _ => without_bare_bytes(value),
        };
        let transaction = self.transaction();
        if let HeaderSlot::Native(header) = &mut *transaction.header.borrow_mut() {
            header.add_on_top(name.as_bytes(), &value);
            return;
        }
        self.ask(|to| Step::AddHeader { name, value, to }).await;
    }
}

const ORIGINAL_RESULTS: &str = "Original-Authentication-Results";
const MOVED: &str = "Authentication-Results moved to Original-Authentication-Results";

/// Whether a DKIM signature's list of fields (`h=`) has Authentication-Results in it.
fn signs_results(signature: &[u8]) -> bool {
    let mut tags = signature.split(|byte| *byte == b';');
    let list = tags.find_map(|tag| tag.trim_ascii().strip_prefix(b"h="));
    list.is_some_and(|list| {
        list.split(|byte| *byte == b':').any(|name| {
            name.trim_ascii()
                .eq_ignore_ascii_case(AUTH_RESULTS.as_bytes())
        })
    })
}

/// A plugin's text may begin with the field's name.
fn without_name(text: Vec<u8>) -> Vec<u8> {
    let name = text.get(..RECEIVED.len());
    let named = name.is_some_and(|name| name.eq_ignore_ascii_case(RECEIVED.as_bytes()));
    match text.get(RECEIVED.len()) {
        Some(b':') if named => text[RECEIVED.len() + 1..].trim_ascii_start().to_vec(),
        _ => text,
    }
}

/// The value of a field of ours, whatever plugins have made it of: folded with LF, it has no CR and no NUL.
fn without_bare_bytes(mut value: Vec<u8>) -> Vec<u8> {
    let mut kept = Vec::with_capacity(value.len());
    if memchr::memchr2(b'\r', 0, &value).is_some() {
        for (at, byte) in value.iter().enumerate() {
            match byte {
                b'\r' if value.get(at + 1) == Some(&b'\n') => {}
                b'\r' | 0 => kept.push(b'?'),
                byte => kept.push(*byte),
            }
        }
        value = kept;
    }
    value
}

/// Client text for a header: control bytes would break the field.
fn printable(text: &[u8]) -> Vec<u8> {
    let shown = |byte: &u8| match byte {
        0..=0x1f | 0x7f => b'?',
        byte => *byte,
    };
    text.iter().map(shown).collect()
}

/// A date of RFC 5322, at an offset from UTC in seconds.
fn date(seconds: i64, offset: i32) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let local = seconds + i64::from(offset);
    let days = local.div_euclid(86_400);
    let time = local.rem_euclid(86_400);
    let (year, month, day) = civil_date(days);
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        DAYS[days.rem_euclid(7) as usize],
        MONTHS[(month - 1).rem_euclid(12) as usize],
        time / 3600,
        time / 60 % 60,
        time % 60,
        minutes / 60,
        minutes % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar_and_the_zone() {
        assert_eq!(date(0, 0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(date(951_827_696, 0), "Tue, 29 Feb 2000 12:34:56 +0000");
        assert_eq!(date(1_767_590_000, 3600), "Mon, 05 Jan 2026 06:13:20 +0100");
        assert_eq!(date(0, -12_600), "Wed, 31 Dec 1969 20:30:00 -0330");
        assert_eq!(date(4_107_542_400, 0), "Mon, 01 Mar 2100 00:00:00 +0000");
    }

    #[test]
    fn a_field_has_neither_cr_nor_nul() {
        let value = without_bare_bytes(b"a\r\n b\rX: c\0d".to_vec());
        assert_eq!(value, b"a\n b?X: c?d");
    }

    #[test]
    fn a_signature_covers_the_results_only_where_it_lists_them() {
        let covers = b" v=1; a=rsa; h=from:Authentication-Results :\n to; b=xyz";
        assert!(signs_results(covers));
        assert!(!signs_results(
            b" v=1; h=from:to; b=h=authentication-results"
        ));
    }
}
