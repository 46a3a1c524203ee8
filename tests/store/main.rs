//! The store that plugins keep things in: what its methods mean, many processes at once and killed ones, whole
//! servers with several workers, Perl plugins beside native ones, a store that is away,
//! greylisting over it. This program is also the
//! daemon that it tests, with plugins of its own, and the processes that are killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod greylist;
mod keeper;
mod meaning;
mod outage;
mod processes;
mod redis;
mod server;

use std::process::ExitCode;

use camelpost_support::own::{self, Test};

const TESTS: [&[Test]; 5] = [
    meaning::TESTS,
    processes::TESTS,
    server::TESTS,
    outage::TESTS,
    greylist::TESTS,
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
    own::run(&TESTS.concat(), &args)
}
