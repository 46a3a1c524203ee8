//! The page of `--web`: what it shows of many clients at a time, in Debian's chromium, and to whom. The picture in
//! docs is written with UPDATE_EXPECTED=1.

use std::path::Path;
use std::process::Command;

use crate::server::{Server, TAKER, http, until};

const NAMES: (&str, &str) = (
    "badhelo",
    "sub hook_helo { $_[2] =~ /^bad/ ? (DENY, 'no such name') : DECLINED } sub hook_ehlo { DECLINED }",
);

const SENDERS: (&str, &str) = (
    "badsenders",
    "sub hook_mail { select undef, undef, undef, 0.002; DECLINED }",
);

/// Says what the client said, as some plugins do.
const RECIPIENTS: (&str, &str) = (
    "badrecipients",
    "sub hook_rcpt { my $to = $_[2]->user; $to =~ /^bad/ ? (DENY, qq{no <b>$to</b> here}) : \
     $to eq 'later' ? (DENYSOFT, 'come again') : DECLINED }",
);

const MARKUP: &str = "<img/src=x/onerror=document.title=1>";

fn address_of(server: &Server) -> String {
    let line = server.wait_for("http://");
    let (_, rest) = line.split_once("http://").unwrap();
    rest.trim_end_matches('/').to_owned()
}

