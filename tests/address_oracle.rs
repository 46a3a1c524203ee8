//! Compares the address parser with the original's (Debian package `qpsmtpd`), which is run by
//! perl: fixed inputs, and many made of the characters that matter to the grammar.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use camelpost::smtp::{Address, split_path};

/// For each line, in hex: what `new` gives for it, then what `address` gives as a setter.
const ADDRESSES: &str = r#"
use Qpsmtpd::Address;
sub h { defined $_[0] ? "x" . unpack("H*", $_[0]) : "undef" }
while (<STDIN>) {
    chomp;
    my $text = pack "H*", $_;
    my $new = Qpsmtpd::Address->new($text);
    my $set = Qpsmtpd::Address->new("<x\@y>");
    $set->address($text);
    print join(" ", map { ref $_ ? (h($_->user), h($_->host), h($_->address), h($_->format))
                                 : "none" } $new, $set), "\n";
}
"#;

/// For each line, a verb and in hex its arguments: path and parameters, or the error.
const COMMANDS: &str = r#"
use Qpsmtpd::Command;
while (<STDIN>) {
    my ($verb, $hex) = split;
    my ($code, @values) = Qpsmtpd::Command->parse($verb, pack "H*", $hex);
    print join(" ", $code, map { "x" . unpack "H*", $_ } @values), "\n";
}
"#;

const FIXED: &[&[u8]] = &[
    b"",
    b"<",
    b">",
    b"<>",
    b"<>x",
    b"<>\n",
    b"<>\n\n",
    b"a",
    b"a@b",
    b"a@b@c",
    b"@",
    b"a@",
    b"@b",
    b"a\nb@c\nd@e",
    b"a@b\nc",
    b"<a@b",
    b"a@b>",
    b" <a@b> ",
    b"<a@b> SIZE=1",
    b"<postmaster>",
    b"<PostMaster>",
    b"<postmaster@x>",
    b"<postmaster\n>",
    b"<abuse>",
    b"postmaster",
    b"<#@[]>",
    b"[undefined]",
    b"<[undefined]>",
    b"<@x:a@b>",
    b"<@x.y,@z.w:a@b>",
    b"<@[1.2.3.4],@a:b@c>",
    b"<@[IPv6:::1]:b@c>",
    b"<@a:b,@-:x@y>",
    b"<@a:b:c@d>",
    b"<@a,@b,:x@y>",
    b"<@a,@b@c:d:e@f>",
    b"<\"a\"@b>",
    b"<\"\"@b>",
    b"<\"a\\\"b\"@c>",
    b"<\"a\\\\\"@c>",
    b"<\"a\\\"@c>",
    b"<\"a\x7f\"@c>",
    b"<\"a\\\t\"@c>",
    b"<a@[1.2.3.4]>",
    b"<a@[999.0.0.1]>",
    b"<a@[1.2.3.4.5]>",
    b"<a@[1.2.3]>",
    b"<a@[IPv6:1::2.3.4.5]>",
    b"<a@[x]>",
    b"<a@1.2.3.4>",
    b"<a@b-c.d>",
    b"<a@b--c>",
    b"<a@b-.c>",
    b"<a@\xc3\xa9.c>",
    b"<\xc3\xa9@c>",
    b"<a\xc3\xa9@c>",
];

#[test]
fn addresses_are_those_of_the_original() {
    let inputs = inputs(
        &[
            "<",
            ">",
            "<a@b>",
            "@b.c>",
            "postmaster",
            "[1.2.3.4]",
            "[IPv6:",
        ],
        4000,
    );
    let wanted = original(ADDRESSES, inputs.iter().map(|text| hex(text)));
    for (text, wanted) in inputs.iter().zip(&wanted) {
        let mut set = Address::parse(b"<x@y>").expect("a plain address");
        set.set_address(text);
        let found = format!("{} {}", shown(Address::parse(text)), shown(Some(set)));
        assert_eq!(found, *wanted, "for {}", text.escape_ascii());
    }
}

