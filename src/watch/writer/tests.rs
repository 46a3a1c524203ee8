//! What is written on the page is what a reader finds there, and an interrupt is for one call.

use super::*;
use std::time::Duration;

fn spot(plugin: u16) -> Spot {
    let place = PluginHook {
        plugin,
        hook: 3,
        native: false,
    };
    Spot::new(place, 2000, false)
}

/// Each test has a thread, and so a writer, of its own.
fn page() -> &'static Page {
    let page: &'static Page = Box::leak(Page::empty());
    attach(page);
    page
}

#[test]
fn calls_within_calls_are_shown_outermost_first_and_summed_when_they_end() {
    let page = page();
    set_session(7);
    let (outer, inner) = (spot(0), spot(1));
    let first = begin(&outer);
    let second = begin(&inner);
    let running = page.running();
    assert_eq!(running.len(), 2);
    assert_eq!(running[0].place, outer.place);
    assert_eq!((running[1].place, running[1].session), (inner.place, 7));
    assert_eq!(running[1].limit, Some(Duration::from_secs(2)));
    second.end(End::Died);
    first.end(End::Returned);
    assert_eq!(page.running(), []);
    begin(&outer).end(End::Late);
    let sums: Vec<_> = page.sums().collect();
    assert_eq!(sums.len(), 2);
    let of = |place| &sums.iter().find(|(p, _)| *p == place).unwrap().1;
    assert_eq!((of(inner.place).calls, of(inner.place).died), (1, 1));
    assert_eq!((of(outer.place).calls, of(outer.place).late), (2, 1));
    assert_eq!(of(outer.place).buckets.iter().sum::<u64>(), 2);
}

#[test]
fn verdicts_are_counted_by_their_names() {
    let page = page();
    let spot = spot(0);
    for name in ["DENY", "DECLINED", "DENY", "YIELD", ""] {
        begin(&spot).end(End::Returned);
        count_verdict(&spot, name);
    }
    let (_, sum) = page.sums().next().unwrap();
    assert_eq!(sum.verdicts, [0, 2, 0, 0, 0, 1, 0, 2]);
}

#[test]
fn messages_are_counted_by_what_became_of_them() {
    let page = page();
    for outcome in [
        QueueOutcome::Queued,
        QueueOutcome::Done,
        QueueOutcome::Queued,
    ] {
        count_queue_outcome(outcome);
    }
    let mut counts = page.queue_counts();
    counts.add(page.queue_counts());
    let counts: Vec<u64> = counts.iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [4, 0, 0, 0, 2]);
}

#[test]
fn an_interrupt_is_for_one_call_only() {
    let page = page();
    let spot = spot(0);
    let outer = begin(&spot);
    let inner = begin(&spot);
    page.interrupt(outer.serial, Reason::Memory);
    assert_eq!(interrupt_reason(), Reason::Memory);
    assert!(is_interrupted() && outer.is_interrupted() && !inner.is_interrupted());
    drop((inner, outer));
    let next = begin(&spot);
    assert!(!is_interrupted() && !next.is_interrupted());
}

#[test]
fn what_is_counted_after_a_fork_goes_to_the_rows_of_the_new_page() {
    let before = page();
    let (one, other) = (spot(0), spot(1));
    begin(&one).end(End::Returned);
    begin(&other).end(End::Returned);
    detach();
    let after = page();
    begin(&other).end(End::Returned);
    begin(&spot(2)).end(End::Returned);
    let calls = |page: &'static Page| {
        let sums = page.sums().map(|(place, sum)| (place.plugin, sum.calls));
        sums.filter(|(_, calls)| *calls > 0).collect::<Vec<_>>()
    };
    assert_eq!(calls(before), [(0, 1), (1, 1)]);
    assert_eq!(calls(after), [(1, 1), (2, 1)]);
}

#[test]
fn calls_beyond_what_the_page_holds_run_unseen() {
    let page = page();
    let spot = spot(0);
    let calls: Vec<_> = (0..SLOTS + 3).map(|_| begin(&spot)).collect();
    assert_eq!(page.running().len(), SLOTS);
    drop(calls);
    assert_eq!(page.running(), []);
    assert!(!begin(&spot).is_interrupted());
}

#[test]
fn places_beyond_what_the_page_holds_are_not_summed() {
    let page = page();
    let spots: Vec<_> = (0..ROWS + 5).map(|at| spot(at as u16)).collect();
    for _ in 0..2 {
        for spot in &spots {
            begin(spot).end(End::Returned);
        }
    }
    assert_eq!(page.sums().count(), ROWS);
    assert!(page.sums().all(|(_, sum)| sum.calls == 2));
}

#[test]
fn failures_are_counted_where_that_is_asked_for_and_an_exit_once() {
    use super::super::ledger::Rule;
    page();
    let ledger: &'static Ledger = Box::leak(Ledger::empty());
    attach_ledger(ledger);
    let place = spot(0).place;
    ledger.set(Rule {
        plugin: 0,
        failures: 2,
        seconds: 0,
    });
    let (counted, other) = (Spot::new(place, 0, true), spot(0));
    for _ in 0..3 {
        begin(&other).end(End::Late);
    }
    begin(&counted).end(End::Late);
    begin(&counted).end(End::Returned);
    let (outer, inner) = (begin(&counted), begin(&counted));
    inner.end(End::Exited);
    outer.end(End::Exited);
    begin(&counted).end(End::Died);
    assert!(!is_out(&counted));
    begin(&counted).end(End::Late);
    assert!(is_out(&counted) && !is_out(&other));
}

#[test]
fn a_mark_wears_its_process_out_unless_the_plugin_keeps_its_variables() {
    use super::super::unfit::Sharing;
    assert_eq!(mark_unfit(0, Unfit::Tied, "%x"), None);
    page();
    let ledger: &'static Ledger = Box::leak(Ledger::empty());
    ledger.set_sharing(1, &Sharing::Keeps);
    attach_ledger(ledger);
    assert_eq!(mark_unfit(1, Unfit::Tied, "%x"), Some(Marked::Kept));
    assert!(!is_worn() && !is_unshared(1));
    let before = marks();
    assert_eq!(mark_unfit(0, Unfit::Tied, "%x"), Some(Marked::Unshared));
    assert!(is_worn() && is_unshared(0));
    assert_ne!(marks(), before);
}
