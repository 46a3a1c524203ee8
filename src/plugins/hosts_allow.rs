//! `native/hosts_allow`: decides before the greeting who may connect, as qpsmtpd's plugin of that name: no more
//! connections of an IPv4 address at a time than `--max-from-ip` says (with the note `karma_history` of a client:
//! three more, or one in all), and what config `hosts_allow` says of it, in lines of an address or a network, a
//! return code and the reply's text. Does not count those of an IPv6 address, and has no networks of them.

use std::net::{IpAddr, Ipv4Addr};

use super::list::{is_space, is_true};
use crate::config::Profile;
use crate::hook::{Code, Verdict};
use crate::log::{LOGDEBUG, LOGINFO};
use crate::plugin::twin::Port;
use crate::plugin::{
    HookResult, Hooks, LoadEnv, Plugin, PluginError, PreConnectionCx, declined, denysoft,
};

pub(super) struct HostsAllow;

impl Plugin for HostsAllow {
    const NAME: &'static str = "hosts_allow";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<HostsAllow, PluginError> {
        Ok(HostsAllow)
    }

    fn hooks(hooks: &mut Hooks<HostsAllow>) {
        hooks.pre_connection(HostsAllow::pre_connection);
    }
}

impl Port for HostsAllow {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "884dbaf6b4ec8257a5bd871a2d93bb9f3079daf6cdb5b349ee71c0bf4bea56c2",
            Profile::V094,
        ),
        (
            "8d5184204549cf0eb2fe25181cd651fce27d57b5d25aabca8b2e5666b953746a",
            Profile::V100,
        ),
    ];

    fn perl_args(_: &[Vec<u8>]) {}
}

impl HostsAllow {
    async fn pre_connection(&self, cx: &mut PreConnectionCx<'_>) -> HookResult {
        if let Some((number, limit)) = too_many(cx) {
            let text = format!("too many connections from {}", cx.client().ip_text());
            cx.log(LOGINFO, format!("fail: {text} ({number} > {limit})"));
            return denysoft(format!("{text}, try again later"));
        }
        let ip = match cx.client().ip() {
            Some(IpAddr::V4(ip)) => Some(ip),
            _ => None,
        };
        for line in cx.config_lines("hosts_allow").await {
            let Some(line) = Line::of(&line) else {
                continue;
            };
            if ip.is_some_and(|ip| line.has(ip)) {
                return line.verdict(cx);
            }
        }
        cx.log(LOGDEBUG, "pass");
        declined()
    }
}

/// How many connections the client has with this one, and how many it may have, where that is less.
fn too_many(cx: &PreConnectionCx<'_>) -> Option<(i64, i64)> {
    let max = cx.max_conn_ip();
    if max == 0 {
        return None;
    }
    let ip = cx.client().ip().filter(IpAddr::is_ipv4);
    let others = cx.child_addrs();
    let others = others.iter().filter(|other| Some(**other) == ip).count();
    let number = i64::try_from(others).unwrap_or(i64::MAX).saturating_add(1);
    let limit = match cx.notes().int("karma_history") {
        None => max,
        Some(karma) if karma > 5 => {
            cx.log(LOGDEBUG, "connect limit +3 for positive karma");
            max + 3
        }
        Some(karma) if karma <= 0 => {
            cx.log(LOGINFO, format!("connect limit 1, karma {karma}"));
            1
        }
        Some(_) => max,
    };
    (number > limit).then_some((number, limit))
}

/// A line of the list.
struct Line<'a> {
    net: &'a [u8],
    mask: Ipv4Addr,
    code: &'a [u8],
    text: Option<&'a [u8]>,
}

