//! The metrics endpoint: what it says, to whom, and what a bad scraper can do (nothing).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::daemon::{Daemon, command, config, until, wait};

crate::tests! {
    metrics_are_off_by_default,
    metrics_have_prometheus_text_format,
    metrics_count_what_happens,
    other_requests_are_refused,
    scrapers_that_say_nothing_do_not_keep_others_out,
    hundreds_of_scrapers_that_say_nothing_do_not_keep_others_out,
    a_scraper_that_sends_without_end_is_refused,
    a_metrics_address_in_use_is_one_clear_line,
    a_metrics_address_that_is_for_mail_is_one_clear_line,
    a_metrics_address_that_others_can_reach_has_to_be_allowed,
}

pub fn start(args: &[&str]) -> (Daemon, SocketAddr) {
    let mut all = vec!["--metrics", "127.0.0.1:0"];
    all.extend(args);
    let mut daemon = Daemon::begin(config(&[]), &all);
    let line = daemon.wait_for("Metrics on http://");
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.strip_suffix("/metrics").unwrap().parse().unwrap();
    daemon.wait_until_it_listens();
    (daemon, address)
}

/// Sends this, gives everything that comes back.
pub fn http(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

pub fn scrape(address: SocketAddr) -> String {
    let response = http(address, b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.to_owned()
}

/// The value of a sample.
fn value(page: &str, sample: &str) -> f64 {
    page.lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {sample} in {page}"))
        .parse()
        .unwrap()
}

fn metrics_are_off_by_default() {
    let mut daemon = Daemon::start(&[]);
    assert!(!daemon.log().contains("Metrics on"));
}

fn metrics_have_prometheus_text_format() {
    let (daemon, address) = start(&[]);
    let mut client = daemon.connect();
    client.send_line("CALL");
    assert_eq!(client.line(), "250 called\r\n");
    let response = http(address, b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
    let (head, page) = response.split_once("\r\n\r\n").unwrap();
    for header in [
        "Content-Type: text/plain; version=0.0.4; charset=utf-8".to_owned(),
        format!("Content-Length: {}", page.len()),
        "Connection: close".to_owned(),
    ] {
        assert!(
            head.lines().any(|line| line == header),
            "no {header:?} in {head}"
        );
    }
    let name = r"[a-zA-Z_:][a-zA-Z0-9_:]*";
    let sample = regex::Regex::new(&format!(
        r#"^({name})(\{{{name}="[^"\\\n]*"(,{name}="[^"\\\n]*")*\}})? [0-9.eE+-]+$"#
    ))
    .unwrap();
    let mut current = String::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            help.split_once(' ').unwrap().0.clone_into(&mut current);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        } else {
            let found = sample.captures(line).unwrap_or_else(|| panic!("{line}"));
            let of_histogram = ["_bucket", "_sum", "_count"];
            let name = of_histogram
                .iter()
                .find_map(|end| found[1].strip_suffix(end))
                .unwrap_or(&found[1]);
            assert_eq!(name, current);
        }
    }
    let head_only = http(address, b"HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(head_only.starts_with("HTTP/1.1 200 OK\r\n") && head_only.ends_with("\r\n\r\n"));
}

fn metrics_count_what_happens() {
    let (mut daemon, address) = start(&["--max-from-ip", "1"]);
    daemon.connect().end("QUIT");
    until("the session is counted", || {
        value(
            &scrape(address),
            "camelpost_sessions_total{outcome=\"done\"}",
        ) == 1.0
    });
    let mut client = daemon.connect();
    client.send_line("CALL");
    assert_eq!(client.line(), "250 called\r\n");
    assert!(daemon.connect().greeting.starts_with("421 "));
    let page = scrape(address);
    for (sample, number) in [
        ("camelpost_connections_total", 3.0),
        (
            "camelpost_connections_refused_total{reason=\"per_address\"}",
            1.0,
        ),
        ("camelpost_sessions_open", 1.0),
        ("camelpost_workers{state=\"busy\"}", 1.0),
        (
            "camelpost_plugin_call_seconds_count{plugin=\"greeter\",hook=\"call\"}",
            1.0,
        ),
        (
            "camelpost_plugin_calls_failed_total{plugin=\"greeter\",hook=\"call\",how=\"died\"}",
            1.0,
        ),
        (
            "camelpost_plugin_verdicts_total{plugin=\"greeter\",hook=\"call\",verdict=\"DENY\"}",
            1.0,
        ),
        ("camelpost_generation", 1.0),
        ("camelpost_loads_total{outcome=\"loaded\"}", 1.0),
    ] {
        assert_eq!(value(&page, sample), number, "{sample} in {page}");
    }
    let all = value(&page, "camelpost_workers_resident_bytes");
    let largest = value(&page, "camelpost_worker_resident_bytes_max");
    assert!(all >= largest && largest > 100_000.0, "{page}");
    client.end("ABORT");
    daemon.wait_for("got a 421");
    std::fs::write(daemon.path("config/fail"), "no").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_for("reload failed");
    let page = scrape(address);
    for sample in [
        "camelpost_sessions_total{outcome=\"worker_died\"}",
        "camelpost_worker_ends_total{cause=\"signal 6\"}",
        "camelpost_loads_total{outcome=\"failed\"}",
    ] {
        assert_eq!(value(&page, sample), 1.0, "{sample} in {page}");
    }
}

fn other_requests_are_refused() {
    let (daemon, address) = start(&[]);
    let long = [
        b"GET /metrics HTTP/1.1\r\nX: ".as_slice(),
        &b"x".repeat(9000),
    ]
    .concat();
    for (request, status) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
        (b"GET /metrics/../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (
            b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "405",
        ),
        (b"EHLO there\r\n\r\n", "400"),
        (b"\0\xff\r\n\r\n", "400"),
        (b"GET /metrics HTTP/3.0\r\n\r\n", "505"),
        (&long, "431"),
    ] {
        let response = http(address, request);
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{response}"
        );
    }
    assert_eq!(value(&scrape(address), "camelpost_sessions_open"), 0.0);
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn scrapers_that_say_nothing_do_not_keep_others_out() {
    let (daemon, address) = start(&[]);
    let mut silent: Vec<TcpStream> = (0..8)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    // The service itself does not notice, and a scraper has the place of the first of them.
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
    assert!(scrape(address).contains("camelpost_sessions_open "));
    let mut told = String::new();
    silent[0].read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
    // The others are told when their time is over.
    silent[7].read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
}

/// Each of them would have a place for five seconds.
fn hundreds_of_scrapers_that_say_nothing_do_not_keep_others_out() {
    let (_daemon, address) = start(&[]);
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for _ in 0..5 {
        assert!(scrape(address).contains("camelpost_sessions_open 0\n"));
    }
    drop(silent);
}

fn a_scraper_that_sends_without_end_is_refused() {
    let (_daemon, address) = start(&[]);
    let mut stream = TcpStream::connect(address).unwrap();
    let limit = Duration::from_secs(20);
    stream.set_write_timeout(Some(limit)).unwrap();
    let sent = (0..100_000).try_for_each(|_| stream.write_all(&[b'x'; 1024]));
    assert!(sent.is_err());
    assert!(scrape(address).contains("camelpost_sessions_open 0\n"));
}

fn refused(args: &[&str]) -> String {
    let dir = config(&[]);
    let mut child = command(dir.path(), args).spawn().unwrap();
    assert_eq!(wait(&mut child).code(), Some(1));
    let mut text = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.starts_with("camelpost: cannot serve metrics on "),
        "{text}"
    );
    text
}

fn a_metrics_address_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&["--metrics", &address]);
    assert!(
        said.contains(&address) && said.contains("the address is in use"),
        "{said}"
    );
}

fn a_metrics_address_that_is_for_mail_is_one_clear_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let address = free.unwrap().to_string();
    let said = refused(&["--metrics", &address, "--listen-address", &address]);
    assert!(
        said.contains(&format!("mail is received on {address}")),
        "{said}"
    );
}

fn a_metrics_address_that_others_can_reach_has_to_be_allowed() {
    let said = refused(&["--metrics", "0.0.0.0:0"]);
    assert!(
        said.contains("0.0.0.0:0") && said.contains("--metrics-public"),
        "{said}"
    );
    let mut daemon = Daemon::begin(config(&[]), &["--metrics", "0.0.0.0:0", "--metrics-public"]);
    daemon.wait_for("Metrics on http://0.0.0.0:");
}
