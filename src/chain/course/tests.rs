//! What answers mean for a chain, of a table that is made up.

use std::cell::RefCell;

use super::*;
use crate::config::PluginSettings;
use crate::watch::Reason;

/// An entry of the table.
enum Entry {
    Perl(fn() -> Given),
    Native(i32),
}

/// Plugins of a hook, and what was seen of their chain.
struct Table {
    profile: Profile,
    entries: Vec<(&'static str, Entry)>,
    hooks: Vec<Hook>,
    guards: Guards,
    log: RefCell<Vec<String>>,
    ran: RefCell<Vec<String>>,
    finished: usize,
}

impl Table {
    fn new(entries: Vec<(&'static str, Entry)>) -> Table {
        Table {
            profile: Profile::V100,
            entries,
            hooks: Vec::new(),
            guards: Guards::new(PluginSettings::default(), std::iter::empty()),
            log: RefCell::default(),
            ran: RefCell::default(),
            finished: 0,
        }
    }

    fn run(&mut self, course: Course, natives: Vec<Given>) -> Verdict {
        let mut course = course;
        let mut natives = natives.into_iter();
        let mut given = None;
        loop {
            match advance(&mut course, self, given) {
                Ok(None) => return course.verdict(),
                Ok(Some(_)) => given = natives.next(),
                Err(Exited) => panic!("nobody has called exit"),
            }
        }
    }

    fn rcpt(&mut self) -> Verdict {
        self.run(Course::new(HookCall::new(Hook::Rcpt)), Vec::new())
    }

    fn log(&self) -> Vec<String> {
        self.log.take()
    }
}

#[derive(Debug)]
struct Exited;

impl Around for Table {
    type Exit = Exited;

    fn profile(&self) -> Profile {
        self.profile
    }

    fn is_logged(&self, _: u8) -> bool {
        true
    }

    fn log(&self, level: u8, hook: Option<Hook>, texts: &[&[u8]]) -> Result<(), Exited> {
        let hook = hook.map_or("-", Hook::name);
        let text = String::from_utf8_lossy(&texts.join(&b' ')).into_owned();
        self.log.borrow_mut().push(format!("{level} {hook} {text}"));
        Ok(())
    }

    fn guards(&self) -> Option<&Guards> {
        Some(&self.guards)
    }

    fn has_entries(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }

    fn run_quiet(&self, call: HookCall) -> Result<(), Exited> {
        let args: Vec<_> = call.args.iter().map(|arg| format!("{arg:?}")).collect();
        let ran = format!("{}({})", call.hook.name(), args.join(", "));
        self.ran.borrow_mut().push(ran);
        Ok(())
    }

    fn first_text(&self, verdict: &Verdict) -> Arg {
        Arg::Client(
            verdict
                .values
                .first()
                .cloned()
                .flatten()
                .unwrap_or_default(),
        )
    }

    fn record(&self, plugin: &[u8], hook: Hook, code: &Code) {
        let plugin = String::from_utf8_lossy(plugin);
        let record = format!("{plugin} {} {}", hook.name(), code.shown());
        self.ran.borrow_mut().push(record);
    }
}

impl Plugins for Table {
    type Entry = usize;

    fn entry(&mut self, _: Hook, index: usize) -> Option<(usize, Vec<u8>)> {
        let (name, _) = self.entries.get(index)?;
        Some((index, name.as_bytes().to_vec()))
    }

    fn call(&mut self, _: &HookCall, _: &[u8], index: &usize) -> Result<Called, Exited> {
        Ok(match &self.entries[*index].1 {
            Entry::Perl(plugin) => Called::Gave(plugin()),
            Entry::Native(id) => Called::Native(*id),
        })
    }

