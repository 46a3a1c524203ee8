//! What is shown of what plugins say, log and change.

use crate::played::{play, site_with, typed};

const MAIL: &str = "EHLO x\nMAIL FROM:<a@b.example>\nRCPT TO:<c@example.org>\nDATA\nSubject: y\nX-Old: 1\n\nhi\n.\nQUIT\n";

#[test]
fn every_plugin_that_was_asked_is_shown_in_order_with_its_verdict() {
    let site = site_with(
        "sub hook_mail { return (DECLINED, 'no opinion') } sub hook_rcpt { return DECLINED }",
    );
    let played = typed(&site, &["--queue"], MAIL);
    assert_eq!(
        played.calls(),
        [
            "mail own DECLINED",
            "rcpt own DECLINED",
            "rcpt taker OK",
            "queue taker OK"
        ]
    );
    let mail = played.all("plugin").next().unwrap();
    assert_eq!(mail["text"], "no opinion");
    assert_eq!(mail["native"], false);
    assert!(mail["ms"].as_f64().unwrap() >= 0.0);
}

#[test]
fn notes_are_shown_by_name_and_value_and_references_as_a_short_text() {
    let site = site_with(
        r#"
        sub hook_connect { my $c = $_[0]->connection;
            $c->notes('gone', 1); $c->notes('kept', 'a'); $c->notes('list', [1, 'b', { c => sub { 1 } }]);
            return DECLINED }
        sub hook_ehlo { my $c = $_[0]->connection;
            $c->notes('kept', 'b'); delete $c->{_notes}{gone}; $c->relay_client(1); return DECLINED }
        sub hook_mail { my ($self, $t, $sender) = @_; $t->notes('sender', $sender); return DECLINED }
        "#,
    );
    let played = typed(&site, &[], MAIL);
    assert_eq!(
        played.changes("own", "connect"),
        [
            "added connection note gone 1",
            "added connection note kept a",
            "added connection note list [1, 'b', {c => sub { ... }}]"
        ]
    );
    let greeted = played.changes("own", "ehlo");
    assert!(
        greeted.contains(&"changed connection note kept a b".to_owned()),
        "{greeted:?}"
    );
    assert!(
        greeted.contains(&"changed relay_client 0 1".to_owned()),
        "{greeted:?}"
    );
    assert_eq!(
        played.changes("own", "mail"),
        ["added transaction note sender <a@b.example>"]
    );
}

#[test]
fn fields_and_recipients_that_plugins_add_or_remove_are_shown_and_the_server_s_own_are_not() {
    let site = site_with(
        r#"
        sub hook_data_post { my ($self, $t) = @_;
            $t->header->add('X-New', 'yes'); $t->header->delete('X-Old');
            $t->add_recipient(Qpsmtpd::Address->new('<more@example.org>'));
            return DECLINED }
        "#,
    );
    let played = typed(&site, &[], MAIL);
    assert_eq!(
        played.changes("own", "data_post"),
        [
            "removed header field X-Old: 1",
            "added header field X-New: yes",
            "added recipient <more@example.org>"
        ]
    );
}

#[test]
fn what_a_native_plugin_changes_is_its_own_with_and_without_perl() {
    for lines in [
        "native/count_recipients\nnative/rcpt_ok\n",
        "own\nnative/count_recipients\nnative/rcpt_ok\n",
    ] {
        let site = site_with("sub hook_mail { $_[1]->notes('mine', { a => 1 }); return DECLINED }");
        site.config("plugins", lines)
            .config("rcpthosts", "example.org\n");
        let played = play(&site, &["--rcpt", "c@example.org"]);
        let changed = played.changes("count_recipients", "rcpt");
        assert_eq!(
            changed,
            ["added transaction note recipient_count 1"],
            "{lines}"
        );
        let call = played.all("plugin").last().unwrap();
        assert_eq!(
            (&call["native"], &call["verdict"]),
            (&true.into(), &"OK".into())
        );
    }
}

#[test]
fn a_plugin_s_lines_are_with_its_call_also_those_that_the_log_would_not_have() {
    let site =
        site_with("sub hook_mail { $_[0]->log(LOGDEBUG, 'looks closely'); return DECLINED }");
    site.config("loglevel", "3\n");
    let played = play(&site, &["--from", "a@b.example"]);
    let call = played.all("plugin").next().unwrap();
    assert_eq!(call["lines"][0]["text"], "looks closely");
    assert_eq!(call["lines"][0]["level"], 7);
    assert_eq!(played.stderr, "");
}

#[test]
fn what_perl_warns_of_is_a_line_of_the_plugin_s_call() {
    let site = site_with(
        "sub hook_mail { use warnings; my $none; warn qq{it is $none\\n}; return DECLINED }",
    );
    let played = play(&site, &["--from", "a@b.example"]);
    let call = played.all("plugin").next().unwrap();
    let text = |at: usize| {
        call["lines"][at]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        text(0).starts_with("Use of uninitialized value $none in concatenation"),
        "{call}"
    );
    assert_eq!(
        (text(1), &call["lines"][1]["level"]),
        ("it is".to_owned(), &4.into())
    );
    assert_eq!(played.stderr, "");
}

#[test]
fn all_hooks_run_from_pre_connection_to_post_connection() {
    let hooks = "pre-connection connect ehlo mail rcpt data data_headers_end data_post queue_pre queue \
                 queue_post quit reset_transaction disconnect post-connection";
    let site = site_with(&format!(
        "sub register {{ my $self = shift; $self->register_hook($_, 'say') for qw({hooks}) }} sub say {{ DECLINED }}"
    ));
    let played = typed(&site, &["--queue"], MAIL);
    let calls = played.calls();
    let mut own: Vec<&str> = calls
        .iter()
        .filter_map(|call| call.strip_suffix(" own DECLINED"))
        .collect();
    let mut seen = Vec::new();
    own.retain(|hook| {
        !seen.contains(hook) && {
            seen.push(*hook);
            true
        }
    });
    for hook in hooks.split_whitespace() {
        assert!(own.contains(&hook), "{hook}: {own:?}");
    }
}

#[test]
fn what_stands_in_a_command_steers_no_terminal() {
    let site = site_with("sub hook_mail { return (DENY, \"a\\e[31mb\") }");
    let output = crate::played::run(
        crate::played::command(&site, &["-H"]),
        "EHLO x\x1b[31m\nMAIL FROM:<a@b.example>\n",
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(text.contains("> EHLO x\\x1b[31m\n"), "{text}");
}

#[test]
fn a_warning_in_a_loop_is_shown_once_with_its_number() {
    let site = site_with(
        "sub hook_mail { for my $n (1 .. 500) { warn qq{again\\n} } warn qq{last\\n}; return DECLINED }",
    );
    let output = crate::played::run(
        crate::played::command(&site, &["-H"]),
        "EHLO x\nMAIL FROM:<a@b.example>\n",
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.ends_with("again"));
    let at = at.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(lines[at + 1], "(the same 499 times more)", "{text}");
    assert!(lines[at + 2].ends_with("last"), "{text}");
}
