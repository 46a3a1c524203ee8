//! A directory to run a daemon in: configuration, plugins, a spool. `@ROOT@` in what is written there is the
//! directory's name.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::plugins::OBEDIENT;

pub struct Site {
    dir: TempDir,
}

impl Site {
    /// With the directories `config`, `plugins` and `spool`, and nothing in them.
    pub fn empty() -> Site {
        Site::empty_in(&std::env::temp_dir())
    }

    /// The same below another directory than the usual one.
    pub fn empty_in(parent: &Path) -> Site {
        let site = Site {
            dir: tempfile::tempdir_in(parent).unwrap(),
        };
        for name in ["config", "plugins", "spool"] {
            fs::create_dir(site.path(name)).unwrap();
        }
        site.allow("spool", 0o700);
        site
    }

    /// A whole configuration with these lines as config/plugins, the plugin `taker`, and directories for
    /// programs and for what a daemon writes; any user may enter.
    pub fn new(lines: &str) -> Site {
        let site = Site::empty();
        for name in ["bin", "run"] {
            fs::create_dir(site.path(name)).unwrap();
        }
        site.allow("", 0o755);
        site.put("plugins/taker", OBEDIENT);
        site.put("config/plugin_dirs", "@ROOT@/plugins\n");
        site.put("config/spool_dir", "@ROOT@/spool\n");
        site.put("config/me", "mx.example.org\n");
        site.put("config/compat", "0.94\n");
        site.put("config/plugins", lines);
        site
    }

    /// The same, and in `bin` the program by the names of the original's.
    pub fn with_programs(program: &str, lines: &str) -> Site {
        let site = Site::new(lines);
        for name in ["qpsmtpd", "qpsmtpd-forkserver", "qpsmtpd-prefork"] {
            symlink(program, site.path("bin").join(name)).unwrap();
        }
        site
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The text with what stands for the directory.
    pub fn filled(&self, text: &str) -> String {
        text.replace("@ROOT@", &self.root().display().to_string())
    }

    /// Writes a file, and makes the directories that it needs.
    pub fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).unwrap();
        }
        fs::write(path, self.filled(text)).unwrap();
    }

    /// Writes a config file.
    pub fn config(&self, name: &str, text: impl AsRef<[u8]>) -> &Site {
        self.put(
            &format!("config/{name}"),
            &String::from_utf8_lossy(text.as_ref()),
        );
        self
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }

    pub fn allow(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// The files below a directory.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.path(name)];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => dirs.push(path),
                    path => found.push(path),
                }
            }
        }
        found
    }

    /// A command in the directory with nothing in its environment but what it needs.
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

    /// The file that daemons started with `Daemon::logging_to` share.
    pub fn log_path(&self) -> PathBuf {
        self.path("run/log")
    }

    /// The same, open for one more of them.
    pub fn log_file(&self) -> fs::File {
        let mut options = fs::File::options();
        options.append(true).create(true);
        options.open(self.log_path()).unwrap()
    }
}