    fn finish(&mut self, _: &HookCall, _: &mut Verdict) -> Result<(), Exited> {
        self.finished += 1;
        Ok(())
    }
}

fn declines() -> Given {
    Given::Verdict(Verdict::with_text(Code::Declined, "not mine"))
}

fn denies() -> Given {
    Given::Verdict(Verdict::with_text(Code::Deny, "no\nnever"))
}

fn asked_in_vain() -> Given {
    panic!("the chain was over")
}

#[test]
fn plugins_are_asked_in_order_until_one_decides() {
    let mut table = Table::new(vec![
        ("a", Entry::Perl(declines)),
        ("b", Entry::Perl(denies)),
        ("c", Entry::Perl(asked_in_vain)),
    ]);
    let verdict = table.rcpt();
    assert_eq!(verdict.code, Code::Deny);
    assert_eq!(verdict.lines(), [&b"no"[..], b"never"]);
    assert_eq!(table.finished, 1);
    assert_eq!(
        table.log(),
        [
            "7 rcpt a",
            "7 - Plugin a, hook rcpt returned DECLINED, not mine",
            "7 rcpt b",
            "7 - Plugin b, hook rcpt returned DENY, no\nnever",
        ]
    );
}

#[test]
fn the_texts_of_the_last_plugin_stay_where_all_decline() {
    let mut table = Table::new(vec![("a", Entry::Perl(declines))]);
    let verdict = table.rcpt();
    assert_eq!(verdict.code, Code::Declined);
    assert_eq!(verdict.lines(), [b"not mine"]);
}

#[test]
fn a_native_plugin_is_given_back_and_weighed_as_any_other() {
    let entries = || {
        vec![
            ("a", Entry::Perl(declines)),
            ("native/b", Entry::Native(7)),
            ("c", Entry::Perl(denies)),
        ]
    };
    let mut table = Table::new(entries());
    let given = Given::Verdict(Verdict::new(Code::Ok));
    let course = Course::new(HookCall::new(Hook::Rcpt));
    assert_eq!(table.run(course, vec![given]).code, Code::Ok);
    let log = table.log();
    assert_eq!(log[2], "7 rcpt native/b");
    assert_eq!(log[3], "7 - Plugin native/b, hook rcpt returned OK, ");
    let mut table = Table::new(entries());
    let course = Course::new(HookCall::new(Hook::Rcpt));
    assert_eq!(table.run(course, vec![declines()]).code, Code::Deny);
}

#[test]
fn what_dies_is_passed_over_and_told_of() {
    let dies: fn() -> Given = || Given::Died(b"of its own will at line 1\n".to_vec());
    let table = || Table::new(vec![("a", Entry::Perl(dies)), ("b", Entry::Perl(denies))]);
    let mut new = table();
    assert_eq!(new.rcpt().code, Code::Deny);
    let label = "2 - FATAL PLUGIN ERROR [a]:  of its own will at line 1";
    assert_eq!(new.log()[1], label);
    // 0.94 writes the line end of the message, and its own.
    let mut old = table();
    old.profile = Profile::V094;
    old.rcpt();
    assert_eq!(old.log()[1], format!("{label}\n"));
}

#[test]
fn what_returns_undef_is_passed_over_and_told_of() {
    let mut table = Table::new(vec![
        ("a", Entry::Perl(|| Given::Undef)),
        ("b", Entry::Perl(|| Given::Nothing)),
    ]);
    assert_eq!(table.rcpt().code, Code::Declined);
    let log = table.log();
    assert_eq!(log[1], "3 - Plugin a, hook rcpt returned undef!");
    assert_eq!(log[2..], ["7 rcpt b"]);
}

#[test]
fn a_plugin_that_yields_is_put_off_whichever_kind_it_is_of() {
    let mut perl = Table::new(vec![(
        "a",
        Entry::Perl(|| Given::Verdict(Verdict::new(Code::Yield))),
    )]);
    assert_eq!(perl.rcpt().code, Code::DenySoft);
    assert!(perl.log()[1].starts_with("2 - FATAL PLUGIN ERROR [a]:  YIELD from the rcpt hook"));
    let mut native = Table::new(vec![("native/a", Entry::Native(0))]);
    let given = Given::Verdict(Verdict::new(Code::Yield));
    let course = Course::new(HookCall::new(Hook::Rcpt));
    assert_eq!(native.run(course, vec![given]).code, Code::DenySoft);
}

#[test]
fn a_plugin_that_is_late_defers_and_the_log_says_why() {
    let late: fn() -> Given = || Given::TooLate(Reason::Time);
    let mut table = Table::new(vec![("a", Entry::Perl(late))]);
    assert_eq!(table.rcpt().code, Code::DenySoft);
    let log = table.log();
    assert!(log[1].starts_with("2 - plugin a running the rcpt hook was not done after 120 s"));
}

#[test]
fn what_a_queue_plugin_has_not_stored_safely_is_refused_and_nobody_else_is_asked() {
    let mut table = Table::new(vec![
        (
            "a",
            Entry::Perl(|| Given::Unsafe("the disk is full".to_owned())),
        ),
        ("b", Entry::Perl(asked_in_vain)),
    ]);
    let verdict = table.run(Course::new(HookCall::new(Hook::Queue)), Vec::new());
    assert_eq!(verdict.code, Code::Declined);
    let told = "Cannot store the message safely; try again later";
    assert_eq!(verdict.lines(), [told.as_bytes()]);
    assert!(table.log()[1].contains("said OK, and the message is not safe: the disk is full"));
}

#[test]
fn a_code_that_no_constant_names_ends_the_chain_in_0_94_only() {
    let odd: fn() -> Given = || Given::Verdict(Verdict::new(Code::Other(b"17".to_vec())));
    let table = || Table::new(vec![("a", Entry::Perl(odd)), ("b", Entry::Perl(denies))]);
    assert_eq!(table().rcpt().code, Code::Deny);
    let mut old = table();
    old.profile = Profile::V094;
    assert_eq!(old.rcpt().code, Code::Other(b"17".to_vec()));
}

#[test]
fn the_hooks_ok_and_deny_hear_of_each_verdict() {
    let mut table = Table::new(vec![
        ("a", Entry::Perl(declines)),
        ("b", Entry::Perl(denies)),
    ]);
    table.hooks = vec![Hook::Ok, Hook::Deny];
    table.rcpt();
    let text = |text: &str| format!("{:?}", Arg::Client(text.into()));
    let name = |name: &str| format!("{:?}", Arg::Bytes(name.into()));
    assert_eq!(
        table.ran.take(),
        [
            "a rcpt DECLINED".to_owned(),
            format!("ok({}, Int(909), {})", name("a"), text("not mine")),
            "b rcpt DENY".to_owned(),
            format!("deny({}, Int(901), {})", name("b"), text("no\nnever")),
        ]
    );
}

#[test]
fn of_a_quiet_chain_nothing_is_told_and_its_texts_are_whole() {
    let mut table = Table::new(vec![
        ("a", Entry::Perl(|| Given::Undef)),
        ("b", Entry::Perl(|| Given::TooLate(Reason::Time))),
        ("c", Entry::Perl(denies)),
    ]);
    table.hooks = vec![Hook::Deny];
    let verdict = table.run(Course::quiet(HookCall::new(Hook::Rcpt)), Vec::new());
    assert_eq!(verdict.lines(), [b"no\nnever"]);
    assert!(table.ran.take().is_empty());
    // What went wrong is said all the same.
    let log = table.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("2 - plugin b running the rcpt hook was not done"));
}
