//! What a mail administrator reads when the service cannot start: one line that says where,
//! what was found and what to do, and an exit status that is not 0. What a start looks like
//! that succeeds is for tests/shipped.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod directories;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::thread;

use camelpost_support::process::{as_root, wait_at_most};
use camelpost_support::{Daemon, PATIENCE};
use rustix::process::geteuid;

/// A config directory in a temporary directory, with one for plugins and one to spool.
struct Site(camelpost_support::Site);

impl Deref for Site {
    type Target = camelpost_support::Site;

    fn deref(&self) -> &camelpost_support::Site {
        &self.0
    }
}

impl Site {
    fn new() -> Site {
        let site = camelpost_support::Site::empty();
        site.allow("", 0o755);
        site.config("plugin_dirs", "@ROOT@/plugins\n")
            .config("spool_dir", "@ROOT@/spool\n");
        Site(site)
    }

    /// A plugin, and a config that loads it by line 2.
    fn plugin(&self, name: &str, text: &str) {
        fs::write(self.path("plugins").join(name), text).expect("a plugin");
        self.config("plugins", format!("# the only one\n{name}\n"));
    }

    /// Starts the service, which must fail, and gives what it says.
    fn fails(&self, args: &[&str]) -> String {
        let mut all = vec!["--listen-address", "127.0.0.1:0"];
        let config = self.path("config");
        let config = config.to_str().expect("UTF-8");
        if !args.contains(&"--config") {
            all.extend(["--config", config]);
        }
        if !args.contains(&"--user") && geteuid().is_root() {
            all.extend(["--user", "root"]);
        }
        all.extend(args);
        fails(&all)
    }

    /// The same for a failure that one line tells.
    fn fails_in_a_line(&self, args: &[&str]) -> String {
        let said = self.fails(args);
        assert_eq!(said.lines().count(), 1, "not one line: {said}");
        said.trim_end().to_owned()
    }

    /// `FILE:LINE`, as the messages name it.
    fn at(&self, file: &str, line: usize) -> String {
        let path = self.path("config").join(file);
        format!("camelpost: {}:{line}: ", path.display())
    }

    fn plugin_path(&self, name: &str) -> String {
        self.path("plugins").join(name).display().to_string()
    }
}

fn fails(args: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_camelpost"))
        .arg("serve")
        .args(args)
        .env_remove("QPSMTPD_CONFIG")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("camelpost");
    let mut stderr = child.stderr.take().expect("its stderr");
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        let _ = stderr.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    });
    let Some(status) = wait_at_most(&mut child, PATIENCE) else {
        let _ = child.kill();
        panic!("it did not end; it said: {:?}", reader.join());
    };
    let said = reader.join().expect("the reader");
    assert!(!status.success(), "it ended with success and said: {said}");
    for noise in ["panicked", "backtrace", "Err(", "os error", "src/"] {
        assert!(!said.contains(noise), "{noise:?} in: {said}");
    }
    assert!(said.ends_with('\n'), "no end of line in: {said}");
    said
}

#[test]
fn an_unknown_plugin_is_named_with_file_line_and_the_directories_searched() {
    let site = Site::new();
    site.config("plugins", "# none of ours\n\nno_such_plugin arg\n");
    let (at, searched) = (site.at("plugins", 3), site.path("plugins"));
    assert_eq!(
        site.fails_in_a_line(&[]),
        format!(
            "{at}plugin no_such_plugin not found; directories searched: {}",
            searched.display()
        )
    );
}

#[test]
fn an_unknown_plugin_in_an_included_file_is_found_there() {
    let site = Site::new();
    site.config("plugins", "$include more\n")
        .config("more", "\nno_such_plugin\n");
    let said = site.fails_in_a_line(&[]);
    assert!(said.starts_with(&site.at("more", 2)), "{said}");
}