#[test]
fn every_byte_is_read_as_by_the_original_in_every_place() {
    let places: &[[&str; 2]] = &[
        ["<", "@b>"],
        ["<a", "@b>"],
        ["<a", "c@b>"],
        ["<\"", "\"@b>"],
        ["<\"\\", "\"@b>"],
        ["<\"a", "c\"@b>"],
        ["<a@", ">"],
        ["<a@b", ">"],
        ["<a@b", "c>"],
        ["<a@[IPv6:", ":]>"],
        ["<a@[1.2.3.4", "]>"],
        ["<@a", "b:c@d>"],
        ["<@", ":c@d>"],
        ["<a@b>", ""],
        ["a", "b@c"],
        ["a@b", "c"],
    ];
    let mut inputs = Vec::new();
    for [before, after] in places {
        for byte in 0..=255u8 {
            inputs.push([before.as_bytes(), &[byte], after.as_bytes()].concat());
        }
    }
    let wanted = original(ADDRESSES, inputs.iter().map(|text| hex(text)));
    for (text, wanted) in inputs.iter().zip(&wanted) {
        let mut set = Address::null();
        set.set_address(text);
        let found = format!("{} {}", shown(Address::parse(text)), shown(Some(set)));
        assert_eq!(found, *wanted, "for {}", text.escape_ascii());
    }
}

#[test]
fn arguments_of_mail_and_rcpt_are_split_as_by_the_original() {
    let pieces = [
        "FROM:", "TO:", " SIZE=10", " X", "<a@b>", " ", "\t", " y=", "0",
    ];
    let texts = inputs(&pieces, 4000);
    let mut cases: Vec<(&str, Vec<u8>)> = Vec::new();
    for text in &texts {
        cases.push(("mail", [b"FROM:", &text[..]].concat()));
        cases.push(("rcpt", [b"to:", &text[..]].concat()));
        cases.push(("mail", text.clone()));
        cases.push(("rcpt", text.clone()));
    }
    let wanted = original(
        COMMANDS,
        cases
            .iter()
            .map(|(verb, rest)| format!("{verb} {}", hex(rest))),
    );
    for ((verb, rest), wanted) in cases.iter().zip(&wanted) {
        let found = match split_path(verb.as_bytes(), rest) {
            Ok((path, words)) => {
                let values: Vec<String> = [path]
                    .iter()
                    .chain(&words)
                    .map(|value| format!("x{}", hex(value)))
                    .collect();
                format!("900 {}", values.join(" "))
            }
            Err(error) => format!("901 x{}", hex(&error)),
        };
        assert_eq!(found, *wanted, "for {verb} {}", rest.escape_ascii());
    }
}

fn shown(address: Option<Address>) -> String {
    let Some(address) = address else {
        return "none".to_string();
    };
    let part =
        |part: Option<&[u8]>| part.map_or("undef".to_string(), |part| format!("x{}", hex(part)));
    format!(
        "{} {} x{} x{}",
        part(address.user()),
        part(address.host()),
        hex(&address.address()),
        hex(&address.format())
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fixed inputs, and `count` strings of pieces and of the grammar's characters: the same
/// ones in every run.
fn inputs(pieces: &[&str], count: usize) -> Vec<Vec<u8>> {
    let characters = b"ab1.-@@:,\"\\<>[] =_(\t\n\0\xe9\x7f+~";
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut inputs: Vec<Vec<u8>> = FIXED.iter().map(|text| text.to_vec()).collect();
    for n in 0..count {
        let mut text = Vec::new();
        for _ in 0..next(12) {
            if next(5) == 0 {
                text.extend_from_slice(pieces[next(pieces.len())].as_bytes());
            } else {
                text.push(characters[next(characters.len())]);
            }
        }
        if n % 2 == 0 {
            text.insert(0, b'<');
            text.push(b'>');
        }
        inputs.push(text);
    }
    inputs
}

/// Runs `script` on the lines and gives what it printed, a line for each.
fn original(script: &str, lines: impl Iterator<Item = String>) -> Vec<String> {
    let found = Command::new("perl")
        .args(["-MQpsmtpd::Address", "-e", "1"])
        .output();
    assert!(
        found.is_ok_and(|run| run.status.success()),
        "perl finds no Qpsmtpd::Address: install Debian's package qpsmtpd, which this test \
         compares with"
    );
    let mut perl = Command::new("perl")
        .args(["-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("perl runs");
    let text: String = lines.map(|line| line + "\n").collect();
    let mut stdin = perl.stdin.take().expect("a pipe to perl");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = perl.wait_with_output().expect("perl's output");
    writer.join().expect("the writer").expect("perl reads all");
    assert!(
        output.status.success(),
        "the script failed: {}",
        output.status
    );
    let text = String::from_utf8(output.stdout).expect("hex");
    text.lines().map(str::to_string).collect()
}
