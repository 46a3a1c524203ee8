use super::*;

/// A config directory with these files.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let made = Files(tempfile::tempdir().unwrap());
        for (name, text) in files {
            made.write(name, text.as_bytes());
        }
        made
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }

    fn write(&self, name: &str, text: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Makes all files old enough for their time stamps to be trusted, by waiting.
    fn settle(&self) {
        std::thread::sleep(std::time::Duration::from_millis(120));
    }

    fn config(&self) -> ConfigDir {
        ConfigDir::new(vec![self.path()])
    }
}

fn lines(config: &ConfigDir, name: &str) -> Vec<String> {
    let lines = config.lines(name).unwrap().unwrap_or_default();
    lines
        .iter()
        .map(|line| line.escape_ascii().to_string())
        .collect()
}

#[test]
fn comments_and_blank_lines_do_not_count_and_lines_are_trimmed() {
    let files = Files::new(&[]);
    let text =
        b"# c\n\n  lead\ntrail  \t\n  # c\na # b\nx#y\n\tx\t\ncr\r\n\r\n\0n\0\n\xe9\n   \n0\nlast";
    files.write("f", text);
    let expected = [
        "lead",
        "trail",
        "a # b",
        "x#y",
        "x",
        "cr",
        "\\x00n\\x00",
        "\\xe9",
        "0",
        "last",
    ];
    assert_eq!(lines(&files.config(), "f"), expected);
}

#[test]
fn a_missing_file_is_none_and_an_empty_one_has_no_lines() {
    let files = Files::new(&[("empty", "# nothing\n"), ("dir/x", "x\n")]);
    let config = files.config();
    assert_eq!(config.lines("missing"), Ok(None));
    assert_eq!(config.lines("empty").unwrap().unwrap().len(), 0);
    assert_eq!(config.lines("dir").unwrap().unwrap().len(), 0);
    assert_eq!(config.lines("empty/x"), Ok(None));
    assert_eq!(config.lines("nul\0x"), Ok(None));
}

#[test]
fn a_name_may_have_a_slash() {
    let files = Files::new(&[("peers/0", "p\n")]);
    assert_eq!(lines(&files.config(), "peers/0"), ["p"]);
    assert_eq!(lines(&files.config(), "/peers/0"), ["p"]);
}

#[test]
fn the_first_directory_that_has_the_file_counts() {
    let (first, second) = (
        Files::new(&[("both", "first\n"), ("empty", "")]),
        Files::new(&[
            ("both", "second\n"),
            ("empty", "x\n"),
            ("other", "second\n"),
        ]),
    );
    let config = ConfigDir::new(vec![first.path(), second.path()]);
    assert_eq!(lines(&config, "both"), ["first"]);
    assert_eq!(lines(&config, "other"), ["second"]);
    assert_eq!(lines(&config, "empty"), [""; 0]);
    assert_eq!(config.path("both"), first.path().join("both"));
    assert_eq!(config.path("other"), second.path().join("other"));
    assert_eq!(config.path("none"), second.path().join("none"));
}

#[test]
fn an_include_is_looked_up_like_a_name() {
    let first = Files::new(&[
        ("m", "one\n$include inc1\n $include\t/NOWHERE \ntwo\n"),
        ("inc1", "i1\n$include sub/inc2\ni1b\n"),
        ("sub/inc2", "deep\n$include inc3\n$include missing\n"),
        ("sub/inc3", "not this one\n"),
    ]);
    let second = Files::new(&[("inc3", "three\n")]);
    let config = ConfigDir::new(vec![first.path(), second.path()]);
    assert_eq!(
        lines(&config, "m"),
        ["one", "i1", "deep", "three", "i1b", "two"]
    );
    first.write(
        "m",
        format!("$include {}/inc1\n", first.path().display()).as_bytes(),
    );
    assert_eq!(ConfigDir::new(vec![second.path()]).lines("m"), Ok(None));
    config.begin_session();
    assert_eq!(lines(&config, "m"), ["i1", "deep", "three", "i1b"]);
}

#[test]
fn only_include_with_one_word_is_an_include() {
    let text = "$INCLUDE x\n$includex\n$include\n$include x y\na $include x\n";
    let files = Files::new(&[("f", text), ("x", "never\n")]);
    let expected: Vec<&str> = text.lines().collect();
    assert_eq!(lines(&files.config(), "f"), expected);
}

#[test]
fn a_directory_is_included_in_the_order_of_names_without_hidden_files() {
    let files = Files::new(&[("f", "$include d\nend\n"), ("d/sub/x", "never\n")]);
    for name in ["b", "a", "C", "10", "9", ".hidden", "z~", "#x"] {
        files.write(&format!("d/{name}"), format!("file {name}\n").as_bytes());
    }
    let expected = [
        "file #x", "file 10", "file 9", "file C", "file a", "file b", "file z~", "end",
    ];
    assert_eq!(lines(&files.config(), "f"), expected);
}

#[test]
fn a_file_that_includes_itself_counts_for_nothing_and_is_named() {
    let files = Files::new(&[("loop", "x\n$include loop\ny\n")]);
    let error = files.config().lines("loop").unwrap_err().to_string();
    let path = files.path().join("loop").display().to_string();
    assert!(
        error.starts_with("Circular $include reference in config loop"),
        "{error}"
    );
    assert!(error.contains(&format!("{path}:2")), "{error}");
}

