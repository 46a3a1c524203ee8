//! `native/dnsbl [reject R|connect] [reject_type T] [loglevel L]`: refuses clients that a list of config `dnsbl_zones`
//! has (`zone`, whose TXT record is the reply, or `zone:text`, of which the A record counts), as qpsmtpd's plugin of
//! that name; not those of config `dnsbl_allow`, nor where RBLSMTPD is in the environment, which with `reject connect`
//! is a reply of its own. Asks for IPv4 addresses in the form that lists have; `timeout` makes no difference.

use std::os::unix::ffi::OsStringExt;

use super::list::is_true;
use super::pairs;
use crate::config::Profile;
use crate::hook::{Code, Verdict};
use crate::log::{LOGDEBUG, LOGERROR, LOGINFO, LOGWARN};
use crate::plugin::twin::Port;
use crate::plugin::{
    Cx, DnsAnswer, DnsData, DnsKind, HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx,
    Words, declined,
};

pub(super) struct DnsBl {
    /// `reject connect`
    by_environment: bool,
    of: Profile,
}

/// A list, and whether addresses are asked for.
struct Zone {
    name: Vec<u8>,
    has_text: bool,
}

impl Plugin for DnsBl {
    const NAME: &'static str = "dnsbl";

    /// One word alone is `reject_type`'s.
    type Args = Words;

    const REJECTS: bool = true;
    const REJECT_WORDS: &'static [&'static str] = &["connect"];

    fn load(Words(words): Words, env: &LoadEnv<'_>) -> Result<DnsBl, PluginError> {
        let first = words.first().filter(|_| pairs::are_odd(&words));
        match first {
            Some(word) => {
                env.always_reject_type(&String::from_utf8_lossy(word));
            }
            None if !env.is_twin() => pairs::check(&words, &["timeout"])?,
            None => {}
        }
        env.usual_reject_type("perm");
        let reject = pairs::get(env.words(), "reject").filter(|_| first.is_none());
        Ok(DnsBl {
            by_environment: reject == Some(b"connect"),
            of: env.profile(),
        })
    }

    fn hooks(hooks: &mut Hooks<DnsBl>) {
        hooks.connect(DnsBl::connect);
        hooks.rcpt(DnsBl::rcpt);
    }
}

impl Port for DnsBl {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "56957e184b1acb61a60a79376266b537d916bf2eed03916342ae9595bb2b905b",
            Profile::V094,
        ),
        (
            "7dfaf58228952c8aef94e5a702dfae6ca52b8bfc5c3eef10317599a147cf7567",
            Profile::V100,
        ),
    ];

    fn perl_args(words: &[Vec<u8>]) -> Words {
        Words(words.to_vec())
    }
}

impl DnsBl {
    async fn connect(&self, cx: &mut Cx<'_>) -> HookResult {
        let said = std::env::var_os("RBLSMTPD").map(OsStringExt::into_vec);
        if let Some(said) = said.as_ref().filter(|said| !said.is_empty())
            && self.by_environment
        {
            return reply_of_environment(cx, said).await;
        }
        if cx.is_immune() || is_left_to_environment(cx, said) || is_allowed(cx).await {
            return declined();
        }
        let zones = zones(cx).await;
        if zones.is_empty() {
            cx.log(LOGDEBUG, "skip, no zones");
            return declined();
        }
        if self.of == Profile::V094 {
            cx.log(LOGDEBUG, "initializing Net::DNS::Resolver");
        }
        for zone in &zones {
            let answer = ask(cx, zone).await;
            let name = &zone.name[..];
            if answer.records.is_empty() && answer.code != "NXDOMAIN" {
                let text = [name, b" query failed:  ", answer.code.as_bytes()].concat();
                cx.log(LOGERROR, text);
            }
            if let Some(text) = listed(cx, &answer) {
                cx.adjust_karma(-1);
                return cx.get_reject(text, &String::from_utf8_lossy(name));
            }
        }
        cx.log(LOGINFO, "pass");
        declined()
    }

