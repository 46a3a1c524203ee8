//! What a hook has besides what all have: its arguments, by the names that src/hook/table.rs gives
//! them. All else is [`Cx`]'s, which each of these leads to.

use std::net::IpAddr;
use std::ops::Deref;

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::cx::Cx;
use super::facade::NotesHandle;
use crate::hook::{Arg, Code};
use crate::smtp::Address;

macro_rules! contexts {
    ($($(#[$doc:meta])* $name:ident { $($method:item)* })*) => { $(
        $(#[$doc])*
        pub struct $name<'a>(Cx<'a>);

        impl<'a> Deref for $name<'a> {
            type Target = Cx<'a>;

            fn deref(&self) -> &Cx<'a> {
                &self.0
            }
        }

        impl<'a> From<Cx<'a>> for $name<'a> {
            fn from(context: Cx<'a>) -> Self {
                $name(context)
            }
        }

        impl $name<'_> { $($method)* }
    )* };
}

contexts! {
    /// Before anything is said to a client. There is no greeting and no reverse name yet.
    PreConnectionCx {
        /// How many connections an address may have (`--max-from-ip`); 0: any number.
        pub fn max_conn_ip(&self) -> i64 {
            match self.fact("max_conn_ip") {
                Some(Arg::Int(number)) => *number,
                _ => 0,
            }
        }

        /// The addresses of the clients that are being served, one for each connection.
        pub fn child_addrs(&self) -> Vec<IpAddr> {
            match self.fact("child_addrs") {
                Some(Arg::List(packed)) => packed.iter().filter_map(|ip| unpacked(ip)).collect(),
                _ => Vec::new(),
            }
        }

        fn fact(&self, name: &str) -> Option<&Arg> {
            let mut pairs = self.args_from("connection").chunks_exact(2);
            let named = |pair: &&[Arg]| pair[0].text() == Some(name.as_bytes());
            pairs.find(named).map(|pair| &pair[1])
        }
    }
    /// HELO and EHLO.
    HelloCx {
        /// The name in the client's greeting.
        pub fn host(&self) -> &[u8] {
            self.bytes("host")
        }

        /// What a parser has found behind the host.
        pub fn extras(&self) -> Vec<&[u8]> {
            self.args_from("host").iter().skip(1).filter_map(Arg::text).collect()
        }
    }
    /// The parse hooks: [`parse_with`](crate::plugin::parse_with) is their verdict.
    ParseCx {
        /// What the client has sent behind the verb; none at HELO and EHLO, whose parser gets it.
        pub fn line(&self) -> &[u8] {
            self.bytes("line")
        }
    }
    /// AUTH, with a mechanism or for all of them. OK lets the client in; it may relay then.
    AuthCx {
        /// `plain`, `login` or `cram-md5`.
        pub fn mechanism(&self) -> &[u8] {
            self.bytes("mechanism")
        }

        /// Who the client says it is.
        pub fn user(&self) -> &[u8] {
            self.bytes("user")
        }

        /// The password, where the mechanism sends it.
        pub fn password(&self) -> Option<&[u8]> {
            self.given("clear")
        }

        /// The digest in hex digits that CRAM-MD5 sends in its place.
        pub fn digest(&self) -> Option<&[u8]> {
            self.given("hash")
        }

        /// The challenge of which it was made.
        pub fn ticket(&self) -> Option<&[u8]> {
            self.given("ticket")
        }

        /// Whether the client has shown that it knows this password: it has sent it, or the digest of the
        /// challenge with it.
        pub fn knows(&self, password: &[u8]) -> bool {
            match (self.password(), self.digest(), self.ticket()) {
                (Some(sent), _, _) => is_same(sent, password),
                (None, Some(digest), Some(ticket)) if !ticket.is_empty() => {
                    is_same(&digest.to_ascii_lowercase(), &hmac_md5(password, ticket))
                }
                _ => false,
            }
        }
    }
    /// MAIL and RCPT before the path is an address: OK with a text puts that in its place.
    PathCx {
        /// The path as the client has sent it, with its `<>`.
        pub fn path(&self) -> &[u8] {
            self.bytes("path")
        }

        /// The value of a parameter; the name in any case.
        pub fn param(&self, name: &str) -> Option<&[u8]> {
            let Some(Arg::Hash(pairs)) = self.args_from("parameters").first() else {
                return None;
            };
            let same = |(known, _): &&(Vec<u8>, _)| known.eq_ignore_ascii_case(name.as_bytes());
            pairs.iter().find(same).and_then(|(_, value)| value.as_deref())
        }
    }
    /// MAIL.
    MailCx {
        /// The reverse-path; the null one where there is no address.
        pub fn sender(&self) -> Address {
            self.address("sender").map_or_else(Address::null, |known| known.address.borrow().clone())
        }

        /// What plugins keep with it.
        pub fn sender_notes(&self) -> Option<NotesHandle> {
            self.address("sender").map(|known| NotesHandle::of(&known.notes))
        }

        /// The value of a parameter, such as SIZE (bytes); the name in any case.
        pub fn param(&self, name: &str) -> Option<&[u8]> {
            self.parameter(name)
        }
    }
    /// RCPT.
    RcptCx {
        /// The forward-path; the null one where there is no address.
        pub fn recipient(&self) -> Address {
            self.address("recipient").map_or_else(Address::null, |known| known.address.borrow().clone())
        }

        /// All values of a config name for this recipient: those that a user_config hook has for it, else those for
        /// all.
        pub async fn recipient_config_lines(&self, name: &str) -> Vec<Vec<u8>> {
            match self.address("recipient") {
                Some(recipient) => self.session.recipient_config(name, recipient).await,
                None => self.config_lines(name).await,
            }
        }

        /// What plugins keep with it.
        pub fn recipient_notes(&self) -> Option<NotesHandle> {
            self.address("recipient").map(|known| NotesHandle::of(&known.notes))
        }

        /// The value of a parameter; the name in any case.
        pub fn param(&self, name: &str) -> Option<&[u8]> {
            self.parameter(name)
        }
    }
    /// A verb that the session does not know.
    CommandCx {
        /// The verb in lower case.
        pub fn verb(&self) -> &[u8] {
            self.bytes("verb")
        }

        /// What is behind it.
        pub fn rest(&self) -> &[u8] {
            self.bytes("rest")
        }
    }
    /// HELP.
    HelpCx {
        /// What is behind it.
        pub fn words(&self) -> Vec<&[u8]> {
            self.args_from("words").iter().filter_map(Arg::text).collect()
        }
    }
    /// The message's Received field: OK with a text makes that its value.
    ReceivedLineCx {
        /// `ESMTPSA` and its like.
        pub fn protocol(&self) -> &[u8] {
            self.bytes("smtp")
        }

        /// The comment about the client's authentication; empty without one.
        pub fn auth_comment(&self) -> &[u8] {
            self.bytes("auth")
        }

        /// The comment about the cipher; empty without one.
        pub fn cipher_comment(&self) -> &[u8] {
            self.bytes("cipher")
        }
    }
    /// A config value: OK with [`values`](crate::plugin::values) makes these the value.
    ConfigCx {
        /// The name that is asked for.
        pub fn name(&self) -> &[u8] {
            self.bytes("name")
        }
    }
    /// A recipient's or user's config value.
    UserConfigCx {
        /// Whose it is, where it is an address.
        pub fn user(&self) -> Option<Address> {
            self.address("address").map(|known| known.address.borrow().clone())
        }

        /// The name that is asked for.
        pub fn name(&self) -> &[u8] {
            self.bytes("name")
        }
    }
    /// A line of the log. OK: it is written; DECLINED: the next logger has it, too.
    LoggingCx {
        /// 0 LOGEMERG to 7 LOGDEBUG.
        pub fn level(&self) -> u8 {
            self.int("level").clamp(0, 7) as u8
        }

        /// The hook in which it was said.
        pub fn said_in(&self) -> Option<&[u8]> {
            self.given("hook")
        }

        /// The plugin that has said it.
        pub fn said_by(&self) -> Option<&[u8]> {
            self.given("plugin")
        }

        /// What was said, texts with a space between them.
        pub fn text(&self) -> Vec<u8> {
            self.texts().join(&b' ')
        }

        /// What was said, text by text.
        pub fn texts(&self) -> Vec<Vec<u8>> {
            let texts = self.args_from("text").iter().map(|text| match text {
                Arg::Int(number) => number.to_string().into_bytes(),
                text => text.text().unwrap_or_default().to_vec(),
            });
            texts.collect()
        }
    }
    /// Another plugin's verdict, after it was given (`ok` and `deny`).
    VerdictCx {
        /// Whose it was.
        pub fn given_by(&self) -> &[u8] {
            self.bytes("plugin")
        }

        /// The verdict.
        pub fn code(&self) -> Code {
            match self.args_from("code").first() {
                Some(Arg::Int(number)) => Code::from_number(*number),
                Some(other) => Code::Other(other.text().unwrap_or_default().to_vec()),
                None => Code::Declined,
            }
        }

        /// Its first text.
        pub fn text(&self) -> &[u8] {
            self.bytes("text")
        }
    }
}

/// Compared in a time that does not tell where the difference is.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && openssl::memcmp::eq(one, other)
}

/// In hex digits; nothing where the system's library refuses MD5.
fn hmac_md5(key: &[u8], text: &[u8]) -> Vec<u8> {
    let signed = || {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(MessageDigest::md5(), &key)?;
        signer.sign_oneshot_to_vec(text)
    };
    let digest: Vec<u8> = signed().unwrap_or_default();
    let digits = digest.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<String>().into_bytes()
}

fn unpacked(ip: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(ip).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(ip).map(IpAddr::from))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_cram_md5_is_that_of_rfc_2195() {
        let ticket = b"<1896.697170952@postoffice.reston.mci.net>";
        let expected = b"b913a602c7eda7a495b4e6e7334d3890";
        assert_eq!(hmac_md5(b"tanstaaftanstaaf", ticket), expected);
    }

    #[test]
    fn packed_addresses_are_those_of_both_kinds() {
        assert_eq!(unpacked(&[192, 0, 2, 1]), "192.0.2.1".parse().ok());
        let mut six = [0; 16];
        six[15] = 1;
        assert_eq!(unpacked(&six), "::1".parse().ok());
        assert_eq!(unpacked(b"12345"), None);
    }
}
