//! The two daemons: how each is started, when it is ready, and how it is stopped.

use super::dialogue::ConfigSet;
use super::ground::Ground;
use super::port::Port;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const ORIGINAL: &str = "/usr/bin/qpsmtpd-forkserver";
const START: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The package's, 0.94.
    Original,
    /// Upstream's 1.00, of a checkout (`upstream`).
    Upstream,
    Camelpost,
}

impl Which {
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Upstream => "upstream",
            Self::Camelpost => "camelpost",
        }
    }
}

/// A running daemon; dropped, it and all its processes are gone.
pub struct Daemon {
    which: Which,
    child: Child,
    pub port: u16,
    _port: Port,
    stderr: PathBuf,
    /// Where Camelpost tells of its sessions.
    control: PathBuf,
    read: u64,
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
            Which::Camelpost => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_camelpost"));
                // $0, which FindBin looks for: the service user may not get into the repository.
                let name = root.join("bin/camelpost");
                File::create(&name).map_err(|e| format!("{}: {e}", name.display()))?;
                command.arg0(name);
                command.args(["serve", "--config"]).arg(root.join("config"));
                command.env_clear();
                // Under -T neither PERL5LIB counts nor what its Perl would take from the environment.
                lend_modules(ground, dns).map_err(|e| format!("resolver shim: {e}"))?;
                command.env("RES_NAMESERVERS", dns.ip().to_string());
                command.env("RES_OPTIONS", format!("port:{}", dns.port()));
                command.arg("--control").arg(&control);
                command
            }
        };
        let stderr = root.join(format!("{}.stderr", which.name()));
        let log = File::create(&stderr).map_err(|e| format!("{}: {e}", stderr.display()))?;
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
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| e.to_string())?)
            .stderr(log)
            .process_group(0);
        // The defaults differ, and the log shows the limit.
        if !set.options.iter().any(|o| o == "--limit-connections") {
            command.args(["--limit-connections", "15"]);
        }
        let child = command
            .spawn()
            .map_err(|e| format!("{}: {e}", which.name()))?;
        let mut daemon = Self {
            which,
            child,
            port: port.number,
            _port: port,
            stderr,
            control,
            read: 0,
        };
        daemon.wait_until_ready()?;
        Ok(daemon)
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
                Ok(text.lines().map(str::to_owned).collect())
            }
        }
    }

    /// A greeting, or any other line: the original listens long before it can answer.
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!(
                    "{} ended with {status} before it was ready:\n{}",
                    self.which.name(),
                    fs::read_to_string(&self.stderr).unwrap_or_default()
                ));
            }
            if self.answers() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(15));
        }
        Err(format!(
            "{} did not answer within {START:?}:\n{}",
            self.which.name(),
            fs::read_to_string(&self.stderr).unwrap_or_default()
        ))
    }

    fn answers(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let Ok(mut socket) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
            return false;
        };
        socket.set_read_timeout(Some(Duration::from_secs(5))).ok();
        let mut byte = [0];
        let answered = matches!(socket.read(&mut byte), Ok(1));
        socket.write_all(b"QUIT\r\n").ok();
        // To the end, so that this session is over before the first dialogue.
        socket.read_to_end(&mut Vec::new()).ok();
        answered
    }

    /// Waits until the last session has run its last hook, as far as that can be seen.
    pub fn settle(&mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!(
                "{} ended in between with {status}",
                self.which.name()
            ));
        }
        match self.which {
            // A session is a child process: it is over when that has ended, or is a zombie, which
            // the daemon leaves for up to a second.
            Which::Original | Which::Upstream => {
                let pid = self.child.id();
                let children = format!("/proc/{pid}/task/{pid}/children");
                wait_until(|| {
                    let list = fs::read_to_string(&children).unwrap_or_default();
                    list.split_whitespace().all(has_ended)
                });
            }
            // The supervisor counts a session until its worker has said that it is over.
            Which::Camelpost => wait_until(|| self.open_sessions() == Some(0)),
        }
        Ok(())
    }

    fn open_sessions(&self) -> Option<u64> {
        let mut status = Command::new(env!("CARGO_BIN_EXE_camelpost"));
        status
            .args(["status", "--json", "--control"])
            .arg(&self.control);
        let said = status.stderr(Stdio::null()).output().ok()?.stdout;
        let said = String::from_utf8(said).ok()?;
        let (_, rest) = said.split_once("\"open_sessions\":")?;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..digits].parse().ok()
    }

    /// What the daemon has written on standard error since the last call.
    pub fn log(&mut self) -> Vec<String> {
        let text = fs::read(&self.stderr).unwrap_or_default();
        let new = text.get(self.read as usize..).unwrap_or_default();
        self.read = text.len() as u64;
        String::from_utf8_lossy(new)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process, kill_process_group};
        let Some(pid) = Pid::from_raw(self.child.id() as i32) else {
            return;
        };
        kill_process(pid, Signal::TERM).ok();
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Its own process group, so that nothing of it stays behind when a test fails.
        kill_process_group(pid, Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// Waits for what comes soon, on a busy machine after a while.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn has_ended(pid: &str) -> bool {
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
    // In INIT, once the daemon has loaded Net::DNS itself, and after a first new(), which reads the
    // machine's own settings over anything that was set before.
    let text = format!(
        "package CompareResolver;\nINIT {{\n    require Net::DNS::Resolver;\n    \
         Net::DNS::Resolver->new;\n    Net::DNS::Resolver->nameservers('{}');\n    \
         Net::DNS::Resolver->port({});\n}}\n1;\n",
        dns.ip(),
        dns.port()
    );
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
