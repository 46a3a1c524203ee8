//! What a plugin may rely on under 1.00, and not under 0.94, where the comparison has its original.

use crate::server::{RUNNER, Server, TAKER};

/// Returns what config/verdict says.
const BY_CONFIG: (&str, &str) = (
    "by_config",
    "sub hook_rcpt { my ($self) = @_; my @said = map { $_ eq 'undef' ? undef : $_ } $self->qp->config('verdict'); \
     return @said }",
);

fn reply_to_rcpt(plugins: &[(&str, &str)], verdict: &str) -> (String, Server) {
    let server = Server::start_configured(plugins, &[], &[], &[("verdict", verdict)]);
    let mut client = server.connect();
    client.expect("EHLO x", "250");
    client.expect("MAIL FROM:<a@b.example>", "250");
    (client.say("RCPT TO:<b@mx.example>"), server)
}

#[test]
fn a_code_by_name_or_a_part_of_one_ends_the_chain_and_decides_nothing() {
    for verdict in ["DENY\nnot here\n", "OK\n", "0\n", "90\nx\n", "DENYHARD\n"] {
        let (reply, _server) = reply_to_rcpt(&[BY_CONFIG, TAKER], verdict);
        let expected = "450 No plugin decided if relaying is allowed";
        assert_eq!(reply, expected, "{verdict}");
    }
}

#[test]
fn another_code_is_passed_over_and_the_log_has_it() {
    for (verdict, shown) in [
        ("77\n", "77"),
        ("NONSENSE\n", "NONSENSE"),
        ("9000\n", "9000"),
    ] {
        let (reply, server) = reply_to_rcpt(&[BY_CONFIG, TAKER], verdict);
        assert_eq!(reply, "250 <b@mx.example>, recipient ok");
        server.wait_for(&format!("Plugin by_config, hook rcpt returned {shown}"));
    }
    let (reply, server) = reply_to_rcpt(&[BY_CONFIG, TAKER], "undef\n");
    assert_eq!(reply, "250 <b@mx.example>, recipient ok");
    server.wait_for("Plugin by_config, hook rcpt returned undef!");
}

#[test]
fn the_version_is_that_of_the_original_which_plugins_compare() {
    for (profile, version) in [("0.94\n", "0.94"), ("1.00\n", "1.00")] {
        let server = Server::start_configured(&[RUNNER], &[], &[], &[("compat", profile)]);
        let mut client = server.connect();
        assert_eq!(
            client.run("$qp->version, $Qpsmtpd::VERSION"),
            format!("{version} {version}")
        );
        let greeting = client.say("HELP");
        assert!(
            greeting.contains(concat!("camelpost ", env!("CARGO_PKG_VERSION"))),
            "{greeting}"
        );
    }
}

#[test]
fn a_user_s_values_may_be_references() {
    let users = (
        "users",
        "sub hook_user_config { my ($self, $t, $address, $name) = @_; return (OK, { of => $address->user }, [1]) }",
    );
    let server = Server::start(&[users, RUNNER]);
    let mut client = server.connect();
    let ask = "my $a = Qpsmtpd::Address->new('<one@mx.example>'); my @v = $qp->config('x', $a); \
               $v[0]{of}, $v[1][0], ref $a->config('y')";
    assert_eq!(client.run(ask), "one 1 HASH");
}

#[test]
fn the_old_name_of_data_size_warns() {
    for (profile, word) in [("0.94\n", "depreceated"), ("1.00\n", "deprecated")] {
        let server = Server::start_configured(&[RUNNER], &[], &[], &[("compat", profile)]);
        let mut client = server.connect();
        assert_eq!(client.run("$transaction->body_size"), "0");
        server.wait_for(&format!(
            "WARNING: body_size() is {word}, use data_size() instead"
        ));
    }
}

#[test]
fn the_config_directory_of_the_command_line_is_in_the_environment() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    let config = server.site.root().join("config");
    assert_eq!(client.run("$ENV{QPSMTPD_CONFIG}"), config.to_str().unwrap());
    assert_eq!(
        client.run("`echo \"\\$QPSMTPD_CONFIG\"`").trim(),
        config.to_str().unwrap()
    );
}
