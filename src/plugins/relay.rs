//! `native/relay [only 0|1]`: which clients may send to any host, as qpsmtpd's plugin of that name: not those of
//! config `norelayclients`, else all where RELAYCLIENT is in the environment, else those of config `relayclients`
//! (addresses, beginnings of them, networks) and of the map `morerelayclients`. With `only` nobody else may send at
//! all. Does not take RELAYCLIENT away for plugins behind it where a client is in `norelayclients`.

use std::net::IpAddr;

use serde::Deserialize;

use super::{map, pairs};
use crate::config::Profile;
use crate::log::{LOGDEBUG, LOGERROR, LOGINFO};
use crate::plugin::twin::Port;
use crate::plugin::{
    Cx, Failure, HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, declined, deny, ok,
};

const MAP: &str = "morerelayclients";

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Args {
    only: bool,
}

pub(super) struct Relay {
    only: bool,
    of: Profile,
}

impl Plugin for Relay {
    const NAME: &'static str = "relay";

    type Args = Args;

    fn load(args: Args, env: &LoadEnv<'_>) -> Result<Relay, PluginError> {
        if pairs::are_odd(env.words()) {
            env.log(LOGERROR, "Bad arguments");
        }
        Ok(Relay {
            only: args.only,
            of: env.profile(),
        })
    }

    fn hooks(hooks: &mut Hooks<Relay>) {
        hooks.connect(Relay::connect);
        if hooks.plugin().only {
            hooks.rcpt(Relay::rcpt);
        }
    }
}

impl Port for Relay {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "de1b0b62b00869caec76b6cf999c676de784fc845e841eceaeca674d55cf9037",
            Profile::V094,
        ),
        (
            "6106dfa62ab24fd5f78830d960e09d06140393d0f8abb8719332cd4e33f106e8",
            Profile::V100,
        ),
    ];

    const KEEPS_PAIRS: bool = true;

    fn perl_args(words: &[Vec<u8>]) -> Args {
        Args {
            only: pairs::get_true(words, "only").is_some(),
        }
    }
}

impl Relay {
    async fn connect(&self, cx: &mut Cx<'_>) -> HookResult {
        let ip = cx.client().ip_text();
        if is_in_norelayclients(cx, &ip).await {
            cx.client().set_may_relay(false);
            cx.log(LOGINFO, "fail, disabled by norelayclients");
            return declined();
        }
        if self.is_in_environment() {
            cx.client().set_may_relay(true);
            cx.log(LOGINFO, "pass, enabled by env");
            return declined();
        }
        let clients = cx.config_lines("relayclients").await;
        let (blocks, plain): (Vec<_>, Vec<_>) = clients.iter().partition(|line| is_block(line));
        if is_in_block(cx, &ip, &blocks) || is_by_octets(cx, &ip, &plain).await? {
            cx.client().set_may_relay(true);
            return declined();
        }
        cx.log(LOGINFO, "skip, no match");
        declined()
    }

    async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        match cx.client().may_relay() {
            true => ok(),
            false => deny(""),
        }
    }

    fn is_in_environment(&self) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let value = std::env::var_os("RELAYCLIENT");
        match self.of {
            Profile::V094 => value.is_some_and(|value| super::list::is_true(value.as_bytes())),
            Profile::V100 => value.is_some(),
        }
    }
}

async fn is_in_norelayclients(cx: &Cx<'_>, ip: &str) -> bool {
    let listed = cx.config_lines("norelayclients").await;
    let mut rest = ip;
    while !rest.is_empty() && rest != "0" {
        if listed.iter().any(|line| line == rest.as_bytes()) {
            cx.log(LOGINFO, format!("{rest} in norelayclients"));
            return true;
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let Some(shorter) = without_last(rest, &[':', '.'], is_part) else {
            break;
        };
        rest = shorter;
    }
    cx.log(LOGDEBUG, "no match in norelayclients");
    false
}

/// Without its last part, and one of these behind it; none where there is no such part.
fn without_last<'a>(
    text: &'a str,
    ends: &[char],
    is_part: impl Fn(char) -> bool,
) -> Option<&'a str> {
    let text = text.strip_suffix(ends).unwrap_or(text);
    let shorter = text.trim_end_matches(is_part);
    (shorter.len() < text.len()).then_some(shorter)
}

/// Whether a line ends in `/` and a number other than 0, with no other slash before.
fn is_block(line: &[u8]) -> bool {
    let Some(at) = line.iter().rposition(|byte| *byte == b'/') else {
        return false;
    };
    let (net, length) = (&line[..at], &line[at + 1..]);
    let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    is_number && length != b"0" && !net.is_empty() && !net.contains(&b'/')
}

fn is_in_block(cx: &Cx<'_>, ip: &str, blocks: &[&Vec<u8>]) -> bool {
    if ip.is_empty() || ip == "0" {
        cx.log(LOGINFO, "err, no remote_ip?");
        return false;
    }
    let client = cx.client().ip();
    let has = |block: &&Vec<u8>| client.is_some_and(|client| is_inside(client, block));
    if blocks.iter().any(has) {
        cx.log(LOGINFO, format!("pass, cidr match ({ip})"));
        return true;
    }
    cx.log(LOGDEBUG, "no cidr match");
    false
}

