//! What a plugin author meets: the example crate is built, tested and run with Perl plugins beside its own, and
//! the page that teaches how to write a native plugin is followed in an empty directory, command by command.
//! What hooks and services do is tests/native's.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

mod users;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use camelpost_support::{Client, Server, Setup, repository, until};
use users::Users;

const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// Two builds at a time would wait for each other's lock, and nobody sees why.
static BUILDS: Mutex<()> = Mutex::new(());

fn target() -> PathBuf {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    own.parent().unwrap().to_owned()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    output
}

/// With what cargo sets for this test taken away: it is not meant for another crate's build.
fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    clean(&mut command);
    command.current_dir(directory);
    command
}

fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_cargo = name.starts_with("CARGO_") && !["CARGO_HOME"].contains(&&*name);
        if of_cargo || name.starts_with("DEP_") || name == "RUSTFLAGS" || name == "LD_LIBRARY_PATH"
        {
            command.env_remove(&name);
        }
    }
    // What a build needs is here since this suite was built.
    command
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target());
}

fn example() -> PathBuf {
    let _alone = BUILDS.lock().unwrap_or_else(|dead| dead.into_inner());
    run(cargo(repository()).args(["build", "--locked", "--package", "native-plugin"]));
    target().join("debug/native-plugin")
}

#[test]
fn the_examples_own_tests_pass() {
    let _alone = BUILDS.lock().unwrap_or_else(|dead| dead.into_inner());
    let mut command = cargo(repository());
    let output = run(command.args(["test", "--locked", "--package", "native-plugin"]));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("test result: ok. 8 passed"), "{said}");
}

#[test]
fn the_example_serves_with_perl_plugins_beside_its_own() {
    let program = example();
    let users = Users::start(&[("bob@example.org", "local"), ("eve@example.org", "guest")]);
    let theirs =
        std::fs::read_to_string(repository().join("examples/native-plugin/config/plugins"));
    let lines = theirs
        .unwrap()
        .replace("http://127.0.0.1:8080/users", &users.url)
        .replace("Maildir", "@ROOT@/Maildir");
    let plugins = repository().join("examples/native-plugin/plugins");
    let shipped = repository().join("compat-plugins");
    let dirs = format!("{}\n{}\n", plugins.display(), shipped.display());
    let server = Server::start(
        program.to_str().unwrap(),
        &Setup {
            config: &[("plugins", &lines), ("plugin_dirs", &dirs)],
            ..Setup::default()
        },
    );
    let mut client = Client::when_ready(server.port);
    client.reply();
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@example.net>", "250");
    // Rust asks and notes, Perl reads the note.
    client.expect("RCPT TO:<bob@example.org>", "250");
    let guest = client.expect("RCPT TO:<eve@example.org>", "550");
    assert!(guest.contains("only for users of this machine"), "{guest}");
    let nobody = client.expect("RCPT TO:<nobody@example.org>", "550");
    assert!(nobody.contains("no such user here"), "{nobody}");
    client.expect("DATA", "354");
    client.send("Subject: two of them\r\n\r\nthree words here\r\n");
    client.expect(".", "250");
    let mail = server.files("Maildir/new");
    let mail = std::fs::read_to_string(mail.first().expect("a message")).unwrap();
    assert!(
        mail.contains("\nX-Words: 3\n") && mail.contains("\nSubject: two of them\n"),
        "{mail}"
    );
    // Digest::MD5 has a part in C, which finds perl's functions in this program.
    until("the log of the Perl plugin", || {
        server.count(" message ") == 1
    });
    assert_eq!(users.asked().len(), 3);
}

/// The lines of docs/native.md that begin with `$`.
fn commands() -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("docs/native.md")).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("    $ "));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_tutorial_is_followed_from_an_empty_directory() {
    let _alone = BUILDS.lock().unwrap_or_else(|dead| dead.into_inner());
    let empty = tempfile::tempdir().unwrap();
    let mut directory = empty.path().to_owned();
    let mut path = OsString::from(Path::new(CAMELPOST).parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut said = String::new();
    for line in commands() {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words[0] == "cd" {
            directory.push(&words[1]);
            // The versions that this suite was built with: the page's reader has whatever is newest.
            let lock = std::fs::read(repository().join("Cargo.lock")).unwrap();
            std::fs::write(directory.join("Cargo.lock"), lock).unwrap();
            continue;
        }
        if words.contains(&"new-plugin".to_owned()) {
            // There is no release to be had in a test.
            words.extend(["--source".to_owned(), repository().display().to_string()]);
        }
        // Optimised it would be built for minutes.
        words.retain(|word| word != "--release");
        let program = words[0].replace(
            "target/release",
            &target().join("debug").display().to_string(),
        );
        let mut command = Command::new(program);
        clean(&mut command);
        command
            .args(&words[1..])
            .current_dir(&directory)
            .env("PATH", &path);
        said += &String::from_utf8_lossy(&run(&mut command).stdout);
    }
    assert!(said.contains("test result: ok. 2 passed"), "{said}");
    assert!(said.contains("\nnative plugins: "), "{said}");
    assert!(said.contains(" own_name "), "{said}");
}

#[test]
fn a_new_perl_plugin_passes_its_test() {
    let empty = tempfile::tempdir().unwrap();
    let mut make = Command::new(CAMELPOST);
    make.args(["new-plugin", "--perl", "own-name"])
        .current_dir(empty.path());
    run(&mut make);
    let directory = empty.path().join("own-name");
    let mut prove = Command::new(CAMELPOST);
    let output = run(prove.args(["prove", "t"]).current_dir(&directory));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Files=1, Tests=2"), "{said}");

    // What is there already stays as it is.
    std::fs::write(directory.join("plugins/own-name"), "mine").unwrap();
    let output = make.output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("own-name: File exists"), "{told}");
    let kept = std::fs::read_to_string(directory.join("plugins/own-name")).unwrap();
    assert_eq!(kept, "mine");
}
