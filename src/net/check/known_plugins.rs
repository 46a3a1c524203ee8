//! What qpsmtpd's own plugins take on their lines where it is pairs of a name and a value, and how those were called
//! before. Facts about the versions 0.94 (Debian's package) and 1.00, found by reading them. Plugins whose words have no
//! names, or any names, are not here.

/// A plugin of qpsmtpd's.
pub(super) struct KnownPlugin {
    pub(super) name: &'static str,
    /// Words that stand before the pairs.
    pub(super) before: usize,
    /// The names that both versions know.
    pub(super) arguments: &'static [&'static str],
    /// Those that 1.00 has added.
    pub(super) of_1_00: &'static [&'static str],
}

/// Names that 0.94 gave to plugins that were called otherwise; Debian's package has both.
const RENAMED: &[(&str, &str)] = &[
    ("check_badmailfrom", "badmailfrom"),
    ("check_badrcptto", "badrcptto"),
    ("check_earlytalker", "earlytalker"),
    ("check_loop", "loop"),
    ("check_relay", "relay"),
    ("check_spamhelo", "helo"),
];

/// The name that a plugin has in qpsmtpd itself.
pub(super) fn renamed(name: &str) -> &str {
    let known = RENAMED.iter().find(|(old, _)| *old == name);
    known.map_or(name, |(_, new)| new)
}

/// Whether only 0.94 has a plugin of this name, or only 1.00; none where both have it, or neither.
pub(super) fn only_in(name: &str) -> Option<crate::config::Profile> {
    let is_old = name.starts_with("async/") || RENAMED.iter().any(|(old, _)| *old == name);
    let is_new = ["user_config", "auth/auth_imap"].contains(&name);
    match (is_old, is_new) {
        (true, _) => Some(crate::config::Profile::V094),
        (_, true) => Some(crate::config::Profile::V100),
        _ => None,
    }
}

macro_rules! plugins {
    ($($name:literal $before:literal [$($argument:literal)*] [$($new:literal)*];)*) => {
        pub(super) const KNOWN: &[KnownPlugin] = &[$(KnownPlugin {
            name: $name,
            before: $before,
            arguments: &[$($argument),*],
            of_1_00: &[$($new),*],
        },)*];
    };
}

plugins! {
    "auth/auth_checkpassword" 0 ["checkpw" "true"] [];
    "auth/auth_cvm_unix_local" 0 ["cvm_socket" "enable_smtp" "enable_ssmtp"] [];
    "auth/auth_vpopmaild" 0 ["host" "port"] [];
    "badmailfrom" 0 ["reject"] [];
    "bogus_bounce" 0 ["action" "reject" "reject_type"] [];
    "connection_time" 0 ["loglevel"] [];
    "dkim" 0 ["reject" "reject_type"] [];
    "dmarc" 0 ["reject" "reject_type"] ["reporting"];
    "dns_whitelist_soft" 0 ["loglevel"] [];
    "dnsbl" 0 ["reject" "reject_type" "timeout"] [];
    "domainkeys" 0 ["reject" "reject_type" "warn_only"] [];
    "dspam" 0 ["autolearn" "dspam_bin" "reject" "reject_type"] [];
    "earlytalker" 0 ["action" "check-at" "defer-reject" "reject" "reject_type" "wait"] [];
    "fcrdns" 0 ["reject" "reject_type" "timeout"] [];
    "greylisting" 0 ["black_timeout" "db_dir" "deny_late" "geoip" "grey_timeout" "mode" "nfslock" "p0f" "per_recipient"
        "recipient" "reject" "remote_ip" "sender" "upgrade" "white_timeout"] ["redis"];
    "headers" 0 ["future" "past" "reject" "reject_type" "require"] [];
    "helo" 0 ["dns_timeout" "policy" "reject" "reject_type" "timeout"] [];
    "ident/geoip" 0 ["db_dir" "distance" "too_far"] ["add_headers"];
    "ident/p0f" 1 ["local_ip" "smite_os" "version"] ["add_headers"];
    "karma" 0 ["db_dir" "negative" "nfslock" "penalty_days" "reject" "reject_type"] ["strikes"];
    "loadcheck" 0 ["cache_time" "max_load" "uptime"] [];
    "logging/adaptive" 0 ["accept" "prefix" "reject"] [];
    "logging/syslog" 0 ["facility" "ident" "loglevel" "logsock" "priority"] [];
    "naughty" 0 ["reject" "reject_type"] [];
    "qmail_deliverable" 0 ["reject" "server" "vpopmail_ext"] [];
    "rcpt_map" 0 ["default" "domain" "file"] [];
    "relay" 0 ["only"] [];
    "resolvable_fromhost" 0 ["reject" "reject_type"] [];
    "rhsbl" 0 ["reject" "reject_type"] [];
    "sender_permitted_from" 0 ["reject" "spf_deny"] ["no_dmarc_policy"];
    "spamassassin" 0 ["headers" "leave_old_headers" "munge_subject_threshold" "reject" "reject_threshold" "reject_type"
        "relayclient" "spamd_socket" "spamd_user"] ["size_limit" "subject_prefix"];
    "stunnel" 0 ["proxy"] [];
    "uribl" 0 ["action" "check-headers" "mask" "scan-headers" "timeout"] ["checkip"];
    "virus/clamdscan" 0 ["clamd_port" "clamd_socket" "defer_on_error" "deny_viruses" "max_size" "scan_all"] [];
    "virus/hbedv" 0 ["hbedvscanner"] [];
    "whitelist" 0 ["merge" "per_recipient"] [];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Profile;

    #[test]
    fn old_names_lead_to_new_ones_and_say_which_version_has_them() {
        assert_eq!(renamed("check_relay"), "relay");
        assert_eq!(renamed("relay"), "relay");
        assert_eq!(only_in("check_relay"), Some(Profile::V094));
        assert_eq!(only_in("user_config"), Some(Profile::V100));
        assert_eq!(only_in("relay"), None);
    }

    /// Where Debian's package is.
    #[test]
    fn the_package_s_plugins_name_what_they_are_said_to_take() {
        let dir = std::path::Path::new("/usr/share/qpsmtpd/plugins");
        for known in KNOWN {
            let Ok(text) = std::fs::read(dir.join(known.name)) else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            let has = |argument: &str| crate::net::check::source::has_word(&text, argument);
            for argument in known.arguments.iter().filter(|name| **name != "loglevel") {
                assert!(has(argument), "{} {argument}", known.name);
            }
        }
    }

    #[test]
    fn the_plugins_are_in_order() {
        assert!(KNOWN.iter().map(|known| known.name).is_sorted());
    }
}