/// Whether an address is between the first and the last of a block, which do not count themselves.
fn is_inside(client: IpAddr, block: &[u8]) -> bool {
    let Some((first, last)) = std::str::from_utf8(block).ok().and_then(range) else {
        return false;
    };
    // Those of the other kind compare in no order that means anything.
    client.is_ipv4() == first.is_ipv4() && first < client && client < last
}

/// The first and the last address of `NET/LENGTH`; none where bits behind the length are set.
fn range(block: &str) -> Option<(IpAddr, IpAddr)> {
    let (net, length) = block.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let net = address(net)?;
    match net {
        IpAddr::V4(first) => {
            let behind = u32::MAX.checked_shr(length).unwrap_or_default();
            let last = first.to_bits() | behind;
            let fits = length <= 32 && first.to_bits() & behind == 0;
            fits.then(|| (net, IpAddr::V4(last.into())))
        }
        IpAddr::V6(first) => {
            let behind = u128::MAX.checked_shr(length).unwrap_or_default();
            let last = first.to_bits() | behind;
            let fits = length <= 128 && first.to_bits() & behind == 0;
            fits.then(|| (net, IpAddr::V6(last.into())))
        }
    }
}

/// An address; of an IPv4 one numbers may be missing at the end, which are 0 then.
fn address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let numbers: Option<Vec<u8>> = text.split('.').map(|part| part.parse().ok()).collect();
    let numbers = numbers.filter(|numbers| numbers.len() <= 4)?;
    let mut all = [0; 4];
    all[..numbers.len()].copy_from_slice(&numbers);
    Some(all.into())
}

async fn is_by_octets(cx: &Cx<'_>, ip: &str, clients: &[&Vec<u8>]) -> Result<bool, Failure> {
    if ip == "::1" {
        cx.log(LOGINFO, format!("pass, octet matched localhost ({ip})"));
        return Ok(true);
    }
    let is_v6 = ip.contains(':');
    let mut rest = match (ip.contains("::"), cx.client().ip()) {
        (true, Some(IpAddr::V6(long))) => in_full(long),
        _ => ip.to_owned(),
    };
    while !rest.is_empty() && rest != "0" {
        if clients.iter().any(|line| **line == rest.as_bytes()) {
            let text = format!("pass, octet match in relayclients ({rest})");
            cx.log(LOGINFO, text);
            return Ok(true);
        }
        if map::has(cx, MAP, rest.as_bytes()).await? {
            let text = format!("pass, octet match in morerelayclients ({rest})");
            cx.log(LOGINFO, text);
            return Ok(true);
        }
        let shorter = match is_v6 {
            true => {
                let shorter = rest.strip_suffix(':').unwrap_or(&rest);
                let shorter = &shorter[..shorter.len().saturating_sub(1)];
                Some(shorter.strip_suffix(':').unwrap_or(shorter))
            }
            false => without_last(&rest, &['.'], |c| c.is_ascii_digit()),
        };
        let Some(shorter) = shorter else {
            break;
        };
        rest = shorter.to_owned();
    }
    cx.log(LOGDEBUG, "no octet match");
    Ok(false)
}

/// With all digits of it.
fn in_full(ip: std::net::Ipv6Addr) -> String {
    let groups = ip.segments().map(|group| format!("{group:04x}"));
    groups.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_what_is_between_its_ends() {
        let inside = |ip: &str, block: &str| is_inside(ip.parse().unwrap(), block.as_bytes());
        assert!(inside("127.0.8.1", "127.0.8.0/24"));
        assert!(inside("10.200.0.1", "10/8"));
        assert!(inside("2001:db8::5", "2001:db8::/32"));
        for (ip, block) in [
            ("127.0.8.0", "127.0.8.0/24"),
            ("127.0.8.255", "127.0.8.0/24"),
            ("127.0.9.1", "127.0.8.0/24"),
            ("127.0.8.1", "127.0.8.1/24"),
            ("127.0.8.1", "127.0.8.1/32"),
            ("::1", "0.0.0.0/1"),
            ("127.0.8.1", "127.0.8.0/33"),
            ("127.0.8.1", "nonsense/24"),
        ] {
            assert!(!inside(ip, block), "{ip} {block}");
        }
        assert!(is_block(b"127.0.8.0/24") && !is_block(b"127.0.8.") && !is_block(b"1.2.3.4/0"));
    }

    #[test]
    fn an_address_loses_its_last_part() {
        let digits = |c: char| c.is_ascii_digit();
        assert_eq!(without_last("127.0.2.1", &['.'], digits), Some("127.0.2."));
        assert_eq!(without_last("127.0.2.", &['.'], digits), Some("127.0."));
        assert_eq!(without_last("127.", &['.'], digits), Some(""));
        assert_eq!(without_last("x", &['.'], digits), None);
        assert_eq!(
            in_full("2001:db8::1".parse().unwrap()),
            "2001:0db8:0000:0000:0000:0000:0000:0001"
        );
    }
}