impl Line<'_> {
    /// None where there is no return code in it.
    fn of(line: &[u8]) -> Option<Line<'_>> {
        let line = line.trim_ascii_start();
        let (place, rest) = word(line)?;
        let (code, text) = match word(rest) {
            Some((code, text)) => (code, Some(text)),
            None => (rest, None),
        };
        let slash = place.iter().position(|byte| *byte == b'/');
        let (net, length) = match slash {
            Some(at) => (&place[..at], bits(&place[at + 1..])),
            None => (place, 32),
        };
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or_default();
        Some(Line {
            net,
            mask: mask.into(),
            code,
            text,
        })
    }

    fn has(&self, ip: Ipv4Addr) -> bool {
        let masked = Ipv4Addr::from_bits(ip.to_bits() & self.mask.to_bits());
        masked.to_string().as_bytes() == self.net
    }

    fn verdict(&self, cx: &PreConnectionCx<'_>) -> HookResult {
        let code = code(self.code).unwrap_or(Code::Declined);
        let text = self.text.unwrap_or_default();
        // The original looks for the name where the number is; only of digits in the list it makes a name.
        let shown = match &code {
            Code::Other(name) => {
                if name.starts_with(b"DENY") {
                    cx.log(LOGINFO, [b"fail, ", text].concat());
                }
                String::from_utf8_lossy(name).into_owned()
            }
            code => code.number().unwrap_or_default().to_string(),
        };
        cx.log(
            LOGDEBUG,
            [b"pass, ", shown.as_bytes(), b", ", text].concat(),
        );
        Ok(match self.text {
            Some(text) if is_true(text) => Verdict::with_text(code, text),
            _ => Verdict::new(code),
        })
    }
}

/// The first word, and what is behind the white space behind it; none where there is no white space.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|byte| is_space(*byte))?;
    Some((&line[..end], line[end..].trim_ascii_start()))
}

/// The length of a network's prefix as Perl takes a word for a number, from 0 to 32.
fn bits(word: &[u8]) -> u32 {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_u32, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    });
    number.min(32)
}

/// What a return code's name stands for; of a number it is the name, which is no verdict.
fn code(name: &[u8]) -> Option<Code> {
    if !name.is_empty() && name.iter().all(u8::is_ascii_digit) {
        let number = std::str::from_utf8(name).ok()?.parse().ok()?;
        let name = Code::from_number(number).name()?;
        return Some(Code::Other(name.as_bytes().to_vec()));
    }
    Some(match name {
        b"DENYHARD" => Code::DenyDisconnect,
        b"CONTINUATION" => Code::Yield,
        name => (900..=911)
            .map(Code::from_number)
            .find(|code| code.name().map(str::as_bytes) == Some(name))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_network_a_code_and_a_text() {
        let line = Line::of(b"  127.0.4.0/30  DENY  go away ").unwrap();
        assert!(line.has([127, 0, 4, 3].into()) && !line.has([127, 0, 4, 4].into()));
        assert_eq!(
            (line.code, line.text),
            (&b"DENY"[..], Some(&b"go away "[..]))
        );
        let one = Line::of(b"127.0.0.1 OK").unwrap();
        assert!(one.has([127, 0, 0, 1].into()) && one.text.is_none());
        // What is no network of that length has nobody in it.
        assert!(
            !Line::of(b"127.0.4.1/30 DENY")
                .unwrap()
                .has([127, 0, 4, 1].into())
        );
        assert!(
            Line::of(b"0.0.0.0/0 DENY")
                .unwrap()
                .has([192, 0, 2, 1].into())
        );
        assert!(
            Line::of(b"192.0.2.1/99 DENY")
                .unwrap()
                .has([192, 0, 2, 1].into())
        );
        assert!(Line::of(b"127.0.0.1").is_none() && Line::of(b"").is_none());
    }

    #[test]
    fn codes_have_the_names_of_qpsmtpd_s_constants() {
        assert_eq!(code(b"DENYSOFT"), Some(Code::DenySoft));
        assert_eq!(code(b"DENYHARD"), Some(Code::DenyDisconnect));
        assert_eq!(code(b"901"), Some(Code::Other(b"DENY".to_vec())));
        assert_eq!(code(b"deny"), None);
    }
}
