//! `camelpost perl` and `camelpost prove`: programs run as perl runs them, and the test scripts of
//! tests/harness, which drive sessions without a socket, pass with them and with the original.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");
const SCRIPTS: &str = "tests/harness";
/// Scripts that ask for what 0.94 does not have. `make record-100` runs them with the original.
const SCRIPTS_100: &str = "tests/harness_100";

/// How a program ended: its exit status, what it printed, what it warned of.
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

fn run(command: &mut Command, input: &str) -> Ran {
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    for name in ["QPSMTPD_CONFIG", "QMAIL", "PERL5LIB", "PERL5OPT"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran {
        status: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn perl(words: &[&str], input: &str) -> Ran {
    run(Command::new(CAMELPOST).arg("perl").args(words), input)
}

fn prove(words: &[&str]) -> Ran {
    run(Command::new(CAMELPOST).arg("prove").args(words), "")
}

fn script(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_scripts_pass_each_in_a_process_of_its_own() {
    let ran = prove(&[SCRIPTS]);
    assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("All tests successful."), "{}", ran.out);
}

#[test]
fn the_scripts_for_1_00_pass() {
    let ran = prove(&[SCRIPTS_100]);
    assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("All tests successful."), "{}", ran.out);
}

/// What they expect of the host is what the original does.
#[test]
fn the_scripts_pass_with_the_original_and_perl_s_own_prove() {
    let ran = run(Command::new("prove").arg(SCRIPTS), "");
    assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
}

/// As in a clone that nobody has worked in yet; the original makes the directory, too.
#[test]
fn a_message_is_spooled_in_a_home_that_has_no_tmp() {
    let dialogue = format!("{SCRIPTS}/dialogue.t");
    for words in [&[CAMELPOST, "perl"][..], &["perl"]] {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&dialogue);
        let ran = run(command.env("HOME", home.path()), "");
        assert_eq!(ran.status, Some(0), "{words:?}: {}{}", ran.out, ran.err);
        assert!(home.path().join("tmp").is_dir(), "{words:?}");
    }
}

#[test]
fn a_program_in_e_sees_its_arguments_and_gives_its_exit_status() {
    let ran = perl(
        &["-e", "print qq(@ARGV $0\\n); exit 7", "a", "--", "-b"],
        "",
    );
    assert_eq!((ran.status, ran.out.as_str()), (Some(7), "a -- -b -e\n"));
}

#[test]
fn end_blocks_run_at_the_end_and_after_exit_and_die() {
    let end = "END { print qq(end $?\\n); $? = 4 }";
    for (text, out) in [
        ("print qq(x\\n);", "x\nend 0\n"),
        ("exit 3;", "end 3\n"),
        ("die qq(oops\\n);", "end 255\n"),
    ] {
        let ran = perl(&["-e", &format!("{end} {text}")], "");
        assert_eq!((ran.status, ran.out.as_str()), (Some(4), out), "{text}");
    }
}

#[test]
fn a_program_that_dies_ends_with_255_and_its_message() {
    let ran = perl(&["-e", "die qq(oops\\n)"], "");
    assert_eq!((ran.status, ran.err.as_str()), (Some(255), "oops\n"));
}

#[test]
fn an_exit_in_a_hook_within_dispatch_is_the_program_s() {
    let text = "use Qpsmtpd::SMTP; push @{Qpsmtpd->hooks->{noop}}, {name => 'x', code => sub { exit 9 }}; \
                END { print qq(end $?\\n) } Qpsmtpd::SMTP->new->dispatch('NOOP'); print qq(no\\n)";
    let ran = perl(&["-e", text], "");
    assert_eq!((ran.status, ran.out.as_str()), (Some(9), "end 9\n"));
}

#[test]
fn a_program_comes_from_standard_input() {
    let ran = perl(
        &["-", "arg"],
        "print qq($0 @ARGV\\n), <DATA>;\n__END__\ndata\n",
    );
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), "- arg\ndata\n"));
}

#[test]
fn switches_are_perl_s() {
    let ok = perl(&["-c", "-e", "print 1; BEGIN { print qq(begin\\n) }"], "");
    assert_eq!((ok.status, ok.out.as_str()), (Some(0), "begin\n"));
    assert_eq!(ok.err, "-e syntax OK\n");
    let bad = perl(&["-c", "-e", "my $x = ;"], "");
    assert_eq!(bad.status, Some(255));
    assert!(
        bad.err.starts_with("syntax error at -e line 1"),
        "{}",
        bad.err
    );
    let modules = perl(&["-MList::Util=sum", "-le", "print sum 1, 2, 3"], "");
    assert_eq!(modules.out, "6\n");
    let loops = perl(&["-ne", "print if /b/"], "a\nb\n");
    assert_eq!(loops.out, "b\n");
    let warned = perl(&["-we", "my $x; print 1 + $x"], "");
    assert!(
        warned.err.contains("uninitialized value $x"),
        "{}",
        warned.err
    );
    assert_eq!(perl(&["-e", "my $x; print 1 + $x"], "").err, "");
}

