//! A directory to run the programs in, ports, clients, processes. Every wait has an end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::port::Port;

#[path = "../compare/port.rs"]
mod port;

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// Takes every recipient and every message, and does as it is told in between.
pub const TAKER: &str = r#"
    sub hook_rcpt { return OK }
    sub hook_queue { return (OK, 'Taken') }
    sub hook_noop { exit 7 }
    sub hook_vrfy { my ($self) = @_; my $c = $self->connection;
        return (OK, join ' ', map { defined $_ ? $_ : 'undef' } $c->remote_ip, $c->remote_host,
            $c->remote_info, $c->remote_port, $c->local_ip, $c->local_port) }
"#;

/// A config directory with plugins, and the original's programs by name in `bin`.
pub struct Site {
    dir: TempDir,
}

impl Site {
    /// `lines` is config/plugins, where @ROOT@ is the site's directory.
    pub fn new(lines: &str) -> Site {
        let site = Site {
            dir: tempfile::tempdir().unwrap(),
        };
        for name in ["config", "plugins", "spool", "bin", "run"] {
            fs::create_dir(site.path(name)).unwrap();
        }
        fs::set_permissions(site.root(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(site.path("spool"), fs::Permissions::from_mode(0o700)).unwrap();
        site.put("plugins/taker", TAKER);
        let probe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/flavours/probe");
        fs::copy(probe, site.path("plugins/probe")).unwrap();
        site.put("config/plugin_dirs", "@ROOT@/plugins\n");
        site.put("config/spool_dir", "@ROOT@/spool\n");
        site.put("config/me", "mx.example.org\n");
        site.put("config/compat", "0.94\n");
        site.put("config/plugins", lines);
        for name in ["qpsmtpd", "qpsmtpd-forkserver", "qpsmtpd-prefork"] {
            symlink(CAMELPOST, site.path("bin").join(name)).unwrap();
        }
        site
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn put(&self, name: &str, text: &str) {
        let root = self.root().display().to_string();
        fs::write(self.path(name), text.replace("@ROOT@", &root)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    /// A command in the site's directory with nothing in its environment but what it needs.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("HOME", self.root())
            .env("QPSMTPD_CONFIG", self.path("config"))
            .current_dir(self.root());
        command
    }
}

/// Who runs the tests.
pub fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A port that no other test gets while this process lives.
pub fn free_port() -> u16 {
    let port = Port::free().unwrap();
    let number = port.number;
    std::mem::forget(port);
    number
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("the process did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for `found` to find something.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Tells a process to stop and waits for its end.
pub fn stop(child: &mut Child) -> ExitStatus {
    if let Ok(Some(status)) = child.try_wait() {
        return status;
    }
    let pid = rustix::process::Pid::from_child(child);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    wait(child)
}

/// A client's side of a session.
pub struct Client {
    socket: BufReader<TcpStream>,
}

impl Client {
    pub fn new(socket: TcpStream) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Client {
            socket: BufReader::new(socket),
        }
    }

    /// As soon as something listens there.
    pub fn connect(port: u16) -> Client {
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        Client::new(wait_for("a daemon that listens", connect))
    }

    /// A reply, the lines of which are joined by `|`; empty at the end of the stream.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            if self.socket.read_line(&mut line).unwrap_or(0) == 0 {
                return reply;
            }
            let line = line.trim_end();
            reply += line;
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
            reply.push('|');
        }
    }

    pub fn say(&mut self, text: &str) -> String {
        self.send(text);
        self.reply()
    }

    /// Sends a line and does not wait for the reply.
    pub fn send(&mut self, text: &str) {
        let line = format!("{text}\r\n");
        let _ = self.socket.get_mut().write_all(line.as_bytes());
    }

    /// All replies that still come, until the server closes.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.socket.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