fn page(address: &str) -> String {
    http(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Without what is between `<` and `>`.
fn text_of(page: &str) -> String {
    let words = regex::Regex::new(r"(<[^>]*>|\s)+").unwrap();
    words.replace_all(page, " ").into_owned()
}

fn chromium(args: &[&str], address: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let installed = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];
    let program = installed.into_iter().find(|path| Path::new(path).exists());
    let program =
        program.unwrap_or_else(|| panic!("packaging/install-deps test installs chromium"));
    let output = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args(["--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", dir.path().display()))
        .args(args)
        .arg(format!("http://{address}/"))
        .env("HOME", dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Twenty clients at a time: each with four refusals of plugins, one of the session's own, and a message.
fn mail(server: &Server) {
    std::thread::scope(|scope| {
        for number in 0..20 {
            scope.spawn(move || {
                let mut client = server.connect();
                client.expect("HELO bad.example", "550");
                client.expect("EHLO there.example", "250");
                client.expect("RCPT TO:<early@mx.example>", "503");
                client.expect("MAIL FROM:<joe@there.example>", "250");
                client.expect(&format!("RCPT TO:<bad{number}@mx.example>"), "550");
                client.expect(&format!("RCPT TO:<bad{number}@mx.example>"), "550");
                client.expect("RCPT TO:<later@mx.example>", "450");
                client.expect("RCPT TO:<taken@mx.example>", "250");
                client.expect("DATA", "354");
                client.expect("Subject: x\r\n\r\nbody\r\n.", "250");
                client.expect("QUIT", "221");
            });
        }
    });
}

#[test]
fn the_page_shows_in_chromium_what_was_refused_and_why() {
    let args = [
        "--web",
        "127.0.0.1:0",
        "--workers",
        "3",
        "--spare-workers",
        "0",
    ];
    let plugins = [NAMES, SENDERS, RECIPIENTS, TAKER];
    let server = Server::start_with(&plugins, &args, &[]);
    let address = address_of(&server);
    mail(&server);
    let mut client = server.connect();
    client.expect("EHLO there.example", "250");
    client.expect(MARKUP, "500");
    client.expect("MAIL FROM:<joe@there.example>", "250");
    client.expect("RCPT TO:<\"bad<script>x\"@mx.example>", "550");

    let count = |reason: &str| text_of(&page(&address)).contains(reason);
    until("every refusal", || {
        count(" badrecipients rcpt 550 41 ")
            && count(" badrecipients rcpt 450 20 ")
            && count(" badhelo helo 550 20 ")
            && count(" Camelpost rcpt 503 20 ")
            && count(" Camelpost other 500 1 ")
    });

    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let picture = camelpost_support::repository().join("docs/web.png");
        let picture = format!("--screenshot={}", picture.display());
        chromium(&[&picture, "--window-size=1100,1250"], &address);
    }
    // Long enough for the page to be shown anew.
    let seen = chromium(&["--dump-dom", "--virtual-time-budget=5000"], &address);
    assert!(seen.contains("<body class=\"live\">"), "{seen}");
    assert!(
        !seen.contains("<img") && !seen.contains("<script>x"),
        "{seen}"
    );
    let text = text_of(&seen);
    for shown in [
        " takes mail ",
        " 102 replies of 4xx and 5xx",
        // The session that goes on.
        "Sessions now: 1 ",
        " 127.0.0.1 ",
        // Verdicts by hook, and why.
        " rcpt 20 41 20 ",
        " To RCPT TO:&lt;\"bad&lt;script&gt;x\"@mx.example&gt; ",
        " rcpt badrecipients DENY ",
        " no &lt;b&gt;bad&lt;script&gt;x&lt;/b&gt; here ",
        " camelpost why ",
    ] {
        assert!(text.contains(shown), "{shown}\n{text}");
    }
}

#[test]
fn a_session_that_goes_on_in_a_process_of_its_own_is_on_the_page_once() {
    let args = [
        "--web",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--spare-workers",
        "0",
    ];
    let config = [
        ("plugins", "badrecipients\ntaker\n"),
        ("plugin_settings", "badrecipients isolate\n"),
    ];
    let server = Server::start_configured(&[RECIPIENTS, TAKER], &args, &[], &config);
    let address = address_of(&server);
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.expect("EHLO there.example", "250");
        client.expect("RCPT TO:<early@mx.example>", "503");
        client.expect("MAIL FROM:<joe@there.example>", "250");
        client.expect("RCPT TO:<bad@mx.example>", "550");
    }
    drop(clients);
    until("every refusal", || {
        let text = text_of(&page(&address));
        text.contains(" badrecipients rcpt 550 5 ") && text.contains(" Camelpost rcpt 503 5 ")
    });
    // Those that are over at once are counted whole, too.
    for _ in 0..40 {
        let mut client = server.connect();
        client.expect("EHLO there.example", "250");
        client.expect("RCPT TO:<early@mx.example>", "503");
        client.expect("MAIL FROM:<joe@there.example>", "250");
        client.expect("RCPT TO:<bad@mx.example>", "550");
        client.expect("RCPT TO:<bad@mx.example>", "550");
        client.expect("QUIT", "221");
    }
    until("every refusal", || {
        let text = text_of(&page(&address));
        text.contains(" badrecipients rcpt 550 85 ") && text.contains(" Camelpost rcpt 503 45 ")
    });
}

#[test]
fn the_page_is_for_who_knows_this_machine_by_its_address() {
    let server = Server::start_with(&[TAKER], &["--web", "127.0.0.1:0"], &[]);
    let address = address_of(&server);
    let ask = |request: &str| {
        let answer = http(&address, &format!("{request}\r\n\r\n"));
        answer.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(ask("GET / HTTP/1.1"), "HTTP/1.1 200 OK");
    assert_eq!(
        ask(&format!("GET / HTTP/1.1\r\nHost: {address}")),
        "HTTP/1.1 200 OK"
    );
    assert_eq!(
        ask("GET / HTTP/1.1\r\nHost: rebound.example"),
        "HTTP/1.1 421 Misdirected Request"
    );
    assert_eq!(ask("GET /metrics HTTP/1.1"), "HTTP/1.1 404 Not Found");
    assert_eq!(ask("POST / HTTP/1.1"), "HTTP/1.1 405 Method Not Allowed");
    let whole = page(&address);
    assert!(
        whole.contains("\r\nContent-Security-Policy: default-src 'none'; "),
        "{whole}"
    );
    let elsewhere = whole.matches("http").count() - whole.matches("http-equiv").count();
    // Only the status line: nothing is loaded from elsewhere, and nothing leads there.
    assert_eq!(elsewhere, 0, "{whole}");
}
