//! The Perl bridge: objects and their lifetimes, notes that both sides share, die and exit at
//! any depth, contents that last as long as a session, and no leaks. One process, one
//! interpreter on the first thread: the cases run in order. Arguments select cases by name; `--skip NAME`
//! leaves cases out.
#![allow(clippy::unwrap_used)]

mod arguments;
mod body;
mod bridge;
mod contents;
mod fast;
mod fuzz;
mod leaks;
mod log;
mod notes;
mod objects;
mod process;
mod unwinding;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};

use bridge::Bridge;
use camelpost::perl::fast::SWITCH;

/// A case and its name, which is its function's.
pub type Case = (&'static str, fn(&Bridge));

#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub const CASES: &[$crate::Case] = &[$((stringify!($name), $name)),*];
    };
}

/// In a process that aborts where a long jump of perl's would pass over frames of Rust; then in one without
/// fast paths.
fn main() -> ExitCode {
    const ABORT: &str = "CAMELPOST_ABORT_ON_JUMP";
    if std::env::var_os(ABORT).is_none() {
        let program = std::env::current_exe().unwrap();
        let passes = |plain: &str, skip: &[&str]| {
            let mut again = Command::new(&program);
            again.args(std::env::args().skip(1)).args(skip);
            // As the service sets it for its workers: huge pages come and go by 2 MiB, which is more than what a leak
            // is seen by.
            again.env("MIMALLOC_ALLOW_THP", "0");
            let status = again.env(ABORT, "1").env(SWITCH, plain).status().unwrap();
            println!("{SWITCH}={plain}: {status}");
            status.success()
        };
        // What is left behind after thousands of rounds is counted once: the plain ways take a minute longer.
        let passed = passes("0", &[]) & passes("1", &["--skip", "leave_nothing_behind"]);
        return ExitCode::from(u8::from(!passed));
    }
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--skip" => skipped.extend(words.next()),
            _ if word.starts_with('-') => {}
            _ => wanted.push(word),
        }
    }
    let bridge = Bridge::start();
    let all = [
        objects::CASES,
        notes::CASES,
        body::CASES,
        arguments::CASES,
        unwinding::CASES,
        contents::CASES,
        fast::CASES,
        process::CASES,
        leaks::CASES,
        log::CASES,
        fuzz::CASES,
    ];
    let mut failed = 0;
    for (name, case) in all.into_iter().flatten() {
        let names = |words: &[String]| words.iter().any(|word| name.contains(word.as_str()));
        if names(&skipped) || (!wanted.is_empty() && !names(&wanted)) {
            continue;
        }
        bridge.forget();
        let passed = catch_unwind(AssertUnwindSafe(|| case(&bridge))).is_ok();
        failed += usize::from(!passed);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    }
    println!("{failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
