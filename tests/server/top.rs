//! `camelpost top` in a terminal of the tests', and without one. What is painted: src/cli/top.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::control::{ask, assert_refused, text, told};
use crate::daemon::{Daemon, config, until};
use crate::terminal::{PANIC, Terminal};
use crate::upgrade;

crate::tests! {
    top_shows_what_the_daemon_does_and_q_gives_the_terminal_back,
    top_gives_the_terminal_back_at_signals,
    top_gives_the_terminal_back_at_a_panic,
    top_goes_on_in_a_terminal_of_any_size,
    top_ends_with_its_terminal,
    top_follows_an_upgrade,
    top_says_that_the_daemon_is_gone_and_finds_it_when_it_is_back,
    top_without_a_terminal_is_one_clear_line,
    top_without_a_daemon_is_one_clear_line,
    top_once_prints_one_frame_as_text,
    messages_are_shown_by_what_became_of_them,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("top").args(args);
    command
}

/// `top` for this daemon, with a look ten times a second.
fn top(daemon: &Daemon, args: &[&str]) -> Terminal {
    let mut command = command(&["--interval", "0.1"]);
    command
        .args(args)
        .env("RUNTIME_DIRECTORY", daemon.path("run"));
    Terminal::run(command)
}

fn top_shows_what_the_daemon_does_and_q_gives_the_terminal_back() {
    let daemon = Daemon::start(&["--limit-connections", "7"]);
    let mut client = daemon.connect();
    let mut top = top(&daemon, &[]);
    top.shows(&format!("pid {}", daemon.child.id()));
    top.shows("1 open of 7");
    top.press("i");
    top.shows("since the start");
    client.send_line("CALL");
    assert_eq!(client.line(), "250 called\r\n");
    top.shows("greeter call");
    top.shows("DENY 1");
    top.press("2");
    top.shows(&format!("worker {}", client.pid()));
    std::fs::write(daemon.path("config/wait"), "").unwrap();
    client.send_line("CALL");
    top.shows("runs      greeter call for ");
    top.press("p");
    top.shows("PAUSED");
    top.press("p3");
    top.shows("127.0.0.1");
    std::fs::remove_file(daemon.path("config/wait")).unwrap();
    top.press("q");
    assert_eq!(top.is_given_back().code(), Some(0));
}

fn top_gives_the_terminal_back_at_signals() {
    let daemon = Daemon::start(&[]);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let mut top = top(&daemon, &[]);
        top.shows("q quit");
        kill_process(Pid::from_child(&top.child), signal).unwrap();
        assert_eq!(top.is_given_back().code(), Some(0), "{signal:?}");
    }
}

fn top_gives_the_terminal_back_at_a_panic() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(PANIC);
    let mut panics = Terminal::run(command);
    assert_eq!(panics.is_given_back().code(), Some(101));
    let sent = panics.sent();
    let back = sent.find("\x1b[?1049l").unwrap();
    let message = sent.find("as told").unwrap();
    assert!(back < message, "{sent}");
}

fn top_goes_on_in_a_terminal_of_any_size() {
    let daemon = Daemon::start(&[]);
    let mut top = top(&daemon, &[]);
    top.shows("q quit");
    for (rows, columns) in [(0, 0), (1, 1), (1, 120), (30, 1), (3, 20), (30, 120)] {
        top.forget();
        top.resize(rows, columns);
        top.press("2j1");
        // It paints all anew for the new size, where that has any room.
        until("it is painted", || {
            rows == 0 || top.sent().contains("\x1b[2J")
        });
    }
    top.shows("q quit");
    top.press("q");
    assert_eq!(top.is_given_back().code(), Some(0));
}

fn top_ends_with_its_terminal() {
    let daemon = Daemon::start(&[]);
    let mut top = top(&daemon, &[]);
    top.shows("q quit");
    top.hang_up();
    assert_eq!(crate::daemon::wait(&mut top.child).code(), Some(1));
}

fn top_follows_an_upgrade() {
    let daemon = upgrade::start(config(&[]), &[]);
    let top = top(&daemon, &[]);
    top.shows(&format!("pid {}", daemon.child.id()));
    let said = told(&daemon, &["upgrade"]);
    let rest = said.strip_prefix("upgraded: process ").unwrap();
    let pid: i32 = rest.split_whitespace().next().unwrap().parse().unwrap();
    let _new = upgrade::New(Pid::from_raw(pid).unwrap());
    top.shows(&format!("pid {pid}"));
}

fn top_says_that_the_daemon_is_gone_and_finds_it_when_it_is_back() {
    let dir = config(&[]);
    let control = dir.path().join("control").display().to_string();
    let mut first = Daemon::start_with(dir, &["--control", &control]);
    let mut top = top(&first, &["--control", &control]);
    top.shows(&format!("pid {}", first.child.id()));
    first.signal(Signal::KILL);
    first.wait();
    top.shows(&format!(
        "no running daemon at the control socket {control}"
    ));
    top.shows("; trying again");
    let second = Daemon::start_with(config(&[]), &["--control", &control]);
    top.shows(&format!("pid {}", second.child.id()));
    assert!(!top.seen().contains("trying again"));
    top.press("q");
    assert_eq!(top.is_given_back().code(), Some(0));
}

fn top_without_a_terminal_is_one_clear_line() {
    let daemon = Daemon::start(&[]);
    let output = ask(daemon.dir.path(), &["top"]);
    assert_refused(&output, 2, &["top needs a terminal", "--once"]);
    for wrong in ["0", "soon", "-1"] {
        let output = ask(daemon.dir.path(), &["top", "--interval", wrong]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("seconds"), "{output:?}");
    }
}

fn top_without_a_daemon_is_one_clear_line() {
    let dir = config(&[]);
    assert_refused(
        &ask(dir.path(), &["top", "--once"]),
        3,
        &["no running daemon found"],
    );
    let mut top = Terminal::run(command(&["--control", "/nonexistent/control"]));
    assert_eq!(crate::daemon::wait(&mut top.child).code(), Some(3));
    top.shows("camelpost: no running daemon at the control socket /nonexistent/control");
    // The terminal was never taken.
    assert!(!top.sent().contains("\x1b[?1049h"));
}

fn top_once_prints_one_frame_as_text() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send_line("CALL");
    assert_eq!(client.line(), "250 called\r\n");
    let shown = told(&daemon, &["top", "--once"]);
    for part in [
        format!("pid {}", daemon.child.id()),
        "1 open of 6400".to_owned(),
        "greeter call 100.0%".to_owned(),
        "DENY 1\n".to_owned(),
        format!("{} ", client.pid()),
    ] {
        assert!(shown.contains(&part), "no {part:?} in\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown}");
}

fn messages_are_shown_by_what_became_of_them() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send_line("MESSAGE");
    assert_eq!(client.line(), "250 queued\r\n");
    let shown = told(&daemon, &["status"]);
    let none = "0 deferred, 0 done, 0 none, 1 queued, 0 refused";
    assert!(shown.contains(&format!("messages    {none}\n")), "{shown}");
    let shown = told(&daemon, &["top", "--once"]);
    assert!(shown.contains("messages  1 queued "), "{shown}");
}
