//! The rows of the matrix: every hook with what brings a session to it, every verdict as Perl.
//!
//! Nothing here knows what the right outcome is.

use std::net::Ipv4Addr;

/// A hook, and the client's way to it.
pub struct Place {
    pub hook: &'static str,
    /// What is said before the hook's verdict counts.
    before: &'static [&'static str],
    /// What makes the hook run; `None` where the connection itself does.
    pub step: Option<&'static str>,
    /// What answers to replies that ask for more (3xx) are.
    pub more: &'static [&'static str],
}

const EHLO: &str = "EHLO client.example.net";
const MAIL: &str = "MAIL FROM:<a@example.net>";
const RCPT: &str = "RCPT TO:<b@example.com>";
const MESSAGE: &[&str] = &["Subject: x\r\n\r\nbody\r\n."];
/// PLAIN with user `user` and password `secret`.
const AUTH_PLAIN: &str = "AUTH PLAIN AHVzZXIAc2VjcmV0";

const fn place(
    hook: &'static str,
    before: &'static [&'static str],
    step: &'static str,
    more: &'static [&'static str],
) -> Place {
    Place {
        hook,
        before,
        step: Some(step),
        more,
    }
}

const fn of_connection(hook: &'static str) -> Place {
    Place {
        hook,
        before: &[],
        step: None,
        more: &[],
    }
}

