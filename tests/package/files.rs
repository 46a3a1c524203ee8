//! What the package has in it, without installing it: lintian's opinion, pages, completions, units, and that
//! `make install` has the same files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use camelpost_support::repository;

use crate::deb::{OLD, debs, run, unpacked};

#[test]
fn lintian_has_nothing_to_say() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error,warning", "--allow-root"]);
    let said = run(lintian.arg(debs().file(OLD)));
    assert!(!said.contains("camelpost:"), "{said}");
}

/// The man pages below a tree, packed as they are in a package or not.
fn pages(tree: &Path) -> Vec<PathBuf> {
    let man = tree.join("usr/share/man");
    let dirs = fs::read_dir(man).unwrap().flatten();
    let files = dirs.flat_map(|dir| fs::read_dir(dir.path()).unwrap().flatten());
    let mut all: Vec<PathBuf> = files.map(|file| file.path()).collect();
    all.sort();
    all
}

/// As lintian renders them, without a complaint.
#[test]
fn each_man_page_is_rendered_without_a_complaint_and_has_its_name() {
    let pages = pages(unpacked());
    let names: Vec<String> = pages
        .iter()
        .map(|page| page.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    for expected in [
        "camelpost-config.5.gz",
        "camelpost-plugins.7.gz",
        "camelpost.8.gz",
        "camelpost-serve.8.gz",
        "camelpost-upgrade.8.gz",
    ] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    let mut all = String::new();
    for page in &pages {
        let output = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l"])
            .arg(page)
            .env("LC_ALL", "C.UTF-8")
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "80")
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {complaints}", page.display());
        assert_eq!(complaints, "", "{}", page.display());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        let name = name.split('.').next().unwrap();
        assert!(text.contains("NAME\n") && text.contains(name), "{text}");
        all.push_str(&text);
    }
    // Each from another source: the command line, docs/reference.md, docs/twins.md.
    for word in ["--worker-user", "envelope_size_limit", "morercpthosts.cdb"] {
        assert!(all.contains(word), "no page has {word}");
    }
    // No page ends with what is left of Markdown.
    for left in ["](", "|---", "```"] {
        assert!(!all.contains(left), "{left} in a page");
    }
}

/// The targets of a page's links, without those on the web.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let behind = text.split("](").skip(1);
    let targets = behind.filter_map(|behind| behind.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':'))
}

#[test]
fn the_links_of_the_pages_lead_to_what_is_installed() {
    let doc = unpacked().join("usr/share/doc/camelpost");
    let mut found = Vec::new();
    for dir in ["", "docs", "docs/tables", "packaging"] {
        let files = fs::read_dir(doc.join(dir)).unwrap().flatten();
        for page in files.map(|file| file.path()) {
            if page.extension().is_none_or(|end| end != "md") {
                continue;
            }
            let text = fs::read_to_string(&page).unwrap();
            for target in links(&text) {
                let path = page.parent().unwrap().join(target);
                assert!(path.exists(), "{}: {target}", page.display());
                found.push(target.to_owned());
            }
        }
    }
    for expected in ["docs/migrate.md", "tests/known_differences.txt"] {
        assert!(found.iter().any(|target| target == expected), "{found:?}");
    }
}

/// Whether a shell reads its file; shells that are not there are told of.
#[test]
fn completions_are_what_their_shells_read_and_bash_completes_commands() {
    let share = unpacked().join("usr/share");
    let bash = share.join("bash-completion/completions/camelpost");
    for (shell, file) in [
        ("bash", bash.clone()),
        ("zsh", share.join("zsh/vendor-completions/_camelpost")),
        (
            "fish",
            share.join("fish/vendor_completions.d/camelpost.fish"),
        ),
    ] {
        let status = Command::new(shell)
            .arg("-n")
            .arg(&file)
            .stdin(Stdio::null())
            .status();
        match status {
            Ok(status) => assert!(status.success(), "{shell} -n {}", file.display()),
            Err(_) => println!("{shell} is not there"),
        }
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("upgrade")
                && text.contains("version")
                && !text.contains("zygote")
                && !text.contains("man-pages"),
            "{text}"
        );
    }
    let script = format!(
        ". '{}'; COMP_WORDS=(camelpost upg); COMP_CWORD=1; _camelpost camelpost upg camelpost; \
         echo \"${{COMPREPLY[*]}}\"",
        bash.display()
    );
    let said = run(Command::new("bash").args(["--norc", "-c", &script]));
    assert_eq!(said.trim(), "upgrade");
}

