//! Where a page's commands are run: a directory that stands for the machine, with a configuration, the program, a log
//! in JSON and, where a command asks for one, a daemon. Paths of the page become paths in it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use camelpost_support::{Daemon, Site, free_port, me, repository, until};

use crate::CAMELPOST;

/// Directories of the machine that the site has in their place.
const PLACES: [&str; 4] = [
    "/etc/qpsmtpd",
    "/etc/camelpost",
    "/usr/bin",
    "/var/log/camelpost",
];

/// Commands that ask a daemon.
const ASKING: [&str; 6] = ["status", "ping", "top", "reload", "upgrade", "drain"];

/// A log with what the pages ask for; a daemon's own has other ids.
const LOG: &str = r#"{"time":"2026-01-01T00:00:00Z","pid":1,"event":"connect","id":"4194305-mx04ny17","ip":"192.0.2.7","host":"mail.example.net","port":40000,"local_ip":"192.0.2.1","local_port":25}
{"time":"2026-01-01T00:00:01Z","pid":1,"event":"message","id":"4194305-mx04ny17","ip":"192.0.2.7","transaction":"4194305-mx04ny17.2","outcome":"queued","sender":"<joe@example.org>","recipients":["<ann@example.net>"],"bytes":12}
{"time":"2026-01-01T00:00:02Z","pid":1,"event":"disconnect","id":"4194305-mx04ny17","ip":"192.0.2.7"}
"#;

pub struct Machine {
    site: Site,
    port: u16,
    /// One that a command has started; another one's process may have taken its place since.
    daemon: Option<Daemon>,
}

fn link(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

impl Machine {
    /// `makes_config`: the page makes /etc/camelpost itself.
    pub fn new(makes_config: bool) -> Machine {
        let site = Site::empty();
        for dir in ["etc/qpsmtpd", "usr/bin", "var/log/camelpost", "lib", "t"] {
            fs::create_dir_all(site.path(dir)).unwrap();
        }
        let plugins = repository().join("compat-plugins");
        let files = [
            ("plugins", "rcpt_ok\nqueue/maildir @ROOT@/Maildir\n"),
            ("plugin_dirs", plugins.to_str().unwrap()),
            ("rcpthosts", "example.org\nlocalhost\n"),
            ("spool_dir", "@ROOT@/spool"),
            ("me", "mx.example.org"),
        ];
        for (name, text) in files {
            site.put(&format!("etc/qpsmtpd/{name}"), &format!("{text}\n"));
        }
        if !makes_config {
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(site.path("etc/qpsmtpd"));
            let copied = copy.arg(site.path("etc/camelpost")).status();
            assert!(copied.unwrap().success());
        }
        site.put("var/log/camelpost/camelpost.log", LOG);
        site.put("camelpost.log.2", LOG);
        let packed = Command::new("gzip")
            .arg(site.path("camelpost.log.2"))
            .status();
        assert!(packed.unwrap().success());
        site.put("t/one.t", "use Test::More; ok(1); done_testing;\n");
        link(Path::new(CAMELPOST), &site.path("usr/bin/camelpost"));
        link(Path::new(CAMELPOST), &site.path("camelpost.new"));
        Machine {
            site,
            port: free_port(),
            daemon: None,
        }
    }

    fn control(&self) -> String {
        self.site.path("control").display().to_string()
    }

    /// A line of the page as it is run here.
    fn line(&self, line: &str) -> String {
        let mut line = line.to_owned();
        // The journal is the machine's; the log is the same.
        if let Some((_, rest)) = line
            .split_once("journalctl")
            .and_then(|(_, rest)| rest.split_once('|'))
        {
            line = format!("cat /var/log/camelpost/camelpost.log | {rest}");
        }
        if line.starts_with("camelpost why") && !line.contains("--log") {
            line.push_str(" --log /var/log/camelpost/camelpost.log");
        }
        for place in PLACES {
            line = line.replace(place, &self.site.path(&place[1..]).display().to_string());
        }
        line = line.replace("--user qpsmtpd", &format!("--user {}", me()));
        line = line.replace("2525", &self.port.to_string());
        for command in ASKING.iter().chain(&["serve"]) {
            let plain = format!("camelpost {command}");
            line = line.replace(&plain, &format!("{plain} --control {}", self.control()));
        }
        line
    }

    fn shell(&self, line: &str) -> Command {
        let path = format!(
            "{}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            self.site.path("usr/bin").display()
        );
        let mut command = self.site.command("sh");
        command
            .args(["-ec", line])
            .env("PATH", path)
            .env_remove("QPSMTPD_CONFIG");
        command
    }

    fn start(&mut self, line: &str) {
        self.end();
        let command = self.shell(&format!("exec {line}"));
        self.daemon = Some(Daemon::spawn(command));
        until("a daemon that answers", || self.answers());
    }

    fn answers(&self) -> bool {
        let ping = self
            .shell(&format!("camelpost ping --control {}", self.control()))
            .output();
        ping.unwrap().status.success()
    }

    fn end(&mut self) {
        let Some(mut daemon) = self.daemon.take() else {
            return;
        };
        // After an upgrade it is another process.
        let drain = format!("camelpost drain --limit 0 --control {}", self.control());
        let _ = self.shell(&drain).output();
        daemon.stop();
    }

    /// Runs it; a daemon goes on until the next one or the end. The error is what came of it.
    pub fn run(&mut self, shown: &str) -> Result<(), String> {
        let line = self.line(shown);
        if line.starts_with("camelpost serve") {
            self.start(&line);
            return Ok(());
        }
        let asks = |command: &&str| shown.starts_with(&format!("camelpost {command}"));
        if self.daemon.is_none() && (ASKING.iter().any(asks) || shown.starts_with("swaks")) {
            let serve = "camelpost serve --config /etc/camelpost --listen-address 127.0.0.1 --port 2525 --user qpsmtpd";
            self.start(&self.line(serve));
        }
        let output: Output = self.shell(&line).output().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("{line}: {output:?}")),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}
