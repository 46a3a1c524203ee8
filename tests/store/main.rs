//! The store that plugins keep things in: what its methods mean, many processes at once and killed ones, whole
//! servers with several workers, Perl plugins beside native ones, a store that is away. This program is also the
//! daemon that it tests, with plugins of its own, and the processes that are killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keeper;
mod meaning;
mod outage;
mod processes;
mod redis;
mod server;

use std::panic::catch_unwind;
use std::process::ExitCode;

type Test = (&'static str, fn());

const TESTS: [&[Test]; 4] = [
    meaning::TESTS,
    processes::TESTS,
    server::TESTS,
    outage::TESTS,
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("serve" | "zygote") => {
            return camelpost::builder()
                .plugin::<keeper::Keeper>()
                .plugin::<keeper::Teller>()
                .run();
        }
        Some("child") => return processes::child(&args[1..]),
        _ => {}
    }
    let all = TESTS.concat();
    if args.iter().any(|arg| arg == "--list") {
        all.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |(name, _): &&Test| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let chosen: Vec<&Test> = all.iter().filter(chosen).collect();
    println!("\nrunning {} tests", chosen.len());
    let mut failed = 0;
    for (name, test) in &chosen {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    println!(
        "\ntest result: {} passed; {failed} failed",
        chosen.len() - failed
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
