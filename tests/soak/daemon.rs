//! The daemon under load: how it is started with a spool directory on a small file system, asked, and
//! looked at from outside.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use camelpost_support::process::{as_root, ask, children, status, wait_at_most};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::plugins::{FAULTY, SINK};

/// The whole spool's size in KiB. A few of the larger messages fill it.
pub const SPOOL_KIB: usize = 4096;
const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");
/// In the environment of every process of the daemon, plugins' children included.
const MARK: &str = "CAMELPOST_SOAK";

/// The service, ended when dropped.
pub struct Daemon {
    daemon: camelpost_support::Daemon,
    pub address: SocketAddr,
    pub dir: TempDir,
    /// The spool directory, held open: the file system of the daemon's own is reached through it.
    spool: File,
    pub spool_is: &'static str,
}

/// Whether this process may mount a file system that only it and its children see.
fn can_mount() -> bool {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=64k none {}", dir.path().display());
    let tried = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

impl Daemon {
    pub fn start(options: &[&str]) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["config", "plugins", "spool", "sink"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::set_permissions(path("spool"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(path("plugins/soak_faulty"), FAULTY).unwrap();
        fs::write(path("plugins/soak_sink"), SINK).unwrap();
        let files = [
            ("plugins", plugin_lines(dir.path())),
            ("plugin_dirs", format!("{}\n", path("plugins").display())),
            ("spool_dir", format!("{}\n", path("spool").display())),
            ("me", "mx.example\n".to_owned()),
            ("size_threshold", "10000\n".to_owned()),
            ("loglevel", "4\n".to_owned()),
            // Its clients are to be stuck in replies that they do not read.
            ("junk_command_limit", "0\n".to_owned()),
            ("command_limit", "0\n".to_owned()),
            (
                "plugin_settings",
                "* timeout 1\nsoak_sink timeout 60\n".to_owned(),
            ),
        ];
        for (name, text) in files {
            fs::write(path("config").join(name), text).unwrap();
        }

        let mounts = can_mount();
        let mut command = Command::new("unshare");
        let spool = path("spool").display().to_string();
        let program = CAMELPOST;
        if mounts {
            let size = format!("size={SPOOL_KIB}k,mode=700");
            let script = r#"mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@""#;
            command.args(["-m", "sh", "-c", script, "sh", &size, &spool, program]);
        } else {
            // Each file has a limit instead: a quarter, in blocks of half a KiB.
            let blocks = (SPOOL_KIB / 2).to_string();
            let script = r#"trap '' XFSZ; ulimit -f "$1" && shift && exec "$@""#;
            command = Command::new("sh");
            command.args(["-c", script, "sh", &blocks, program]);
        }
        command.arg("serve").arg("--config").arg(path("config"));
        command.args(["--listen-address", "127.0.0.1:0", "--no-rdns"]);
        command.args(["--log-format", "json"]);
        command.args(["--max-from-ip", "0", "--control"]);
        command.arg(path("control")).args(options);
        as_root(&mut command);
        command.env(MARK, dir.path()).current_dir(dir.path());
        // A file for its log would have the limit of the spool's: it is a pipe.
        let mut daemon = camelpost_support::Daemon::spawn(command);
        let address = listening(&mut daemon, dir.path());
        let root = PathBuf::from(format!("/proc/{}/root", daemon.child.id()));
        let spool = File::open(root.join(spool.trim_start_matches('/'))).unwrap();
        Daemon {
            daemon,
            address,
            dir,
            spool,
            spool_is: match mounts {
                true => "a tmpfs of 4 MiB",
                false => "a directory (no mount allowed), files limited in size",
            },
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log(&self) -> String {
        self.daemon.log.text()
    }

    pub fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// Runs a command of the program's own on the control socket.
    pub fn command(&self, words: &[&str]) -> Output {
        ask(CAMELPOST, &self.path("control"), words)
    }

    pub fn status(&self) -> Result<Value, String> {
        status(CAMELPOST, &self.path("control"))
    }

    /// Everything in the spool directory; a file made by the test is not counted.
    pub fn spooled(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.spool_path())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != FILLER {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn spool_path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.spool.as_raw_fd()).into()
    }

    /// Takes nearly all of the spool's file system, until `empty`.
    pub fn fill(&self) -> io::Result<()> {
        let file = self.spool_path().join(FILLER);
        // The last of it does not fit.
        match fs::write(file, vec![0; (SPOOL_KIB - 16) * 1024]) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
            written => written,
        }
    }

    pub fn empty(&self) -> io::Result<()> {
        fs::remove_file(self.spool_path().join(FILLER))
    }

    /// Whether `fill` does what it says.
    pub fn has_small_file_system(&self) -> bool {
        self.spool_is.starts_with("a tmpfs")
    }

    pub fn supervisor(&self) -> Footprint {
        Footprint::of(self.daemon.child.id())
    }

    /// The processes that have loaded the plugins; the supervisor has no other children.
    pub fn zygotes(&self) -> Vec<i32> {
        children(self.daemon.child.id())
    }

    /// The end of the supervisor, if that comes in time.
    pub fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        wait_at_most(&mut self.daemon.child, time)
    }

    /// Processes of the daemon that are still there: number and name.
    pub fn processes(&self) -> Vec<String> {
        let mark = format!("{MARK}={}", self.dir.path().display());
        let marked = |pid: &str| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut entries = environment.split(|byte| *byte == 0);
            entries.any(|entry| entry == mark.as_bytes())
        };
        let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        all.filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && marked(name))
            .map(|pid| {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                format!("{pid} {}", name.trim())
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only after a failure is there anything left; the kernel takes the group's rest along.
        let _ = self.daemon.child.kill();
        for process in self.processes() {
            let pid = process.split(' ').next().and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid.and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// A file of the test's own in the spool.
const FILLER: &str = "filler";

pub fn plugin_lines(dir: &Path) -> String {
    format!("soak_faulty\nsoak_sink {}/sink\n", dir.display())
}

/// Asks the service where it listens, once it does.
fn listening(daemon: &mut camelpost_support::Daemon, dir: &Path) -> SocketAddr {
    let mut address = None;
    let listens = daemon.wait_until(|| {
        let status = status(CAMELPOST, &dir.join("control")).unwrap_or_default();
        address = status["listening"][0].as_str().map(str::to_owned);
        address.is_some()
    });
    listens.unwrap_or_else(|error| panic!("{error}"));
    address.unwrap().parse().unwrap()
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub struct Footprint {
    pub kib: usize,
    pub descriptors: usize,
}

impl Footprint {
    fn of(pid: u32) -> Footprint {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        Footprint {
            kib: resident.and_then(|kib| kib.parse().ok()).unwrap_or(0),
            descriptors: descriptors.map_or(0, |entries| entries.count()),
        }
    }
}
