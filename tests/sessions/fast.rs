//! The switch of the fast paths, as it reaches the processes that load plugins.

use super::server::{RUNNER, Server};

const STATE: &str = "(Camelpost::is_fast() ? 'fast' : 'plain'), \
    (\\&Qpsmtpd::Plugin::log == \\&Qpsmtpd::Plugin::_log ? 'in Perl' : 'not in Perl'), \
    exists $ENV{CAMELPOST_PLAIN} ? 'told' : 'not told'";
const SAYS_SO: &str = "CAMELPOST_PLAIN: fast paths are off";

#[test]
fn camelpost_plain_turns_fast_paths_off_and_the_log_says_so() {
    let server = Server::start_with(&[RUNNER], &[], &[("CAMELPOST_PLAIN", "1")]);
    assert_eq!(server.connect().run(STATE), "plain in Perl not told");
    assert_eq!(server.count(SAYS_SO), 1);
    // The next process that loads plugins is told, too.
    server.reload();
    assert_eq!(server.connect().run(STATE), "plain in Perl not told");
    assert_eq!(server.count(SAYS_SO), 2);
}

#[test]
fn without_it_they_are_on() {
    for environment in [&[][..], &[("CAMELPOST_PLAIN", "0")]] {
        let server = Server::start_with(&[RUNNER], &[], environment);
        assert_eq!(server.connect().run(STATE), "fast not in Perl not told");
        assert_eq!(server.count(SAYS_SO), 0);
    }
}

/// Takes a line as the line says.
const LOGGER: (&str, &str) = (
    "logger",
    r#"
    sub hook_logging {
        my ($self, $transaction, $level, $hook, $plugin, @text) = @_;
        my ($verdict) = "@text" =~ /^verdict (\w+)/ or return DECLINED;
        die "of it\n" if $verdict eq 'dies';
        return if $verdict eq 'nothing';
        return $verdict =~ /^\d+$/ ? $verdict : Qpsmtpd::Constants->can($verdict)->();
    }
    "#,
);

#[test]
fn what_a_logger_does_not_take_is_written() {
    for plain in ["0", "1"] {
        let server = Server::start_with(&[RUNNER, LOGGER], &[], &[("CAMELPOST_PLAIN", plain)]);
        let verdicts = "OK DECLINED DENY DENYSOFT DONE YIELD nothing dies 17";
        let log = format!("$self->log(LOGWARN, \"verdict $_\") for qw({verdicts}); 'logged'");
        assert_eq!(server.connect().run(&log), "logged");
        let written = server.wait_for("verdict 17");
        assert!(written.contains("runner: verdict 17"), "{written}");
        let lines = server.lines();
        let words = lines
            .iter()
            .filter_map(|line| line.split_once(": verdict "));
        let written: Vec<&str> = words.map(|(_, verdict)| verdict).collect();
        assert_eq!(
            written,
            ["DENY", "DENYSOFT", "DONE", "YIELD", "17"],
            "CAMELPOST_PLAIN={plain}"
        );
    }
}