#[test]
fn an_included_file_that_is_circular_counts_for_nothing_and_the_rest_counts() {
    let files = Files::new(&[
        ("f", "a\n$include loop\nb\n$include d\nc\n"),
        ("loop", "x\n$include loop\ny\n"),
        ("d/1", "x\n$include f\n"),
        ("d/2", "d2\n"),
    ]);
    let config = files.config();
    assert_eq!(lines(&config, "f"), ["a", "b", "d2", "c"]);
    let problems = config.take_problems();
    assert_eq!(problems.len(), 2);
    assert!(
        problems
            .iter()
            .all(|problem| problem.to_string().starts_with("Circular"))
    );
    assert!(config.take_problems().is_empty());
    assert!(config.entries("f").is_err());
}

#[test]
fn a_long_chain_of_includes_ends() {
    let files = Files::new(&[]);
    for n in 0..1000 {
        files.write(
            &format!("f{n}"),
            format!("{n}\n$include f{}\n", n + 1).as_bytes(),
        );
    }
    let config = files.config();
    assert_eq!(lines(&config, "f0").len(), 99);
    assert!(config.take_problems()[0].to_string().contains("$include"));
}

#[test]
fn what_is_not_a_file_is_an_error_or_empty_and_never_waits() {
    let files = Files::new(&[("f", "a\n$include fifo\nb\n")]);
    let fifo = files.path().join("fifo");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink("/dev/null", files.path().join("null")).unwrap();
    let config = files.config();
    let error = config.lines("fifo").unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "could not open configfile {}: it is not a file",
            fifo.display()
        )
    );
    assert_eq!(lines(&config, "f"), ["a", "b"]);
    assert_eq!(config.take_problems().len(), 1);
    assert_eq!(lines(&config, "null"), [""; 0]);
}

#[test]
fn a_change_is_seen_in_the_next_session() {
    let files = Files::new(&[("f", "old\n$include i\n"), ("i", "i\n")]);
    files.settle();
    let config = files.config();
    assert_eq!(lines(&config, "f"), ["old", "i"]);
    assert_eq!(config.lines("later"), Ok(None));
    files.write("i", b"changed\n");
    files.write("later", b"here\n");
    assert_eq!(lines(&config, "f"), ["old", "i"]);
    assert_eq!(config.lines("later"), Ok(None));
    config.begin_session();
    assert_eq!(lines(&config, "f"), ["old", "changed"]);
    assert_eq!(lines(&config, "later"), ["here"]);
    fs::remove_file(files.path().join("later")).unwrap();
    config.begin_session();
    assert_eq!(config.lines("later"), Ok(None));
}

#[test]
fn with_always_check_every_call_looks_again() {
    let files = Files::new(&[("f", "a\n")]);
    let config = files.config();
    config.always_check(true);
    for n in 0..20 {
        files.write("f", format!("{}\n", n % 10).as_bytes());
        assert_eq!(lines(&config, "f"), [(n % 10).to_string()]);
    }
}

#[test]
fn a_file_added_to_an_included_directory_or_an_earlier_one_is_seen() {
    let (first, second) = (
        Files::new(&[]),
        Files::new(&[("f", "$include d\n"), ("d/1", "1\n")]),
    );
    second.settle();
    let config = ConfigDir::new(vec![first.path(), second.path()]);
    assert_eq!(lines(&config, "f"), ["1"]);
    second.write("d/2", b"2\n");
    config.begin_session();
    assert_eq!(lines(&config, "f"), ["1", "2"]);
    first.write("f", b"first\n");
    config.begin_session();
    assert_eq!(lines(&config, "f"), ["first"]);
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let files = Files::new(&[("f", "a\n")]);
    files.settle();
    let config = files.config();
    let before = config.lines("f").unwrap().unwrap();
    config.begin_session();
    assert!(Rc::ptr_eq(&before, &config.lines("f").unwrap().unwrap()));
}

#[test]
fn entries_say_where_they_are_from() {
    let files = Files::new(&[("f", "# c\na\n$include d\n"), ("d/1", "\n\nb\n")]);
    let entries = files.config().entries("f").unwrap();
    let places: Vec<String> = entries
        .iter()
        .map(|entry| entry.place.to_string())
        .collect();
    let dir = files.path().display().to_string();
    assert_eq!(places, [format!("{dir}/f:2"), format!("{dir}/d/1:3")]);
}

#[test]
fn the_search_is_that_of_the_original() {
    let dirs = search(Some("/c".into()), Some("/usr/bin".into()), None);
    assert_eq!(
        dirs,
        [
            Path::new("/c"),
            Path::new("/usr/bin/config"),
            Path::new("/var/qmail/control")
        ]
    );
    let dirs = search(None, Some("/usr/bin".into()), Some("/q".into()));
    assert_eq!(
        dirs,
        [Path::new("/usr/bin/config"), Path::new("/q/control")]
    );
}

#[test]
fn a_directory_named_by_hand_must_exist() {
    let error = ConfigDir::locate(Some("/nonexistent".into()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nonexistent: No such file or directory"),
        "{error}"
    );
    let files = Files::new(&[("f", "")]);
    assert!(ConfigDir::locate(Some(files.path().join("f"))).is_err());
    let config = ConfigDir::locate(Some(files.path())).unwrap();
    assert_eq!(config.dirs()[0], files.path());
}