#[test]
fn a_plugin_that_does_not_compile_is_perl_s_message_with_its_file_and_line() {
    let site = Site::new();
    site.plugin("broken", "sub hook_mail {\n    my $x = ;\n}\n");
    let said = site.fails(&[]);
    let at = site.at("plugins", 2);
    let expected = format!(
        "{at}plugin broken does not compile: syntax error at {} line 2",
        site.plugin_path("broken")
    );
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_missing_perl_module_is_named_with_where_to_get_it_and_where_it_was_searched() {
    let site = Site::new();
    site.plugin("needy", "\nuse Absent::Module;\n");
    let (at, file) = (site.at("plugins", 2), site.plugin_path("needy"));
    let said = site.fails_in_a_line(&[]);
    let expected = format!(
        "{at}plugin needy does not compile: the Perl module Absent::Module is missing (on CPAN: \
         Absent::Module), needed at {file} line 2 (@INC contains: "
    );
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_plugin_whose_register_dies_is_its_message() {
    let site = Site::new();
    site.plugin("refusing", "sub register {\n    die 'no database'\n}\n");
    let (at, file) = (site.at("plugins", 2), site.plugin_path("refusing"));
    assert_eq!(
        site.fails_in_a_line(&[]),
        format!("{at}plugin refusing: no database at {file} line 2.")
    );
    site.plugin(
        "refusing",
        "sub register { die \"give me a HOST argument\\n\" }\n",
    );
    assert_eq!(
        site.fails_in_a_line(&[]),
        format!("{at}plugin refusing: give me a HOST argument")
    );
    site.plugin("refusing", "sub register { die {code => 1} }\n");
    let said = site.fails_in_a_line(&[]);
    assert!(
        said.starts_with(&format!("{at}plugin refusing: HASH(")),
        "{said}"
    );
    assert!(!said.contains("PluginLoader"), "{said}");
}

#[test]
fn a_plugin_that_registers_an_unknown_hook_is_told_its_name() {
    let site = Site::new();
    site.plugin(
        "hopeful",
        "sub register { $_[0]->register_hook('no_such_hook', 'x') }\n",
    );
    let said = site.fails_in_a_line(&[]);
    assert!(said.contains("Invalid hook: no_such_hook"), "{said}");
    assert!(said.starts_with(&site.at("plugins", 2)), "{said}");
}

#[test]
fn a_plugin_that_calls_exit_while_it_is_loaded_is_named() {
    for (text, status) in [
        ("sub register { exit 3 }\n", 3),
        ("exit 0;\n", 0),
        ("BEGIN { exit 1 }\n", 1),
    ] {
        let site = Site::new();
        site.plugin("leaving", text);
        let at = site.at("plugins", 2);
        let said = site.fails_in_a_line(&[]);
        assert!(
            said.starts_with(&format!("{at}plugin leaving called exit(")),
            "{said}"
        );
        assert!(
            said.ends_with(&format!("exit({status}) while it was loaded")),
            "{said}"
        );
    }
}

#[test]
fn a_plugin_that_kills_the_process_while_it_is_loaded_is_said() {
    let site = Site::new();
    site.plugin("killer", "kill KILL => $$;\n");
    let said = site.fails_in_a_line(&[]);
    assert!(said.contains("(signal: 9 (SIGKILL))"), "{said}");
    assert!(
        said.contains("the process that loads the plugins"),
        "{said}"
    );
}

#[test]
fn a_broken_line_of_config_logging_is_named_as_one_of_config_plugins() {
    let site = Site::new();
    fs::write(site.path("plugins").join("quiet"), "1;\n").expect("a plugin");
    site.config("logging", "quiet\nno_such_logger\n");
    let said = site.fails_in_a_line(&[]);
    let expected = site.at("logging", 2) + "plugin no_such_logger not found";
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn an_unknown_native_plugin_is_told_which_there_are() {
    let site = Site::new();
    site.config("plugins", "native/no_such\n");
    let told = site.fails_in_a_line(&[]);
    let at = site.at("plugins", 1);
    let about = "native/no_such: there is no such native plugin; there are: ";
    let names = told
        .strip_prefix(&(at + about))
        .unwrap_or_else(|| panic!("{told}"));
    let names: Vec<&str> = names.split(", ").collect();
    for ours in [
        "native/badmailfrom",
        "native/count_recipients",
        "native/tls",
    ] {
        assert!(names.contains(&ours), "{told}");
    }
    assert!(names.is_sorted(), "{told}");
}

#[test]
fn a_wrong_argument_of_a_native_plugin_is_named() {
    let site = Site::new();
    site.config("plugins", "native/count_recipients max many\n");
    assert_eq!(
        site.fails_in_a_line(&[]),
        site.at("plugins", 1)
            + "native/count_recipients: argument 'max' takes a whole number from 0 to 4294967295, not 'many'"
    );
}

#[test]
fn an_argument_that_a_native_plugin_does_not_know_is_told_which_there_are() {
    let site = Site::new();
    site.config("plugins", "# one\nnative/count_recipients:2 maks 5\n");
    assert_eq!(
        site.fails_in_a_line(&[]),
        site.at("plugins", 2)
            + "native/count_recipients:2: unknown argument 'maks'; there are: max, loglevel"
    );
}

#[test]
fn a_control_character_in_config_plugins_is_shown_with_file_and_line() {
    let site = Site::new();
    site.config("plugins", b"# one\nrcpt_ok\x01 2\n");
    let said = site.fails_in_a_line(&[]);
    let expected = site.at("plugins", 2) + r#"unsafe characters in config line: "rcpt_ok\x01 2""#;
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn wrong_values_of_core_settings_are_named_with_what_they_may_be() {
    for (name, value, allowed) in [
        (
            "compat",
            "2.0",
            "0.94, a version of Debian's package such as 0.94-8, or 1.00",
        ),
        (
            "loglevel",
            "loud",
            "a number from 0 (LOGEMERG) to 7 (LOGDEBUG), or such a name",
        ),
        ("size_threshold", "1M", "a number of bytes"),
        ("databytes", "-1", "a number of bytes"),
        ("timeout", "20 min", "a number of seconds"),
        ("spool_perms", "rwx", "a mode in octal digits, such as 0700"),
    ] {
        let site = Site::new();
        site.config(name, format!("\n{value}\n"));
        let at = site.at(name, 2);
        assert_eq!(
            site.fails_in_a_line(&[]),
            format!("{at}{name} is \"{value}\"; it must be {allowed}")
        );
    }
}

#[test]
fn a_taken_port_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let said = Site::new().fails_in_a_line(&["--listen-address", &address]);
    assert_eq!(
        said,
        format!(
            "camelpost: cannot listen on {address}: the port is taken: stop the program that \
             listens there, or choose another --port"
        )
    );
}

#[test]
fn a_pid_file_that_cannot_be_written_is_named() {
    let site = Site::new();
    let path = site.path("absent/pid");
    let path = path.to_str().expect("UTF-8");
    assert_eq!(
        site.fails_in_a_line(&["--pid-file", path]),
        format!(
            "camelpost: cannot open the pid file {path}: No such file or directory; check --pid-file"
        )
    );
}

/// As root starts it where the directory is the service user's (Debian's init script makes it so).
#[test]
fn a_pid_file_that_is_a_link_or_a_fifo_ends_the_start_and_nothing_is_written() {
    let site = Site::new();
    let (path, precious) = (site.path("run.pid"), site.path("precious"));
    fs::write(&precious, "42\n").expect("a file");
    std::os::unix::fs::symlink(&precious, &path).expect("a link");
    let name = path.to_str().expect("UTF-8");
    let line = |what: &str| {
        format!("camelpost: cannot use the pid file {name}: {what}; remove it, or check --pid-file")
    };
    let said = site.fails_in_a_line(&["--pid-file", name]);
    assert_eq!(said, line("it is a link to another file"));
    assert_eq!(fs::read_to_string(&precious).expect("it"), "42\n");
    fs::remove_file(&path).expect("the link");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o666.into(), 0).expect("a fifo");
    let said = site.fails_in_a_line(&["--pid-file", name]);
    assert_eq!(said, line("it is no plain file"));
}

#[test]
fn modules_take_no_number_and_only_names_with_colons_are_modules() {
    let site = Site::new();
    let lib = site.path("lib");
    fs::create_dir_all(lib.join("My")).expect("a directory");
    for name in ["NoColons.pm", "My/Plugin.pm"] {
        let package = name.trim_end_matches(".pm").replace('/', "::");
        let text = format!("package {package}; our @ISA = 'Qpsmtpd::Plugin'; 1;\n");
        fs::write(lib.join(name), text).expect("a module");
    }
    site.plugin("adds_lib", &format!("use lib '{}';\n", lib.display()));
    site.config("plugins", "adds_lib\nMy::Plugin\nNoColons\n");
    let said = site.fails_in_a_line(&[]);
    let missing = format!("{}plugin NoColons not found", site.at("plugins", 3));
    assert!(said.starts_with(&missing), "{said}");
    site.config("plugins", "adds_lib\nMy::Plugin:0\n");
    let said = site.fails_in_a_line(&[]);
    let numbered = format!("{}plugin My::Plugin:0: ", site.at("plugins", 2));
    assert!(said.starts_with(&numbered), "{said}");
}

#[test]
fn queue_qmqp_without_a_server_or_with_a_bad_one_ends_the_start() {
    let site = Site::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/compat-plugins\n");
    site.config("plugin_dirs", shipped);
    for (line, reason) in [
        ("queue/qmqp", "No QMQP server specified"),
        (
            "queue/qmqp bad/server",
            "Bad data in qmqp server: bad/server",
        ),
        ("queue/qmqp localhost 99999", "Bad data in qmqp port: 99999"),
    ] {
        site.config("plugins", format!("{line}\n"));
        let said = site.fails_in_a_line(&[]);
        let at = format!("{}plugin queue/qmqp: ", site.at("plugins", 1));
        assert!(said.starts_with(&at) && said.contains(reason), "{said}");
    }
}

#[test]
fn a_plugin_that_never_returns_while_it_is_loaded_is_named_with_file_and_line() {
    let site = Site::new();
    site.config("plugins", "# the first line\nendless now\n");
    site.plugin("endless", "sub register { sleep 1 while 1 }\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_camelpost"));
    command
        .args(["serve", "--listen-address", "127.0.0.1:0", "--config"])
        .arg(site.path("config"));
    as_root(&mut command);
    let line = Daemon::spawn(command).wait_for("plugin endless: ");
    let place = format!(
        "{}:2: plugin endless: still loading",
        site.path("config/plugins").display()
    );
    assert!(line.contains(&place), "{line}");
}

#[test]
fn port_465_without_a_plugin_that_gives_tls_is_warned_about() {
    if !geteuid().is_root() {
        println!("needs root");
        return;
    }
    let warning = "port 465 is for clients that begin with TLS";
    for (plugin, is_warned) in [("plain", true), ("tls", false)] {
        let site = Site::new();
        site.plugin(plugin, "sub hook_mail { return DECLINED }\n");
        let mut command = Command::new(env!("CARGO_BIN_EXE_camelpost"));
        // An address that nobody else in these tests has.
        command
            .args(["serve", "--listen-address", "127.46.5.1:465", "--config"])
            .arg(site.path("config"));
        as_root(&mut command);
        let mut daemon = Daemon::spawn(command);
        daemon.wait_for("Running as user");
        daemon.stop();
        assert_eq!(daemon.count(warning) > 0, is_warned, "{:?}", daemon.lines());
    }
}
