//! The directory a config set is played in: configuration, plugins, stub programs, mail.
//!
//! Both daemons use the same one, the second after the first, so every path is the same for both.
//! What they leave there is read and removed after each dialogue.

use crate::client::visible;
use crate::dialogue::ConfigSet;
use crate::facts;
use camelpost_support::process::{is_root, me};
use camelpost_support::repository;
use camelpost_support::stub::Stub;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where Debian's package keeps its plugins.
pub const PACKAGE_PLUGINS: &str = "/usr/share/qpsmtpd/plugins";
/// Camelpost's own Perl plugins, which the original can run, too; in the directory of the set, since
/// the service user may not get into the repository.
const SHIPPED_PLUGINS: &str = "shipped";
/// Directories of the service user, which are emptied before the second daemon starts.
const WRITTEN_TO: [&str; 5] = ["spool", "Maildir", "captured", "mail", "var"];

pub struct Ground {
    dir: tempfile::TempDir,
    pub user: String,
    collect: Vec<String>,
    /// What the directory had before a daemon ran in it.
    made: Vec<OsString>,
    stubs: Vec<Stub>,
}

impl Ground {
    pub fn new(set: &ConfigSet, sink: Option<u16>) -> std::io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("camelpost_compare_")
            .tempdir()?;
        let root = dir.path().to_owned();
        // The service user has to get in; what it writes to is given to it below.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        fs::create_dir_all(root.join("run"))?;
        let mut stubs = Vec::new();
        for line in &set.stubs {
            stubs.push(Stub::start(line, &root)?);
        }
        let package = set.package.as_deref().unwrap_or(PACKAGE_PLUGINS);
        let places = placeholders(&root, package, sink, &stubs);
        let defaults = defaults().map(|(name, text)| (name.to_owned(), text.to_owned()));
        let mut files = defaults.to_vec();
        let compat = format!("{}\n", facts::package());
        files.push(("config/compat".to_owned(), compat));
        files.extend(set.files.iter().cloned());
        for (_, text) in &mut files {
            *text = filled(text, &places);
        }
        write_all(&root, &files)?;
        let fixtures = repository().join("tests/fixtures");
        copy_tree(&fixtures.join("plugins"), &root.join("plugins"))?;
        copy_tree(&fixtures.join("bin"), &root.join("bin"))?;
        let shipped = repository().join("compat-plugins");
        copy_tree(&shipped, &root.join(SHIPPED_PLUGINS))?;
        let user = service_user();
        for name in WRITTEN_TO {
            let path = root.join(name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            if is_root() {
                run(Command::new("chown").arg(&user).arg(&path))?;
            }
        }
        if set.stand_ins {
            copy_tree(&fixtures.join("perl"), &root.join("perl"))?;
        }
        for line in &set.run {
            run(Command::new("sh")
                .args(["-c", &filled(line, &places)])
                .current_dir(&root)
                .stdout(Stdio::null())
                .stderr(Stdio::null()))?;
        }
        // The daemon runs here, and a few plugins write where it runs.
        if is_root() {
            run(Command::new("chown").arg(&user).arg(&root))?;
        }
        // As the `run` lines have left it, too.
        run(Command::new("cp")
            .args(["-a", "config", "kept"])
            .current_dir(&root))?;
        let made = names_in(&root);
        Ok(Self {
            dir,
            user,
            collect: set.collect.clone(),
            made,
            stubs,
        })
    }

