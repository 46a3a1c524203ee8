//! Faults: a plugin misbehaves in each way that a plugin can, and the session in which it does, one
//! beside it and the next client see what docs/tables/faults.md says.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod list;
mod log;
mod play;
mod table;

use play::Setting;
use table::Section;

/// A worker for each of the sessions that are open at a time.
const APART: Setting = Setting {
    args: &[
        "--workers",
        "2",
        "--spare-workers",
        "0",
        "--sessions-per-worker",
        "1",
    ],
};

/// One worker for all.
const STACKED: Setting = Setting {
    args: &["--workers", "1", "--spare-workers", "0"],
};

#[test]
fn every_fault_ends_what_the_table_says_and_the_next_client_is_served() {
    let stacked = std::thread::spawn(|| play::all(&STACKED));
    let apart = play::all(&APART);
    let stacked = stacked
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let sections = [
        Section {
            heading: "One session per worker",
            about: "`--sessions-per-worker 1`, or while there are workers enough: the session beside it \
                    has another worker.",
            seen: &apart,
        },
        Section {
            heading: "Stacked",
            about: "`--workers 1`: the session beside it has the same worker.",
            seen: &stacked,
        },
    ];
    if let Err(problem) = table::up_to_date(&table::page(&sections)) {
        panic!("{problem}");
    }
}
