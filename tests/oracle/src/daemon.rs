//! The two daemons: how each is started, when it is ready, and how it is stopped.

use crate::dialogue::ConfigSet;
use crate::ground::Ground;
use camelpost_support::client::greeting;
use camelpost_support::process::{children, status};
use camelpost_support::{Port, dns};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub use camelpost_support::ORIGINAL;

/// The variable that turns fast paths off (camelpost::perl::fast::SWITCH).
const PLAIN: &str = "CAMELPOST_PLAIN";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The package's, 0.94.
    Original,
    /// Upstream's 1.00, of a checkout (`upstream`).
    Upstream,
    /// Camelpost, which is this program.
    Camelpost(&'static str),
    /// The same without its fast paths (src/perl/fast).
    Plain(&'static str),
}

impl Which {
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Upstream => "upstream",
            Self::Camelpost(_) => "camelpost",
            Self::Plain(_) => "plain",
        }
    }
}

/// A running daemon; dropped, it and all its processes are gone.
pub struct Daemon {
    which: Which,
    daemon: camelpost_support::Daemon,
    pub port: u16,
    _port: Port,
    /// Where Camelpost tells of its sessions.
    control: PathBuf,
    /// So many lines of its log.
    read: usize,
}

/// Says what to do where the oracle is not there: the suite has no meaning without it.
pub fn require_original() -> Result<(), String> {
    if std::path::Path::new(ORIGINAL).exists() {
        return Ok(());
    }
    Err(format!(
        "{ORIGINAL} is not there. The comparison suite needs the original daemon: \
         run `apt-get install qpsmtpd` (Debian has version 0.94)."
    ))
}

/// The checkout of upstream's repository that the environment names.
pub fn upstream() -> Option<PathBuf> {
    std::env::var_os("QPSMTPD_100").map(PathBuf::from)
}