    /// The ports of the stub servers, with what stands for them in a transcript.
    pub fn stub_ports(&self) -> Vec<(u16, String)> {
        let tcp = self.stubs.iter().filter(|stub| stub.port != 0);
        tcp.map(|stub| (stub.port, stub.placeholder())).collect()
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Waits for a text in the files that are collected; it may never come.
    pub fn wait_for(&self, text: &str, longest: Duration) {
        let end = Instant::now() + longest;
        while Instant::now() < end {
            let found = self.collect.iter().any(|name| {
                let file = fs::read(self.root().join(name)).unwrap_or_default();
                String::from_utf8_lossy(&file).contains(text)
            });
            if found {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What was delivered or written since the last call, as lines; it is removed.
    pub fn harvest(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let delivered = ["Maildir", "mail"].map(|dir| files_below(&self.root().join(dir)));
        for path in delivered.concat() {
            let place = path.parent().unwrap_or(&path).strip_prefix(self.root());
            let place = place.map(|p| p.display().to_string()).unwrap_or_default();
            lines.push(format!("-- in {place}"));
            lines.extend(contents(&path));
            fs::remove_file(&path).ok();
        }
        for path in files_below(&self.root().join("captured")) {
            let kind = path.extension().map(|e| e.to_string_lossy().into_owned());
            lines.push(format!("-- qmail-queue: {}", kind.unwrap_or_default()));
            lines.extend(contents(&path));
            fs::remove_file(&path).ok();
        }
        for name in &self.collect {
            let path = self.root().join(name);
            if fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
                lines.push(format!("-- file {name}"));
                lines.extend(contents(&path));
                // Emptied and not removed: a daemon may hold it open.
                fs::File::create(&path).ok();
            }
        }
        lines.extend(self.stubs.iter().flat_map(Stub::harvest));
        let spool = self.root().join("spool");
        let mut spooled = files_below(&spool);
        // What native plugins keep from one dialogue to the next is no message's.
        spooled.retain(|path| !path.starts_with(spool.join("store")));
        if !spooled.is_empty() {
            lines.push(format!(
                "-- {} files left in the spool directory",
                spooled.len()
            ));
        }
        for path in spooled {
            fs::remove_file(path).ok();
        }
        lines
    }

    /// Forgets everything that the first daemon left, before the second starts.
    pub fn sweep(&self) -> std::io::Result<()> {
        self.harvest();
        // Dialogues may have changed it.
        remove(&self.root().join("config"));
        run(Command::new("cp")
            .args(["-a", "kept", "config"])
            .current_dir(self.root()))?;
        for name in &self.collect {
            fs::remove_file(self.root().join(name)).ok();
        }
        for dir in WRITTEN_TO {
            for name in names_in(&self.root().join(dir)) {
                remove(&self.root().join(dir).join(name));
            }
        }
        for name in names_in(self.root()) {
            if !self.made.contains(&name) {
                remove(&self.root().join(name));
            }
        }
        Ok(())
    }
}

fn names_in(dir: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

fn remove(path: &Path) {
    fs::remove_dir_all(path)
        .or_else(|_| fs::remove_file(path))
        .ok();
}

/// The configuration of a set that says nothing else.
fn defaults() -> [(&'static str, &'static str); 6] {
    [
        ("config/me", "mx.example.org\n"),
        ("config/loglevel", "6\n"),
        ("config/rcpthosts", "example.com\n"),
        ("config/plugin_dirs", "@ROOT@/plugins\n@PACKAGE@\n"),
        ("config/spool_dir", "@ROOT@/spool\n"),
        ("config/plugins", "rcpt_ok\nqueue/maildir @ROOT@/Maildir\n"),
    ]
}

/// What is written for each `@NAME@` in a set's files.
fn placeholders(
    root: &Path,
    package: &str,
    sink: Option<u16>,
    stubs: &[Stub],
) -> Vec<(String, String)> {
    let mut places = vec![
        ("@ROOT@".to_owned(), root.display().to_string()),
        ("@PACKAGE@".to_owned(), package.to_owned()),
        (
            "@SHIPPED@".to_owned(),
            root.join(SHIPPED_PLUGINS).display().to_string(),
        ),
        ("@SINK@".to_owned(), sink.unwrap_or(9).to_string()),
    ];
    places.extend(stubs.iter().map(|s| (s.placeholder(), s.port.to_string())));
    places
}

fn filled(text: &str, places: &[(String, String)]) -> String {
    places.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

fn write_all(root: &Path, files: &[(String, String)]) -> std::io::Result<()> {
    for (name, text) in files {
        let path = root.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

pub fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    // Names begin with times that differ between the daemons; the order of writing does not.
    let written = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    found.sort_by_key(|path| {
        (
            path.parent().map(Path::to_owned),
            written(path),
            path.clone(),
        )
    });
    found
}

fn contents(path: &Path) -> Vec<String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return vec![format!("(unreadable: {error})")],
    };
    let mut lines = Vec::new();
    let mut rest = bytes.split_inclusive(|&b| b == b'\n').peekable();
    while let Some(line) = rest.next() {
        // A large message is many equal lines; so it stays readable, and quick to compare.
        let mut times = 1;
        while rest.next_if_eq(&line).is_some() {
            times += 1;
        }
        let text = match line.strip_suffix(b"\n") {
            Some(line) => format!("> {}", visible(line)),
            None => format!("> {} (no line end)", visible(line)),
        };
        lines.push(if times > 1 {
            format!("{text} ({times} times)")
        } else {
            text
        });
    }
    lines
}

/// The package's own user when the suite may change to it, else whoever runs the suite.
fn service_user() -> String {
    if is_root() {
        return "qpsmtpd".to_owned();
    }
    me()
}

fn run(command: &mut Command) -> std::io::Result<()> {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("{command:?}")))
    }
}
