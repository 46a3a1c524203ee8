//! What was acknowledged is there: with each call to the disk that fails in its turn, in the spool and in
//! where the message is put, no queue plugin's message is acknowledged and lost. And what is acknowledged
//! is synced. The disk's faults are `durability/faults.c`'s, preloaded into `camelpost inetd`.
//!
//! Each plugin takes a few errors in `cargo test`; FAULTS=all takes all of them (`make soak`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod places;

use calls::{Fault, Talk};
use places::{Place, maildir};

const BUFFERED: &str = "print $out $text";
/// As File::Copy writes, past the handle's buffer.
const UNBUFFERED: &str = "syswrite $out, $text";

/// No call that fails may lose what was acknowledged.
fn nothing_is_lost(place: &Place) {
    let talk = Talk::with(place, None);
    assert!(talk.acknowledged(), "without a fault: {}", talk.shown());
    assert_eq!(place.lost(talk.site()), None, "{}", talk.shown());
    let faults = calls::faults(&talk.calls());
    let (all, mut hits) = (faults.len(), 0);
    for fault in faults {
        let told = format!(
            "{}: errno {} at call {}",
            place.lines, fault.errno, fault.nth
        );
        let talk = Talk::with(place, Some(fault));
        // The message may come in fewer pieces than before.
        let Some(hit) = talk.hit() else { continue };
        hits += 1;
        if talk.acknowledged() {
            let lost = place.lost(talk.site());
            assert_eq!(lost, None, "{told}, {hit}, lost it\n{}", talk.shown());
        } else {
            let reply = &talk.reply;
            assert!(
                reply.is_empty() || reply.starts_with('4'),
                "{told}, {hit}: {reply}"
            );
        }
    }
    assert!(
        hits > 3 && hits > all / 2,
        "only {hits} of {all} faults came about"
    );
}

#[test]
fn debian_s_maildir_loses_nothing() {
    nothing_is_lost(&maildir(
        "queue/maildir @ROOT@/store/Maildir",
        "/usr/share/qpsmtpd/plugins",
    ));
}

#[test]
fn debian_s_maildir_with_a_directory_for_each_recipient_loses_nothing() {
    let lines = "queue/maildir @ROOT@/store/Maildir %d/%l 700";
    nothing_is_lost(&maildir(lines, "/usr/share/qpsmtpd/plugins"));
}

#[test]
fn the_maildir_that_ships_loses_nothing() {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/compat-plugins");
    nothing_is_lost(&maildir("queue/maildir @ROOT@/store/Maildir %d/%l", ours));
}

#[test]
fn a_plugin_that_looks_at_no_result_loses_nothing() {
    for write in [BUFFERED, UNBUFFERED] {
        nothing_is_lost(&places::careless(write));
    }
}

/// That the faults are such as lose mail.
#[test]
fn without_queue_sync_a_plugin_that_looks_at_no_result_loses_messages() {
    let mut place = places::careless(BUFFERED);
    place.queue_sync = Some("0\n");
    let calls = Talk::with(&place, None).calls();
    let mut talks = calls::faults(&calls)
        .into_iter()
        .map(|fault| Talk::with(&place, Some(fault)));
    assert!(talks.any(|talk| talk.acknowledged() && place.lost(talk.site()).is_some()));
}

#[test]
fn qmail_s_queue_loses_nothing() {
    nothing_is_lost(&places::qmail_queue());
}

#[test]
fn exim_s_queue_loses_nothing() {
    nothing_is_lost(&places::exim());
}

#[test]
fn postfix_s_queue_loses_nothing() {
    nothing_is_lost(&places::postfix());
}

#[test]
fn what_is_forwarded_by_smtp_is_not_lost() {
    nothing_is_lost(&places::forward());
}

#[test]
fn what_is_forwarded_by_qmqp_is_not_lost() {
    nothing_is_lost(&places::qmqp());
}

/// A disk of all sizes, from one that has no room for the message to one that has more than enough.
#[test]
fn a_small_disk_loses_nothing() {
    let probe = tempfile::tempdir().unwrap();
    if !places::mount(probe.path(), 64) {
        println!("needs the right to mount");
        return;
    }
    places::unmount(probe.path());
    let plugins = "/usr/share/qpsmtpd/plugins";
    on_disks_of_all_sizes(maildir("queue/maildir @ROOT@/store/Maildir", plugins));
    // All at once: the disk takes a part of it.
    on_disks_of_all_sizes(places::careless(UNBUFFERED));
}

fn on_disks_of_all_sizes(mut place: Place) {
    let mut taken = Vec::new();
    for size in [4, 8, 12, 16, 20, 24, 28, 32, 48, 256] {
        place.disk = Some(size);
        let talk = Talk::with(&place, None);
        if talk.acknowledged() {
            assert_eq!(place.lost(talk.site()), None, "{size}: {}", talk.shown());
            taken.push(size);
        } else {
            assert!(
                talk.reply.is_empty() || talk.reply.starts_with('4'),
                "{size}: {}",
                talk.shown()
            );
        }
    }
    assert!(taken.contains(&256) && !taken.contains(&12), "{taken:?}");
}

/// The file, then the directory that has got it, both before the reply.
#[test]
fn the_file_and_its_directory_are_synced_before_the_reply() {
    let place = maildir(
        "queue/maildir @ROOT@/store/Maildir",
        "/usr/share/qpsmtpd/plugins",
    );
    let calls = Talk::with(&place, None).calls();
    let at = |name: &str| calls.iter().rposition(|call| call == name);
    let linked = at("link").expect("the plugin links");
    let synced: Vec<_> = calls[linked..]
        .iter()
        .filter(|call| *call == "fsync")
        .collect();
    assert_eq!(synced.len(), 2, "{calls:?}");
}

#[test]
fn queue_sync_0_leaves_it_to_the_plugin_as_the_original_does() {
    let mut place = maildir(
        "queue/maildir @ROOT@/store/Maildir",
        "/usr/share/qpsmtpd/plugins",
    );
    place.queue_sync = Some("0\n");
    let talk = Talk::with(&place, None);
    assert!(talk.acknowledged(), "{}", talk.shown());
    assert!(!talk.calls().iter().any(|call| call == "fsync"));
}

#[test]
fn a_failed_sync_is_a_451_and_the_log_names_the_file() {
    let place = maildir(
        "queue/maildir @ROOT@/store/Maildir",
        "/usr/share/qpsmtpd/plugins",
    );
    let calls = Talk::with(&place, None).calls();
    for (nth, _) in calls
        .iter()
        .enumerate()
        .filter(|(_, call)| *call == "fsync")
    {
        let nth = nth + 1;
        let talk = Talk::with(
            &place,
            Some(Fault {
                nth,
                errno: libc::EIO,
                stays: false,
            }),
        );
        assert_eq!(
            talk.reply,
            "451 Cannot store the message safely; try again later"
        );
        assert!(
            talk.log.contains("cannot sync") && talk.log.contains("/store/Maildir/"),
            "{}",
            talk.log
        );
    }
}
