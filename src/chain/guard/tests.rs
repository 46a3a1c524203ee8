//! Guards: limits, quarantine, panics, numbers, and what a process is shared by.

use super::*;

fn guard(milliseconds: u32) -> Guard {
    let place = PluginHook {
        plugin: 0,
        hook: 0,
        native: true,
    };
    Guard {
        spot: Spot::new(place, milliseconds, false),
        on_error: None,
        isolate: Cell::default(),
    }
}

fn run(guard: &Guard, called: impl Future<Output = Verdict>) -> Given {
    let called = async { Ok::<_, std::convert::Infallible>(called.await) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(guard.run(called))
}

#[test]
fn a_native_call_ends_when_its_time_is_over_and_defers() {
    let page = Box::leak(crate::watch::Page::empty());
    watch::attach(page);
    let guard = guard(5);
    let ended = run(&guard, std::future::pending());
    assert!(matches!(ended, Given::TooLate(Reason::Time)));
    assert_eq!(guard.on_lateness().unwrap().code, Code::DenySoft);
    assert_eq!(page.running(), []);
    let sums: Vec<_> = page.sums().map(|(_, sum)| (sum.calls, sum.late)).collect();
    assert_eq!(sums, [(1, 1)]);
}

#[test]
fn a_native_plugin_that_is_late_too_often_is_not_called() {
    watch::attach(Box::leak(crate::watch::Page::empty()));
    let ledger: &'static crate::watch::Ledger = Box::leak(crate::watch::Ledger::empty());
    ledger.set(Rule {
        plugin: 0,
        failures: 2,
        seconds: 0,
    });
    watch::attach_ledger(ledger);
    let guard = Guard {
        spot: Spot::new(guard(5).spot.place, 5, true),
        ..guard(5)
    };
    for _ in 0..2 {
        let ended = run(&guard, std::future::pending());
        assert!(matches!(ended, Given::TooLate(Reason::Time)));
    }
    let never = async { panic!("it is called") };
    assert!(matches!(run(&guard, never), Given::Quarantined));
    let told = quarantined(b"native/x", Hook::Rcpt);
    assert!(told.starts_with("plugin native/x is in quarantine, the rcpt hook"));
}

#[test]
fn a_native_call_without_a_limit_may_take_any_time() {
    let slow = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Verdict::new(Code::Ok)
    };
    let Given::Verdict(verdict) = run(&guard(0), slow) else {
        panic!("it has no verdict");
    };
    assert_eq!(verdict.code, Code::Ok);
}

#[test]
fn a_native_call_that_panics_has_died_and_the_text_is_kept() {
    let page = Box::leak(crate::watch::Page::empty());
    watch::attach(page);
    let guard = guard(0);
    let panics = async { panic!("{} of them", 3) };
    let Given::Died(text) = run(&guard, panics) else {
        panic!("it has not died");
    };
    assert_eq!(text, b"panicked: 3 of them");
    // Also after it has waited, and where it is one word.
    let later = async {
        tokio::task::yield_now().await;
        panic!("never")
    };
    assert!(matches!(run(&guard, later), Given::Died(text) if text == b"panicked: never"));
    assert_eq!(page.running(), []);
    let sums: Vec<_> = page.sums().map(|(_, sum)| (sum.calls, sum.died)).collect();
    assert_eq!(sums, [(2, 2)]);
}

#[test]
fn a_queue_hook_may_take_as_long_as_a_client_waits_for_its_reply() {
    let limit = |settings: &str, hook| {
        let guard = guards(settings).of(b"a", hook, false);
        guard.limit().map(|limit| limit.as_secs())
    };
    assert_eq!(limit("", Hook::Queue), Some(600));
    assert_eq!(limit("", Hook::QueuePre), Some(120));
    assert_eq!(limit("", Hook::DataPost), Some(120));
    assert_eq!(limit("* timeout 5\n", Hook::Queue), Some(5));
    assert_eq!(limit("* timeout 0\n", Hook::Queue), None);
}