/// The hooks in the order of a session.
pub const PLACES: &[Place] = &[
    of_connection("pre-connection"),
    of_connection("connect"),
    place("helo_parse", &[], "HELO client.example.net", &[]),
    place("helo", &[], "HELO client.example.net", &[]),
    place("ehlo_parse", &[], EHLO, &[]),
    place("ehlo", &[], EHLO, &[]),
    place("auth_parse", &[EHLO], AUTH_PLAIN, &[]),
    place("auth-plain", &[EHLO], AUTH_PLAIN, &[]),
    // The user, then `secret`.
    place("auth-login", &[EHLO], "AUTH LOGIN dXNlcg==", &["c2VjcmV0"]),
    // `user` and a digest; whether it fits is the plugins' business.
    place(
        "auth-cram-md5",
        &[EHLO],
        "AUTH CRAM-MD5",
        &["dXNlciAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="],
    ),
    place("auth", &[EHLO], AUTH_PLAIN, &[]),
    place("mail_parse", &[EHLO], MAIL, &[]),
    place("mail_pre", &[EHLO], MAIL, &[]),
    place("mail", &[EHLO], MAIL, &[]),
    place("rcpt_parse", &[EHLO, MAIL], RCPT, &[]),
    place("rcpt_pre", &[EHLO, MAIL], RCPT, &[]),
    place("rcpt", &[EHLO, MAIL], RCPT, &[]),
    place("data", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("data_headers_end", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("received_line", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("data_post", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("queue_pre", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("queue", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("queue_post", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("reset_transaction", &[EHLO, MAIL, RCPT], "RSET", &[]),
    place("vrfy", &[EHLO, MAIL, RCPT], "VRFY someone", &[]),
    place("noop", &[EHLO, MAIL, RCPT], "NOOP", &[]),
    place("help", &[EHLO, MAIL, RCPT], "HELP", &[]),
    place(
        "unrecognized_command",
        &[EHLO, MAIL, RCPT],
        "XYZ words",
        &[],
    ),
    place("deny", &[EHLO], MAIL, &[]),
    place("ok", &[EHLO], MAIL, &[]),
    place("quit", &[EHLO, MAIL], "QUIT", &[]),
    place("disconnect", &[EHLO, MAIL], "QUIT", &[]),
    place("post-connection", &[EHLO, MAIL], "QUIT", &[]),
];

/// Hooks that change the session around them by being there: with a daemon of their own.
pub const SOURCES: &[Place] = &[
    place("config", &[EHLO], "XCONFIG", &[]),
    place("logging", &[EHLO], "XLOG", &[]),
];

/// Hooks that 1.00 added.
pub const LATER: &[Place] = &[
    place("data_post_headers", &[EHLO, MAIL, RCPT], "DATA", MESSAGE),
    place("user_config", &[EHLO, MAIL], "XUSER", &[]),
];

impl Place {
    /// Whether the verdict counts from the first hook on.
    pub fn is_first(&self) -> bool {
        self.step.is_none()
    }

    pub fn before(&self) -> &'static [&'static str] {
        self.before
    }
}

/// What a plugin may return: a name for the table, and the Perl that does it.
pub const VERDICTS: &[(&str, &str)] = &[
    ("OK", "return OK"),
    ("OK+text", "return (OK, 'a text')"),
    ("DENY", "return DENY"),
    ("DENY+text", "return (DENY, 'a text')"),
    ("DENY+empty", "return (DENY, '')"),
    ("DENY+0", "return (DENY, '0')"),
    ("DENY+lines", r#"return (DENY, "one\ntwo\n\nthree\n")"#),
    ("DENY+list", "return (DENY, 'one', 'two')"),
    ("DENYSOFT", "return DENYSOFT"),
    ("DENYSOFT+text", "return (DENYSOFT, 'a text')"),
    ("DENYHARD", "return DENYHARD"),
    ("DENY_DISCONNECT+text", "return (DENY_DISCONNECT, 'a text')"),
    ("DENYSOFT_DISCONNECT", "return DENYSOFT_DISCONNECT"),
    (
        "DENYSOFT_DISCONNECT+text",
        "return (DENYSOFT_DISCONNECT, 'a text')",
    ),
    ("DECLINED", "return DECLINED"),
    ("DECLINED+text", "return (DECLINED, 'a text')"),
    ("DONE", "return DONE"),
    ("DONE+text", "return (DONE, 'a text')"),
    ("YIELD", "return YIELD"),
    ("CONTINUATION+text", "return (CONTINUATION, 'a text')"),
    ("undef", "return undef"),
    ("undef+text", "return (undef, 'a text')"),
    ("nothing", "return"),
    ("implicit-1", "1"),
    ("number-42", "return (42, 'a text')"),
    ("string", "return 'nonsense'"),
    ("OK+code", "return (OK, sub { (OK, '<x@example.net>') })"),
    ("DENY+code", "return (DENY, sub { (DENY, 'a reason') })"),
    ("die", r#"die "the judge dies\n""#),
    ("exit", "exit 0"),
];

/// Those that say what becomes of a code, and those that a plugin should not return.
pub const CODES: &[&str] = &[
    "OK",
    "DENY",
    "DENY+text",
    "DENYSOFT",
    "DENYHARD",
    "DENYSOFT_DISCONNECT",
    "DECLINED",
    "DECLINED+text",
    "DONE",
    "undef",
    "undef+text",
    "nothing",
    "number-42",
    "string",
    "die",
];

/// One row: its hook, its verdict, and the client's address, by which the plugins know it.
#[derive(Clone, Copy)]
pub struct Row {
    pub place: &'static Place,
    pub verdict: &'static str,
    pub from: Ipv4Addr,
}

impl Row {
    /// `hook/verdict`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.place.hook, self.verdict)
    }

    /// pre-connection runs in the original's listening process, which an exit and a YIELD end.
    pub fn may_end_the_daemon(&self) -> bool {
        let ends = ["exit", "YIELD", "CONTINUATION+text"];
        self.place.hook == "pre-connection" && ends.contains(&self.verdict)
    }
}

/// Each verdict that is wanted, at each of these places.
pub fn rows(places: &'static [Place], wanted: impl Fn(&str) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for (h, place) in (1..).zip(places) {
        for (v, (verdict, _)) in (1..).zip(VERDICTS) {
            if wanted(verdict) {
                rows.push(Row {
                    place,
                    verdict,
                    from: Ipv4Addr::new(127, 77, h, v),
                });
            }
        }
    }
    rows
}

/// What config/matrix_rows and config/matrix_verdicts have to say.
pub fn files(rows: &[Row]) -> (String, String) {
    let table = rows
        .iter()
        .map(|row| format!("{} {} {}\n", row.from, row.place.hook, row.verdict));
    // Those of the rows only: not every version compiles all of them.
    let verdicts = verdicts(|name| rows.iter().any(|row| row.verdict == name));
    (table.collect(), verdicts)
}

/// What config/matrix_verdicts says of some verdicts.
pub fn verdicts(wanted: impl Fn(&str) -> bool) -> String {
    let lines = VERDICTS.iter().filter(|(name, _)| wanted(name));
    lines
        .map(|(name, perl)| format!("{name} {perl}\n"))
        .collect()
}
