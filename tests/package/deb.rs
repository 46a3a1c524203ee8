//! The package, made by packaging/make-deb of this test run's own program: two versions of it, once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use camelpost_support::repository;
use tempfile::TempDir;

pub const OLD: &str = "0.1.0+test1";
pub const NEW: &str = "0.1.0+test2";

pub struct Debs {
    dir: TempDir,
}

impl Debs {
    pub fn file(&self, version: &str) -> PathBuf {
        let named = std::fs::read_dir(self.dir.path()).unwrap().flatten();
        let mut found = named.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&format!("camelpost_{version}_"))
        });
        found.next().expect("the package of that version")
    }
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    format!("{out}{err}")
}

fn make(program: &Path, version: &str, out: &Path) {
    let mut command = Command::new(repository().join("packaging/make-deb"));
    command
        .env("BINARY", program)
        .env("VERSION", version)
        .env("OUT", out)
        // Quick: it is unpacked once.
        .env("DEB_BUILD_OPTIONS", "noautodbgsym nostrip")
        .env("DPKG_DEB_COMPRESSOR_TYPE", "gzip")
        .env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
    run(&mut command);
}

pub fn debs() -> &'static Debs {
    static DEBS: OnceLock<Debs> = OnceLock::new();
    DEBS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        // Without what only a debugger needs, which is most of it here.
        let program = dir.path().join("program");
        let built = env!("CARGO_BIN_EXE_camelpost");
        run(Command::new("strip").arg("-o").arg(&program).arg(built));
        thread::scope(|scope| {
            for version in [OLD, NEW] {
                let (program, out) = (&program, dir.path());
                scope.spawn(move || make(program, version, out));
            }
        });
        Debs { dir }
    })
}

/// The files of the package, unpacked.
pub fn unpacked() -> &'static Path {
    static TREE: OnceLock<TempDir> = OnceLock::new();
    let tree = TREE.get_or_init(|| {
        let tree = tempfile::tempdir().unwrap();
        let deb = debs().file(OLD);
        run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(tree.path()));
        tree
    });
    tree.path()
}