#[test]
fn plugins_have_numbers_in_their_order_and_one_that_comes_later_the_next() {
    let names = ["a", "b", "a"].map(|name| name.as_bytes().to_vec());
    let guards = Guards::new(PluginSettings::default(), names.into_iter());
    assert_eq!(guards.names(), ["a", "b"]);
    let number = |name: &[u8]| guards.of(name, Hook::Rcpt, false).spot.place.plugin;
    assert_eq!([number(b"b"), number(b"a"), number(b"late")], [1, 0, 2]);
    let guard = guards.of(b"a", Hook::Rcpt, false);
    assert_eq!(guard.limit(), Some(Duration::from_secs(120)));
    assert!(Rc::ptr_eq(&guard, &guards.of(b"a", Hook::Rcpt, false)));
}

fn guards(settings: &str) -> Guards {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plugin_settings"), settings).unwrap();
    let config = crate::config::ConfigDir::new(vec![dir.path().to_path_buf()]);
    let place = crate::config::Place {
        file: dir.path().join("plugins").into(),
        line: 1,
    };
    let lines = ["a", "b", "c", "native/n"].map(|name| crate::config::PluginLine {
        name: name.into(),
        args: Vec::new(),
        text: name.into(),
        place: place.clone(),
    });
    let settings = PluginSettings::load(&config, lines.iter()).unwrap();
    let names = lines.iter().map(|line| line.name.clone());
    let guards = Guards::new(settings, names);
    let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let all: Vec<Vec<u8>> = names(&["a", "b", "native/n"]);
    guards.note_hook(Hook::Rcpt, all.into_iter());
    guards.note_hook(Hook::Mail, names(&["b", "b"]).into_iter());
    guards
}

#[test]
fn plugins_keep_their_variables_unless_they_are_isolated_or_native() {
    let guards = guards("* keep\nb isolate\n");
    assert!(guards.keeps(b"a") && !guards.keeps(b"b") && !guards.keeps(b"native/n"));
    let (shared, keeps) = (Sharing::Shared, Sharing::Keeps);
    let expected = [keeps.clone(), Sharing::Isolated, keeps, shared];
    assert_eq!(guards.sharing(), expected);
}

#[test]
fn an_unfit_plugin_is_isolated_also_where_its_guard_is_known_already() {
    let guards = guards("a keep\nc isolate\n");
    let [a, b] = [b"a", b"b"].map(|name| guards.of(name, Hook::Rcpt, false));
    assert_eq!(guards.isolating_hooks(), 0);
    let (told, warns) = guards.set_unfit(b"b", "its variable %x is tied").unwrap();
    assert!(warns);
    assert_eq!(
        told,
        "plugin b: its variable %x is tied, so it cannot be shared between sessions: its \
         sessions get workers of their own (plugin_settings: keep, isolate)"
    );
    assert_eq!(guards.set_unfit(b"b", "its variable @y is tied"), None);
    assert_eq!(guards.set_unfit(b"c", "its variable @y is tied"), None);
    let (_, warns) = guards.set_unfit(b"a", "its variable %x is tied").unwrap();
    assert!(!warns && !guards.isolates(b"a") && guards.isolates(b"b"));
    let bits = 1 << Hook::Rcpt as u8 | 1 << Hook::Mail as u8;
    assert_eq!(guards.isolating_hooks(), bits);
    watch::attach(Box::leak(crate::watch::Page::empty()));
    a.begin().end(End::Returned);
    assert!(!watch::is_worn());
    b.begin().end(End::Returned);
    assert!(watch::is_worn());
    let reason = "its variable %x is tied".to_owned();
    assert_eq!(guards.sharing()[1], Sharing::OwnWorkers { reason });
}

#[test]
fn a_plugin_that_another_process_has_marked_is_isolated_here() {
    let guards = guards("");
    let guard = guards.of(b"b", Hook::Rcpt, false);
    watch::attach(Box::leak(crate::watch::Page::empty()));
    let ledger: &'static crate::watch::Ledger = Box::leak(crate::watch::Ledger::empty());
    watch::attach_ledger(ledger);
    guard.begin().end(End::Returned);
    assert!(!watch::is_worn() && !guards.isolates(b"b"));
    ledger.mark_unfit(guards.number(b"b").unwrap(), watch::Unfit::Tied, "%x");
    assert!(guards.isolates(b"b") && !guards.isolates(b"a"));
    let bits = 1 << Hook::Rcpt as u8 | 1 << Hook::Mail as u8;
    assert_eq!(guards.isolating_hooks(), bits);
    guard.begin().end(End::Returned);
    assert!(watch::is_worn());
}
