//! The comparison suite: every dialogue with the original daemon and with Camelpost.
//!
//! Each file of `tests/dialogues` is one test here. It starts both daemons, one after the other,
//! with the same config directory, and compares replies and delivered bytes. Differences that are
//! meant are listed in `tests/known_differences.txt`. `COMPARE_ONLY=original` (or `camelpost`)
//! runs one half and prints its transcripts; `COMPARE_TRANSCRIPTS=DIR` writes them to files.

#![forbid(unsafe_code)]

#[path = "compare/mod.rs"]
mod compare;
#[path = "matrix/mod.rs"]
mod matrix;

use compare::known::{Known, matches};

macro_rules! config_sets {
    ($($name:ident)*) => {
        const SETS: &[(&str, &str)] = &[
            $((stringify!($name), include_str!(concat!("dialogues/", stringify!($name), ".txt")))),*
        ];
        $(
            #[test]
            fn $name() {
                let text = include_str!(concat!("dialogues/", stringify!($name), ".txt"));
                if let Err(report) = compare::play(stringify!($name), text) {
                    panic!("{report}");
                }
            }
        )*
    };
}

config_sets! {
    addresses
    angle_brackets
    as_returned
    auth
    auth_checkpassword
    auth_cvm
    auth_cvm_gone
    auth_deny
    auth_ldap
    auth_misconfigured
    auth_needs_tls
    auth_only_deny
    auth_unreachable
    auth_vpopmail
    auth_vpopmail_sql
    auth_vpopmaild
    bad_addresses
    badmailfrom_rejects_not
    bogus_bounce_deny
    bogus_bounce_log
    bogus_bounce_reject
    bogus_bounce_softly
    chain_changes
    cdb_map
    check_wrappers
    chunks
    commands
    config
    config_changes
    config_hook
    config_sql
    connection_time
    content_log
    counters
    dkim
    dkim_rejects_not
    dkim_signs
    dmarc
    dmarc_alone
    dmarc_softly
    dns_whitelist
    dnsbl
    dnsbl_by_environment
    dnsbl_disconnect
    dnsbl_naughty
    domainkeys
    domainkeys_softly
    done
    dspam
    dspam_agrees
    earlytalker
    earlytalker_deferred
    envelope_notes
    exim_bsmtp
    exim_bsmtp_missing
    fcrdns
    geoip
    greylisting
    greylisting_and_others
    greylisting_by_recipient
    greylisting_late
    greylisting_only_tells
    greylisting_passes
    greylisting_waits
    header_shapes
    header_shapes_seen
    headers
    headers_rejects_not
    headers_temporarily
    helo_lenient
    helo_patterns
    helo_rfc
    helo_strict_softly
    helo_without_parameters
    help_not_implemented
    hook_order
    hops
    hosts_allow
    http_config
    inheritance
    inheritance_odd
    karma
    karma_naughty
    karma_unwritable
    limits
    loadcheck
    loadcheck_module
    log_adaptive
    log_apache
    log_builtin
    log_builtin_debug
    log_connection_id
    log_devnull
    log_file
    log_file_debug
    log_misconfigured
    log_of_two
    log_syslog
    log_syslog_odd
    log_syslog_priority
    log_transaction_id
    log_warn
    logging_hooks
    maildir_by_address
    maildir_missing
    maildir_per_user
    messages
    messages_delivered
    messages_in_memory
    milter
    milter_down
    milter_odd
    missing_modules
    missing_modules_at_load
    naughty_data
    naughty_data_post
    naughty_mail
    naughty_rcpt
    new_verbs
    no_plugins
    no_queue
    notes_of_register
    objects
    package_plugin_accessor
    old_names
    old_names_of_messages
    order_of_loading
    p0f
    p0f_unreachable
    p0f_version_2
    parse_auth
    parse_hooks
    peers
    pipelining
    positions
    positions_spooled
    postfix_queue
    postfix_queue_by_environment
    postfix_queue_debian
    postfix_queue_down
    postfix_queue_sockets
    pre_addresses
    pre_connection
    qmail_deliverable
    qmail_queue
    qmail_queue_by_environment
    qmail_queue_missing
    qmqp
    qmqp_down
    qp_keys
    queue_changes
    random_error
    random_error_arguments
    rcpt_lists
    rcpt_map_absent
    rcpt_map_bad_default
    rcpt_map_empty
    rcpt_map_no_domain
    rcpt_map_no_file
    reentrance
    relay
    relay_by_environment
    relay_only
    replaced_methods
    resets
    resolvable_fromhost
    resolvable_fromhost_permanently
    resolvable_fromhost_rejects_not
    rhsbl
    rhsbl_disconnect
    sessions
    sessions_with_logging
    smtp_forward
    smtp_forward_down
    smtp_forward_xclient
    smuggling
    spamassassin
    spamassassin_marks
    spamassassin_no_headers
    spamassassin_spamd
    spamassassin_unreachable
    spf
    spf_defers
    spf_old_settings
    spf_refuses
    spf_refuses_more
    spf_refuses_nearly_all
    stunnel
    stunnel_off
    surroundings
    timeouts
    tls
    tls_465
    tls_bad_certificate
    tls_before_auth
    tls_of_tls_cert
    tls_of_tls_cert_refused
    tls_without_certificate
    uribl
    uribl_headers
    verdicts
    verdicts_with_logging
    virus_aveclient_odd
    virus_clamd
    virus_found
    virus_hbedv_odd
    virus_kavscanner_odd
    virus_marked
    virus_misconfigured
    whitelist
    whitelist_by_environment
    whitelist_per_recipient
    wrong_arguments
    wrong_lists
    yield_outside
}

#[test]
fn every_file_of_dialogues_is_played() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
    let mut files: Vec<String> = std::fs::read_dir(dir)
        .expect("tests/dialogues is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".txt").map(str::to_owned))
        .collect();
    files.sort();
    let mut played: Vec<&str> = SETS.iter().map(|(name, _)| *name).collect();
    played.sort_unstable();
    assert_eq!(
        files, played,
        "tests/compare.rs has to name each file of tests/dialogues"
    );
}

#[test]
fn each_known_difference_names_a_dialogue() {
    let known = Known::read().expect("known_differences.txt can be read");
    let mut names = Vec::new();
    for (name, text) in SETS {
        let set = compare::read_set(name, text).expect("the set can be read");
        names.extend(set.dialogues.iter().map(|d| format!("{name}/{}", d.name)));
    }
    for entry in &known.entries {
        assert!(
            names.iter().any(|name| matches(&entry.pattern, name)),
            "known_differences.txt line {}: no dialogue is named {}",
            entry.line,
            entry.pattern
        );
    }
}

#[test]
fn the_table_of_plugins_says_what_the_suite_shows() {
    let sets: Vec<_> = SETS
        .iter()
        .map(|(name, text)| compare::read_set(name, text).expect("the set can be read"))
        .collect();
    let known = Known::read().expect("known_differences.txt can be read");
    let table = compare::plugins::table(&sets, &known).unwrap_or_else(|wrong| panic!("{wrong}"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/plugins.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, &table).expect("docs/plugins.md can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        written, table,
        "docs/plugins.md is out of date: UPDATE_EXPECTED=1 cargo test --test compare table_of_plugins"
    );
}
