//! A daemon's status for the tests, and the same daemon's two seconds later.

use crate::server::Status;

const STATUS: &str = r#"{
    "program": "0.1.0", "pid": 4711, "uptime_seconds": 100, "generation": 3, "loading": false,
    "stopping": false, "listening": ["127.0.0.1:2525"], "metrics": null,
    "limits": {"connections": 200, "connections_per_address": 5, "workers": 32,
        "spare_workers": 2, "sessions_per_life": 10000},
    "open_sessions": 2, "waiting_clients": 1,
    "counters": {"connections": 1000, "refused_per_address": 10, "refused_rate": 5,
        "refused_stopping": 0, "sessions_done": 990, "sessions_lost": 1, "sessions_cut_off": 0,
        "workers_forked": 7, "forks_failed": 0,
        "worker_ends": {"retired": 3, "signal 9": 1}, "loads": 3, "loads_failed": 1,
        "zygote_ends": 0},
    "queue_outcomes": {"queued": 800, "deferred": 3, "refused": 2, "none": 0, "done": 0},
    "refusals": [{"stage": "connect", "temporary": 2, "permanent": 0},
        {"stage": "rcpt", "temporary": 10, "permanent": 30}],
    "workers": [
        {"pid": 4720, "generation": 3, "state": "busy", "sessions": 2, "served": 400,
            "age_seconds": 95, "resident_bytes": 12300000, "running": [
            {"session": 998, "plugin": "dnsbl", "hook": "connect", "milliseconds": 1500,
                "limit_seconds": 120},
            {"session": 998, "plugin": "logging/warn", "hook": "logging", "milliseconds": 2,
                "limit_seconds": null}]},
        {"pid": 4721, "generation": 3, "state": "idle", "sessions": 0, "served": 90,
            "age_seconds": 80, "resident_bytes": null, "running": []}],
    "sessions": [
        {"session": 998, "client": "192.0.2.7", "worker": 4720, "age_seconds": 2, "tls": false},
        {"session": 990, "client": "2001:db8::1", "worker": 4720, "age_seconds": 60,
            "tls": true}],
    "plugins": [
        {"plugin": "dnsbl", "hook": "connect", "calls": 1000, "died": 1, "late": 2,
            "nanoseconds": 6000000000, "verdicts": {"DECLINED": 900, "DENY": 97},
            "durations": [{"below_nanoseconds": 4194304, "calls": 500},
                {"below_nanoseconds": 8388608, "calls": 490},
                {"below_nanoseconds": null, "calls": 10}]},
        {"plugin": "queue/maildir", "hook": "queue", "calls": 800, "died": 0, "late": 0,
            "nanoseconds": 3000000000, "verdicts": {"OK": 800},
            "durations": [{"below_nanoseconds": 4194304, "calls": 800},
                {"below_nanoseconds": 8388608, "calls": 0},
                {"below_nanoseconds": null, "calls": 0}]},
        {"plugin": "rcpt_ok", "hook": "rcpt", "calls": 5, "died": 0, "late": 0,
            "nanoseconds": 1000000000, "verdicts": {"OK": 5},
            "durations": [{"below_nanoseconds": 4194304, "calls": 5},
                {"below_nanoseconds": 8388608, "calls": 0},
                {"below_nanoseconds": null, "calls": 0}]}]
}"#;

pub(super) fn status() -> Status {
    serde_json::from_str(STATUS).unwrap()
}

/// 200 connections, 20 refusals, 100 calls of dnsbl and 50 messages more.
pub(super) fn later() -> Status {
    let mut status = status();
    status.uptime_seconds += 2;
    status.counters.connections += 200;
    status.counters.refused_per_address += 20;
    *status.queue_outcomes.get_mut("queued").unwrap() += 50;
    let dnsbl = &mut status.plugins.as_mut().unwrap()[0];
    dnsbl.calls += 100;
    dnsbl.nanoseconds += 500_000_000;
    *dnsbl.verdicts.get_mut("DENY").unwrap() += 100;
    dnsbl.durations[1].calls += 100;
    status
}