impl Daemon {
    pub fn start(
        which: Which,
        set: &ConfigSet,
        ground: &Ground,
        dns: SocketAddr,
    ) -> Result<Self, String> {
        let mut last = String::new();
        // Another process may take the port between our choice and the daemon's bind.
        for _ in 0..3 {
            let port = Port::free().map_err(|e| format!("no free port: {e}"))?;
            match Self::start_on(port, which, set, ground, dns) {
                Ok(daemon) => return Ok(daemon),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn start_on(
        port: Port,
        which: Which,
        set: &ConfigSet,
        ground: &Ground,
        dns: SocketAddr,
    ) -> Result<Self, String> {
        let root = ground.root();
        let control = root.join("camelpost.control");
        let mut command = match which {
            Which::Original | Which::Upstream => {
                let shim = write_shim(ground, dns).map_err(|e| format!("resolver shim: {e}"))?;
                let mut command = Command::new("perl");
                command.env_clear();
                // -Tw as in its first line: perl ignores PERL5OPT and PERL5LIB under -T.
                command
                    .args(["-Tw", "-I"])
                    .arg(shim)
                    .arg("-I")
                    .arg(root.join("perl"));
                let mut program = PathBuf::from(ORIGINAL);
                if which == Which::Upstream {
                    let checkout = upstream().ok_or("QPSMTPD_100 names no checkout")?;
                    command.arg("-I").arg(checkout.join("lib"));
                    // Only a set with other plugins needs what upstream is lent; without, the daemon
                    // is to have nothing of the package, whose modules perl finds, too.
                    command.arg(match set.package {
                        Some(_) => "-MCompareMethods",
                        None => "-MCompareAlone",
                    });
                    program = checkout.join("qpsmtpd-forkserver");
                }
                command.arg("-MCompareResolver").arg(program);
                command
            }
            Which::Camelpost(program) | Which::Plain(program) => {
                let mut command = Command::new(program);
                // $0, which FindBin looks for: the service user may not get into the repository.
                let name = root.join("bin/camelpost");
                File::create(&name).map_err(|e| format!("{}: {e}", name.display()))?;
                command.arg0(name);
                command.args(["serve", "--config"]).arg(root.join("config"));
                command.env_clear();
                // Under -T neither PERL5LIB counts nor what its Perl would take from the environment.
                lend_modules(ground, dns).map_err(|e| format!("resolver shim: {e}"))?;
                command.envs(dns::environment(dns));
                command.arg("--control").arg(&control);
                if let Which::Plain(_) = which {
                    command.env(PLAIN, "1");
                }
                command
            }
        };
        let stderr = root.join(format!("{}.stderr", which.name()));
        // What an earlier one has left.
        fs::remove_file(&stderr).ok();
        command
            .args([
                "--listen-address",
                "127.0.0.1",
                "--port",
                &port.number.to_string(),
            ])
            .args(["--user", &ground.user, "--pid-file"])
            .arg(root.join(format!("{}.pid", which.name())))
            .args(&set.options)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("QPSMTPD_CONFIG", root.join("config"))
            .envs(
                set.env
                    .iter()
                    .map(|(n, v)| (n, v.replace("@ROOT@", &root.display().to_string()))),
            )
            .current_dir(root);
        // The defaults differ, and the log shows the limit.
        if !set.options.iter().any(|o| o == "--limit-connections") {
            command.args(["--limit-connections", "15"]);
        }
        let named = |error: String| format!("{}: {error}", which.name());
        let daemon = camelpost_support::Daemon::logging_to_file(stderr, &mut command);
        let mut daemon = daemon.map_err(|e| named(e.to_string()))?;
        // A greeting, or any other line: the original listens long before it can answer.
        let answers = || !greeting(port.number).is_empty();
        daemon.wait_until(answers).map_err(named)?;
        Ok(Self {
            which,
            daemon,
            port: port.number,
            _port: port,
            control,
            read: 0,
        })
    }

    /// What it says when it cannot start with this configuration; an error if it can.
    pub fn refusal(
        which: Which,
        set: &ConfigSet,
        ground: &Ground,
        dns: SocketAddr,
    ) -> Result<Vec<String>, String> {
        let port = Port::free().map_err(|e| format!("no free port: {e}"))?;
        match Self::start_on(port, which, set, ground, dns) {
            Ok(_) => Err(format!("{} does start", which.name())),
            Err(_) => {
                let log = ground.root().join(format!("{}.stderr", which.name()));
                let text = fs::read(&log).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                Ok(lines_of(&text))
            }
        }
    }

    /// Waits until the last session has run its last hook, as far as that can be seen.
    pub fn settle(&mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.daemon.child.try_wait() {
            return Err(format!(
                "{} ended in between with {status}",
                self.which.name()
            ));
        }
        match self.which {
            // A session is a child process: it is over when that has ended, or is a zombie, which
            // the daemon leaves for up to a second.
            Which::Original | Which::Upstream => {
                let pid = self.daemon.child.id();
                wait_until(|| children(pid).into_iter().all(has_ended));
            }
            // The supervisor counts a session until its worker has said that it is over.
            Which::Camelpost(program) | Which::Plain(program) => {
                wait_until(|| self.open_sessions(program) == Some(0));
            }
        }
        Ok(())
    }

    fn open_sessions(&self, program: &str) -> Option<u64> {
        status(program, &self.control).ok()?["open_sessions"].as_u64()
    }

    /// What the daemon has written on standard error since the last call.
    pub fn log(&mut self) -> Vec<String> {
        let new = self.daemon.lines().split_off(self.read);
        self.read += new.len();
        lines_of(&new.join("\n"))
    }
}

/// The lines of a log, without the one that says that fast paths are off.
fn lines_of(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.contains(PLAIN));
    lines.map(str::to_owned).collect()
}

/// Waits for what comes soon, on a busy machine after a while.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn has_ended(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

/// Camelpost's Perl finds what the set lends it, and a Net::DNS before its own that is that one with the
/// suite's resolver. (Camelpost's own lookups go by RES_NAMESERVERS, which under -T is tainted for Perl.)
fn lend_modules(ground: &Ground, dns: SocketAddr) -> std::io::Result<()> {
    let dir = ground.root().join("shim/resolver");
    fs::create_dir_all(dir.join("Net"))?;
    let text = format!(
        "my ($own) = grep {{ -e }} map {{ \"$_/Net/DNS.pm\" }} grep {{ !ref && !m{{/shim/resolver$}} }} @INC;\n\
         require $own;\n$INC{{'Net/DNS.pm'}} = $own;\nNet::DNS::Resolver->new;\n\
         Net::DNS::Resolver->nameservers('{}');\nNet::DNS::Resolver->port({});\n1;\n",
        dns.ip(),
        dns.port()
    );
    fs::write(dir.join("Net/DNS.pm"), text)?;
    let perl = ground.root().join("perl");
    let dirs = format!("{}\n{}\n", dir.display(), perl.display());
    fs::write(ground.root().join("config/module_dirs"), dirs)
}

/// The package's daemon looks up every client and ignores -H. This module sends all lookups of its
/// Perl to the suite's own resolver.
fn write_shim(ground: &Ground, dns: SocketAddr) -> std::io::Result<PathBuf> {
    let dir = ground.root().join("shim");
    fs::create_dir_all(&dir)?;
    let text = dns::perl_module("CompareResolver", dns);
    fs::write(dir.join("CompareResolver.pm"), text)?;
    // For upstream's daemon with the package's plugins: the method that 1.00 has under another name,
    // without which none that looks names up could be loaded.
    let text = "package CompareMethods;\nINIT {\n    package Qpsmtpd::Plugin;\n    \
                *init_resolver = sub { my $self = shift; $self->get_resolver(@_) };\n}\n1;\n";
    fs::write(dir.join("CompareMethods.pm"), text)?;
    let text = "package CompareAlone;\nunshift @INC, sub {\n    my $file = $_[1];\n    \
                return unless $file =~ /^Qpsmtpd/;\n    \
                return if grep { !ref && -e \"$_/Qpsmtpd/Base.pm\" && -e \"$_/$file\" } @INC;\n    \
                die \"Can't locate $file in \\@INC\\n\";\n};\n1;\n";
    fs::write(dir.join("CompareAlone.pm"), text)?;
    Ok(dir)
}