    async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        let recipient = cx.recipient();
        let user = recipient.user().unwrap_or_default();
        let special: [&[u8]; 4] = [b"postmaster", b"abuse", b"mailer-daemon", b"root"];
        if special.iter().any(|name| user.eq_ignore_ascii_case(name)) {
            cx.log(
                LOGWARN,
                [b"skip, don't blacklist special account: ", user].concat(),
            );
            cx.set_naughty("0");
        }
        declined()
    }
}

/// Refused with RBLSMTPD's text behind that of config `dnsbl_rejectmsg`.
async fn reply_of_environment(cx: &Cx<'_>, said: &[u8]) -> HookResult {
    let ip = cx.client().ip_text();
    let said = String::from_utf8_lossy(said).replace("%IP%", &ip);
    let text = cx.config_lines("dnsbl_rejectmsg").await.into_iter().next();
    let text = text.unwrap_or_default();
    cx.log(LOGINFO, [b"fail, ", &text[..]].concat());
    let reply = [&text[..], b" ", said.as_bytes()].concat();
    Ok(Verdict::with_text(cx.get_reject_type(Code::Deny), reply))
}

fn is_left_to_environment(cx: &Cx<'_>, said: Option<Vec<u8>>) -> bool {
    let ip = cx.client().ip_text();
    match said {
        None => {
            cx.log(LOGDEBUG, format!("RBLSMTPD not set for {ip}"));
            false
        }
        Some(said) if said.is_empty() => {
            cx.log(LOGINFO, format!("RBLSMTPD set, but empty for {ip}"));
            true
        }
        Some(said) => {
            let text = [b"RBLSMTPD=\"", &said[..], b"\" for ", ip.as_bytes()].concat();
            cx.log(LOGINFO, text);
            is_true(&said)
        }
    }
}

/// Whether config `dnsbl_allow` has the address, or what it begins with.
async fn is_allowed(cx: &Cx<'_>) -> bool {
    let ip = format!("{}.", cx.client().ip_text());
    let allowed = cx.config_lines("dnsbl_allow").await;
    allowed.iter().any(|start| {
        let start = start.strip_suffix(b".").unwrap_or(start);
        let rest = ip.as_bytes().strip_prefix(start);
        rest.is_some_and(|rest| rest.first() == Some(&b'.'))
    })
}

/// The lists, each once: the last line of a name counts.
async fn zones(cx: &Cx<'_>) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for line in cx.config_lines("dnsbl_zones").await {
        let colon = line.iter().position(|byte| *byte == b':');
        let zone = Zone {
            name: line[..colon.unwrap_or(line.len())].to_vec(),
            has_text: colon.is_some(),
        };
        match zones.iter_mut().find(|known| known.name == zone.name) {
            Some(known) => *known = zone,
            None => zones.push(zone),
        }
    }
    zones
}

async fn ask(cx: &Cx<'_>, zone: &Zone) -> DnsAnswer {
    let ip = cx.client().ip_text();
    let reversed: Vec<&str> = ip.rsplit('.').collect();
    let name = format!(
        "{}.{}",
        reversed.join("."),
        String::from_utf8_lossy(&zone.name)
    );
    let (kind, shown) = match zone.has_text {
        true => (DnsKind::A, "A"),
        false => (DnsKind::Txt, "TXT"),
    };
    cx.log(LOGDEBUG, format!("Checking {name} for {shown} record"));
    cx.dns().query(&name, kind).await
}

/// The reply for a client that is listed. The text of a line of `dnsbl_zones` never is: the original looks for it
/// where it never comes.
fn listed(cx: &Cx<'_>, answer: &DnsAnswer) -> Option<Vec<u8>> {
    answer.records.iter().find_map(|record| {
        let text = match &record.data {
            DnsData::Address(address) => {
                let name = &record.name;
                cx.log(LOGDEBUG, format!("found A for {name} with IP {address}"));
                name.clone().into_bytes()
            }
            DnsData::Text(pieces) => {
                let text = pieces.join(&b' ');
                cx.log(LOGDEBUG, [b"found TXT, ", &text[..]].concat());
                text
            }
            _ => return None,
        };
        Some(text).filter(|text| is_true(text))
    })
}