#[test]
fn directories_of_modules_come_after_the_host_s_own() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "Mine.pm", "package Mine; sub x { 'mine' } 1;");
    std::fs::create_dir(dir.path().join("Qpsmtpd")).unwrap();
    for name in ["Qpsmtpd.pm", "Qpsmtpd/SMTP.pm", "Qpsmtpd/Postfix.pm"] {
        script(dir.path(), name, "die 'another distribution';");
    }
    let include = format!("-I{}", dir.path().display());
    let text = "use Mine; use Qpsmtpd; use Qpsmtpd::SMTP; require Qpsmtpd::Postfix; print Mine::x";
    assert_eq!(perl(&[&include, "-e", text], "").out, "mine");
    let lib = format!("use lib '{}'; {text}", dir.path().display());
    assert_eq!(perl(&["-e", &lib], "").out, "mine");
}

/// `config_dir` of the class: under 0.94 the only one that counts, under 1.00 none that does, and
/// where nobody has said which it is, the one behind the usual.
#[test]
fn a_script_has_the_profile_of_the_modules_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value) in [("config", "usual"), ("own", "own")] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        script(&dir.path().join(name), "value", value);
    }
    script(&dir.path().join("own"), "only", "there");
    let text = "use lib \"$ARGV[0]/lib\"; use Qpsmtpd::SMTP; our @ISA = 'Qpsmtpd::SMTP'; \
                sub config_dir { return \"$ARGV[0]/own\" } \
                my $qp = main->new; print join ' ', (map { $qp->config($_) } qw(value only)), \
                Qpsmtpd->version, $Qpsmtpd::VERSION";
    let path = script(dir.path(), "x.pl", text);
    let run = || perl(&[&path, dir.path().to_str().unwrap()], "").out;
    assert_eq!(run(), "usual there 1.00 1.00");
    std::fs::create_dir(dir.path().join("lib")).unwrap();
    for (version, out) in [("0.94", "own there 0.94 0.94"), ("1.00", "usual 1.00 1.00")] {
        let text = format!("our $VERSION = \"{version}\"; die;");
        script(&dir.path().join("lib"), "Qpsmtpd.pm", &text);
        assert_eq!(run(), out);
    }
    script(&dir.path().join("config"), "compat", "0.94");
    assert_eq!(run(), "own there 0.94 0.94");
}

#[test]
fn a_script_has_its_name_its_line_numbers_and_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let text = "#!/usr/bin/perl -w\nprint \"$0\\n\", <DATA>;\nmy $x; $x .= 1 + undef;\ndie;\n__DATA__\nd\n";
    let path = script(dir.path(), "a.pl", text);
    let ran = perl(&[&path], "");
    assert_eq!((ran.status, ran.out), (Some(255), format!("{path}\nd\n")));
    assert!(
        ran.err.contains(&format!("at {path} line 3")),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains(&format!("Died at {path} line 4")),
        "{}",
        ran.err
    );
}

#[test]
fn a_missing_script_is_perl_s_error() {
    let ran = perl(&["/nonexistent/x.pl"], "");
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("Can't open perl script"), "{}", ran.err);
}

#[test]
fn prove_tells_which_tests_failed_and_so_does_its_exit_status() {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "good.t", "use Test::More tests => 1; ok 1;");
    let good = prove(&[dir.path().to_str().unwrap()]);
    assert_eq!(good.status, Some(0), "{}{}", good.out, good.err);
    assert!(good.out.contains("Result: PASS"), "{}", good.out);
    script(
        dir.path(),
        "bad.t",
        "use Test::More tests => 2; ok 1; ok 0, 'not this';",
    );
    script(dir.path(), "dies.t", "use Test::More; ok 1; die;");
    let bad = prove(&[dir.path().to_str().unwrap()]);
    assert_eq!(bad.status, Some(1));
    for text in [
        "bad.t",
        "Failed test:  2",
        "dies.t",
        "Files=3",
        "Result: FAIL",
    ] {
        assert!(bad.out.contains(text), "{text}: {}", bad.out);
    }
    assert!(bad.err.contains("not this"), "{}", bad.err);
}

#[test]
fn prove_takes_its_own_switches() {
    let dir = tempfile::tempdir().unwrap();
    let sub = dir.path().join("deep/lib");
    std::fs::create_dir_all(&sub).unwrap();
    script(&sub, "Mine.pm", "package Mine; 1;");
    let test = "#!/usr/bin/perl -T\nuse Test::More; use Mine; use Qpsmtpd::SMTP;\
                is(${^TAINT}, 1, 'tainted'); is(\"@ARGV\", 'a b', 'arguments'); done_testing;";
    script(&dir.path().join("deep"), "x.t", test);
    let include = format!("-I{}", sub.display());
    let words = [
        "-v",
        "-r",
        &include,
        dir.path().to_str().unwrap(),
        "::",
        "a",
        "b",
    ];
    let ran = prove(&words);
    assert_eq!(ran.status, Some(0), "{}{}", ran.out, ran.err);
    for line in ["ok 1 - tainted", "ok 2 - arguments"] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
}

#[test]
fn the_daemon_s_commands_are_still_there() {
    let ran = run(Command::new(CAMELPOST).arg("--help"), "");
    for command in ["serve", "perl", "prove"] {
        assert!(ran.out.contains(command), "{command}: {}", ran.out);
    }
}

#[test]
fn every_method_that_can_be_replaced_has_its_row_in_the_docs() {
    let text = include_str!("../docs/perl.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    for method in camelpost::hook::Method::ALL {
        let names = |row: &&str| {
            let first = row.split('|').nth(1).unwrap_or_default();
            first.split_whitespace().any(|word| word == method.name())
        };
        assert!(rows.iter().any(names), "{}", method.name());
    }
}
