use super::*;

/// The settings that these lines give where these plugins are loaded.
fn load(text: &str) -> Result<PluginSettings, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), text).unwrap();
    let place = Place {
        file: dir.path().join("plugins").into(),
        line: 1,
    };
    let names = [
        "rcpt_ok",
        "queue/qmail-queue",
        "check:1",
        "My::Own",
        "native/x",
    ];
    let lines = names.map(|name| PluginLine {
        name: name.into(),
        args: Vec::new(),
        text: name.into(),
        place: place.clone(),
    });
    let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
    PluginSettings::load(&config, lines.iter()).map_err(|error| {
        error
            .to_string()
            .replace(dir.path().to_str().unwrap(), "DIR")
    })
}

#[test]
fn without_the_file_a_call_may_take_two_minutes() {
    let dir = tempfile::tempdir().unwrap();
    let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
    let settings = PluginSettings::load(&config, std::iter::empty()).unwrap();
    let setting = PluginSetting {
        timeout: None,
        on_error: None,
        isolate: false,
        keep: false,
        quarantine: None,
        native: None,
    };
    assert_eq!(settings.of(b"rcpt_ok"), setting);
}

#[test]
fn a_plugins_own_line_counts_more_than_that_for_all_in_any_order() {
    let settings = load(
        "rcpt_ok timeout 5\n* timeout 10\n* on_error deny\nrcpt_ok on_error skip\nMy::Own isolate\n",
    )
    .unwrap();
    let rcpt_ok = settings.of(b"rcpt_ok");
    assert_eq!(
        (rcpt_ok.timeout, rcpt_ok.on_error),
        (Some(5), Some(OnError::Skip))
    );
    assert!(!rcpt_ok.isolate && settings.of(b"My::Own").isolate);
    let other = settings.of(b"native/x");
    assert_eq!(
        (other.timeout, other.on_error),
        (Some(10), Some(OnError::Deny))
    );
}

#[test]
fn a_plugin_is_named_as_in_plugins_or_as_in_the_table_of_hooks() {
    for (line, name) in [
        ("queue/qmail-queue isolate", "queue::qmail_2dqueue"),
        ("queue::qmail_2dqueue isolate", "queue::qmail_2dqueue"),
        ("check:1 isolate", "check_3a1"),
        ("check_3a1\tisolate", "check_3a1"),
        ("native/x isolate", "native/x"),
    ] {
        assert!(load(line).unwrap().of(name.as_bytes()).isolate, "{line}");
    }
}

#[test]
fn a_plugin_keeps_its_variables_where_its_own_line_or_that_for_all_says_so() {
    let settings = load("rcpt_ok keep\ncheck:1 isolate\ncheck:1 keep\n").unwrap();
    let of = |name: &[u8]| settings.of(name);
    assert!(of(b"rcpt_ok").keep && !of(b"rcpt_ok").isolate);
    assert!(of(b"check_3a1").keep && of(b"check_3a1").isolate);
    assert!(!of(b"My::Own").keep);
    let settings = load("* keep\nrcpt_ok timeout 5\n").unwrap();
    assert!(settings.of(b"rcpt_ok").keep && settings.of(b"My::Own").keep);
}

#[test]
fn zero_is_any_time() {
    assert_eq!(load("* timeout 0").unwrap().of(b"rcpt_ok").timeout, Some(0));
}

#[test]
fn an_unknown_plugin_is_refused_with_those_that_there_are() {
    assert_eq!(
        load("# a comment\nnone timeout 5").unwrap_err(),
        "DIR/plugin_settings:2: there is no plugin \"none\" in plugins or logging; there are: \
         rcpt_ok, queue/qmail-queue, check:1, My::Own, native/x, * for all"
    );
}

#[test]
fn what_is_not_understood_is_refused_with_file_and_line() {
    for line in [
        "rcpt_ok",
        "rcpt_ok timout 5",
        "rcpt_ok timeout",
        "rcpt_ok timeout 5 6",
        "rcpt_ok on_error ignore",
        "rcpt_ok isolate yes",
        "rcpt_ok keep yes",
        "rcpt_ok native yes",
        "rcpt_ok perl yes",
        "rcpt_ok quarantine",
        "rcpt_ok quarantine 1 2 3",
    ] {
        let error = load(line).unwrap_err();
        let expected = format!(
            "DIR/plugin_settings:1: the line is \"{line}\"; it must be NAME timeout SECONDS, NAME \
             on_error skip, defer or deny, NAME quarantine FAILURES [SECONDS], NAME isolate, NAME \
             keep, NAME native, or NAME perl, where NAME is a plugin's name as in the file plugins, or * for all"
        );
        assert_eq!(error, expected);
    }
    for seconds in ["soon", "-1", "1.5", "99999999999"] {
        let error = load(&format!("* timeout {seconds}")).unwrap_err();
        assert!(error.contains("1 to 3000000, or 0 for any time"), "{error}");
    }
}

#[test]
fn quarantine_takes_a_count_and_perhaps_a_time_and_zero_is_never() {
    let settings = load("* quarantine 3\nrcpt_ok quarantine 5 600\nMy::Own quarantine 0").unwrap();
    let of = |name: &[u8]| settings.of(name).quarantine;
    let quarantine = |failures, seconds| Some(Quarantine { failures, seconds });
    assert_eq!(of(b"native/x"), quarantine(3, 0));
    assert_eq!(of(b"rcpt_ok"), quarantine(5, 600));
    assert_eq!(of(b"My::Own"), None);
    for words in ["x", "-1", "1 soon", "1000001", "1 99999999999"] {
        let error = load(&format!("* quarantine {words}")).unwrap_err();
        assert!(error.contains("FAILURES 1 to 1000000"), "{error}");
    }
}

#[test]
fn what_is_set_twice_is_refused() {
    assert_eq!(
        load("rcpt_ok timeout 5\n\nrcpt_ok timeout 6").unwrap_err(),
        "DIR/plugin_settings:3: \"rcpt_ok timeout 6\" sets what DIR/plugin_settings:1 has set; \
         remove one of them"
    );
    for word in ["isolate", "keep"] {
        assert!(load(&format!("check:1 {word}\ncheck_3a1 {word}")).is_err());
        assert!(load(&format!("* {word}\n* {word}")).is_err());
    }
}

#[test]
fn names_are_escaped_as_the_loader_does_it() {
    for (name, escaped) in [
        ("a//b", "a::b"),
        ("q/1x", "q::_31x"),
        ("sender.perm", "sender_2eperm"),
        ("native/x", "native/x"),
        ("A::B", "A::B"),
    ] {
        assert_eq!(table_name(name.as_bytes()), escaped.as_bytes());
    }
}

#[test]
fn a_plugin_is_perls_or_native_where_a_line_says_so() {
    let settings = load("* perl\nrcpt_ok native\n").unwrap();
    assert_eq!(settings.of(b"rcpt_ok").native, Some(true));
    assert_eq!(settings.of(b"My::Own").native, Some(false));
    let wanted: Vec<_> = settings.wanted_native().map(|(name, _)| name).collect();
    assert_eq!(wanted, [b"rcpt_ok"]);
    assert_eq!(load("").unwrap().of(b"rcpt_ok").native, None);
    let twice = load("rcpt_ok native\nrcpt_ok perl\n").unwrap_err();
    assert!(twice.contains("plugin_settings:2"), "{twice}");
}
