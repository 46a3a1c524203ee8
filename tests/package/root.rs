//! A clean Debian of this machine's release, in memory and in namespaces of its own: what runs in it and what is
//! mounted in it ends with it. It has this machine's network. It knows nothing of the package.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

pub struct Root {
    /// unshare(1), which takes all processes of the root along.
    holder: Child,
    /// The root's process 1, by the machine's number.
    init: String,
    dir: PathBuf,
    _temporary: TempDir,
}

/// Why no root can be made here, if that is so: this user may not, or the kernel does not let it.
pub fn hindrance() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--pid", "--fork"])
        .args([
            "sh",
            "-ec",
            "mount -t tmpfs tmpfs /mnt; mount -t proc proc /mnt",
        ])
        .output();
    let output = output.unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    (!output.status.success()).then(|| format!("needs unshare and mount: {}", why.trim()))
}

fn said_by(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.expect("a name of this Debian's release").to_owned()
}

/// The first of apt's repositories that is a release's itself, not its updates.
fn mirror() -> String {
    let format = "$(REPO_URI) $(COMPONENT) $(RELEASE)";
    let all = said_by(
        "apt-get",
        &["indextargets", "--format", format, "Created-By: Packages"],
    );
    let found = all.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        matches!(words[..], [_, "main", name] if !name.contains('-')).then(|| words[0].to_owned())
    });
    found.expect("a repository of a release in apt's configuration")
}

impl Root {
    pub fn new() -> Root {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("root");
        fs::create_dir(&dir).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/package/root.sh");
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--pid", "--fork"])
            .args(["--kill-child", "bash"])
            .arg(script)
            .args([&dir, Path::new(&release()), Path::new(&mirror())])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        let mut init = String::new();
        said.read_line(&mut init).unwrap();
        let mut ready = String::new();
        said.read_line(&mut ready).unwrap();
        if ready != "ready\n" {
            said.read_to_string(&mut ready).unwrap();
            panic!("no root: {ready}");
        }
        Root {
            holder,
            init: init.trim().to_owned(),
            dir,
            _temporary: temporary,
        }
    }

    /// Where a file of the root is for this process.
    pub fn path(&self, path: &str) -> PathBuf {
        let dir = self.dir.display();
        PathBuf::from(format!("/proc/{}/root{dir}{path}", self.init))
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A shell's command line in the root, as root.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--pid", "--target", &self.init])
            .arg("chroot")
            .arg(&self.dir)
            .args(["/usr/bin/env", "-i", "LC_ALL=C.UTF-8", "HOME=/root"])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"])
            .args(["DEBIAN_FRONTEND=noninteractive", "sh", "-ec", line])
            .stdin(Stdio::null());
        command
    }

    pub fn try_run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What it says, on both outputs; it has to succeed.
    pub fn run(&self, line: &str) -> String {
        let output = self.try_run(&format!("exec 2>&1\n{line}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}\n{said}");
        said
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
