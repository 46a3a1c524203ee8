//! What the DNS says of a greeting's name and of the client: whether the name has addresses and the address names, and
//! whether they meet (the notes `helo_forward_match` and `helo_reverse_match`). Does not look at the name itself.

use std::net::IpAddr;

use super::{Wrong, wrong};
use crate::log::{LOGDEBUG, LOGERROR, LOGINFO, LOGNOTICE};
use crate::plugin::{Cx, DnsData, DnsKind};

const FORWARD: &str = "helo_forward_match";
const REVERSE: &str = "helo_reverse_match";

/// The name has to have an address.
pub(super) async fn forward(cx: &Cx<'_>, host: &[u8]) -> Option<Wrong> {
    let mut name = String::from_utf8_lossy(host).into_owned();
    if !name.ends_with('.') {
        name.push('.');
    }
    let found = cx.dns().query(&name, DnsKind::A).await;
    if found.records.is_empty() {
        if found.code == "NXDOMAIN" {
            return wrong("HELO hostname does not exist", "no such host");
        }
        cx.log(LOGERROR, format!("skip, query failed ( {} )", found.code));
        return None;
    }
    let mut is_known = false;
    for record in found.records {
        if let DnsData::Address(address) = record.data {
            is_known = true;
            match_address(cx, address);
            if cx.notes().is_true(FORWARD) {
                break;
            }
        }
    }
    if !is_known {
        return wrong("HELO hostname did not resolve", "no forward DNS");
    }
    cx.log(LOGDEBUG, "pass, forward DNS");
    None
}

fn match_address(cx: &Cx<'_>, address: IpAddr) {
    let client = cx.client().ip_text();
    let address = address.to_string();
    if address == client {
        cx.log(LOGDEBUG, "forward ip match");
        cx.notes().set(FORWARD, 1);
        return;
    }
    let net = |ip: &str| ip.split('.').take(3).collect::<Vec<_>>().join(".");
    if net(&address) == net(&client) {
        cx.log(LOGNOTICE, "forward network match");
        cx.notes().set(FORWARD, 1);
    }
}

/// The client's address has to have a name.
pub(super) async fn reverse(cx: &Cx<'_>, host: &[u8]) -> Option<Wrong> {
    let ip = cx.client().ip_text();
    let found = match cx.client().ip() {
        Some(address) => {
            let name = crate::plugin::reversed(address);
            cx.dns().query(&name, DnsKind::Ptr).await
        }
        None => cx.dns().query(&ip, DnsKind::A).await,
    };
    if found.records.is_empty() {
        if found.code == "NXDOMAIN" {
            return wrong(&format!("no rDNS for {ip}"), "no rDNS");
        }
        cx.log(LOGINFO, &found.code);
        let log = format!("rDNS {}", found.code);
        return wrong(&format!("error getting reverse DNS for {ip}"), &log);
    }
    let mut is_known = false;
    for record in found.records {
        if let DnsData::Name(name) = record.data {
            is_known = true;
            cx.log(LOGDEBUG, format!("PTR: {name}"));
            let host = String::from_utf8_lossy(host).to_ascii_lowercase();
            match_name(cx, &name.to_ascii_lowercase(), &host);
        }
    }
    if !is_known {
        return wrong(&format!("no reverse DNS for {ip}"), "no rDNS");
    }
    cx.log(LOGDEBUG, "has rDNS");
    None
}

fn match_name(cx: &Cx<'_>, name: &str, host: &str) {
    if !name.contains('.') {
        return;
    }
    if name == host {
        cx.log(LOGDEBUG, "reverse name match");
        cx.notes().set(REVERSE, 1);
        return;
    }
    if domain(name) == domain(host) {
        cx.log(LOGNOTICE, "reverse domain match");
        cx.notes().set(REVERSE, 1);
    }
}

/// The last two parts of a name.
fn domain(name: &str) -> Vec<&str> {
    name.trim_end_matches('.').rsplit('.').take(2).collect()
}

/// One of the two has to have met.
pub(super) fn matching(cx: &Cx<'_>) -> Option<Wrong> {
    let notes = cx.notes();
    match (notes.is_true(FORWARD), notes.is_true(REVERSE)) {
        (true, true) => {
            cx.log(LOGDEBUG, "foward and reverse match");
            cx.adjust_karma(1);
            return None;
        }
        (true, false) => cx.log(LOGDEBUG, "name matches IP"),
        (false, true) => cx.log(LOGDEBUG, "reverse matches name"),
        (false, false) => {
            cx.log(LOGINFO, "fail, no forward or reverse DNS match");
            return wrong("That HELO hostname fails FCrDNS", "no matching DNS");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_the_last_two_parts() {
        assert_eq!(domain("mx.a.example."), domain("a.example"));
        assert_ne!(domain("a.example"), domain("b.example"));
    }
}