/// The settings of a unit, without comments.
fn settings(name: &str) -> Vec<String> {
    let path = repository().join("packaging").join(name);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What protects one protects the others.
#[test]
fn an_instance_differs_from_the_service_in_its_config_and_options_only() {
    let expected = settings("camelpost.service").into_iter().flat_map(|line| {
        let line = line
            .replace(
                "--config /etc/camelpost ",
                "--config /etc/camelpost/instances/%i ",
            )
            .replace("SMTP server", "SMTP server (%i)");
        match line.strip_suffix("/etc/default/camelpost") {
            Some(_) => vec![
                "Environment=\"OPTIONS=--port %i\"".to_owned(),
                format!("{line}-%i"),
            ],
            None => vec![line],
        }
    });
    let expected: Vec<String> = expected.collect();
    assert_eq!(settings("camelpost@.service"), expected);
}

/// The files below a directory, by their path from there.
fn files(dir: &Path) -> BTreeSet<String> {
    let found = run(Command::new("find")
        .current_dir(dir)
        .args([".", "-type", "f"]));
    let lines = found.lines();
    lines
        .map(|line| {
            line.trim_start_matches('.')
                .trim_end_matches(".gz")
                .to_owned()
        })
        .collect()
}

fn make(words: &[&str], destination: &Path) -> String {
    let mut make = Command::new("make");
    make.current_dir(repository())
        .args(words)
        .arg(format!("DESTDIR={}", destination.display()))
        .env("BINARY", env!("CARGO_BIN_EXE_camelpost"))
        .env_remove("MAKEFLAGS");
    run(&mut make)
}

#[test]
fn make_install_has_the_package_s_files_and_make_uninstall_leaves_only_what_was_changed() {
    let to = tempfile::tempdir().unwrap();
    make(&["install", "PREFIX=/usr"], to.path());
    // What debhelper adds by itself, and where it has units in Debian 12.
    let of_package: BTreeSet<String> = files(unpacked())
        .into_iter()
        .filter(|file| !file.contains("/changelog") && !file.ends_with("/copyright"))
        .filter(|file| !file.contains("/lintian/"))
        .map(|file| match file.strip_prefix("/lib/") {
            Some(rest) => format!("/usr/lib/{rest}"),
            None => file,
        })
        .collect();
    let installed = files(to.path());
    assert_eq!(installed, of_package);
    assert!(installed.len() > 80, "{installed:?}");
    // Config as a service has it, not as `make run`.
    let config = |name: &str| fs::read_to_string(to.path().join("etc/camelpost").join(name));
    let says = |name: &str, line: &str| config(name).unwrap().lines().any(|own| own == line);
    assert!(says("plugin_dirs", "/usr/share/camelpost/plugins"));
    assert!(says("spool_dir", "/var/spool/camelpost"));
    assert!(says("plugins", "queue/maildir /var/lib/camelpost/Maildir"));
    assert!(!says("logging", "logging/stderr LOGINFO"));

    let changed = to.path().join("etc/camelpost/databytes");
    fs::write(&changed, "1000\n").unwrap();
    let said = make(&["install", "PREFIX=/usr"], to.path());
    assert!(said.contains("databytes is there already"), "{said}");
    assert_eq!(fs::read_to_string(&changed).unwrap(), "1000\n");
    let said = make(&["uninstall", "PREFIX=/usr"], to.path());
    assert!(said.contains("databytes was changed"), "{said}");
    let left: Vec<String> = files(to.path()).into_iter().collect();
    assert_eq!(left, ["/etc/camelpost/databytes"]);
}

/// Another place than the package's: units and config name it.
#[test]
fn what_is_installed_below_a_prefix_names_that_prefix() {
    let to = tempfile::tempdir().unwrap();
    make(&["install", "PREFIX=/opt/mail"], to.path());
    let unit = to
        .path()
        .join("opt/mail/lib/systemd/system/camelpost.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(
        unit.contains("\nExecStart=/opt/mail/bin/camelpost serve "),
        "{unit}"
    );
    assert!(!unit.contains("/usr/bin/camelpost"), "{unit}");
    let dirs = to.path().join("etc/camelpost/plugin_dirs");
    let dirs = fs::read_to_string(dirs).unwrap();
    assert!(
        dirs.ends_with("\n/opt/mail/share/camelpost/plugins\n"),
        "{dirs}"
    );
}

#[test]
fn the_version_names_perl_and_how_it_is_linked_the_profile_the_plugins_and_the_commit() {
    let program = env!("CARGO_BIN_EXE_camelpost");
    let said = run(Command::new(program).arg("--version"));
    let lines: Vec<&str> = said.lines().collect();
    let [first, commit, perl, profile, plugins] = lines[..] else {
        panic!("{said}")
    };
    assert_eq!(first, format!("camelpost {}", env!("CARGO_PKG_VERSION")));
    // What a release says, its build asks git: a test is none.
    assert!(commit.starts_with("commit "), "{said}");
    let inside = run(Command::new("perl").args(["-e", "printf '%vd', $^V"]));
    let linked = ["static", "shared"].map(|how| format!("perl {inside} ({how})"));
    assert!(linked.iter().any(|line| line == perl), "{said}");
    assert!(profile.ends_with("qpsmtpd 1.00"), "{said}");
    assert!(plugins.contains(" earlytalker "), "{said}");
    let short = run(Command::new(program).arg("-V"));
    assert_eq!(short.trim_end(), first);
}
