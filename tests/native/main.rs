//! Native plugins with an interpreter and without: this program is also the daemon that it tests, with
//! plugins of its own. What a session says and logs is the same both ways; what a plugin does wrong is
//! that session's alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod all_hooks;
mod both_ways;
mod headers;
mod https;
mod parts;
mod plugins;
mod policy;
mod services;
mod wrong;

use std::process::ExitCode;

use camelpost_support::own::{self, Test};

const TESTS: [&[Test]; 7] = [
    both_ways::TESTS,
    all_hooks::TESTS,
    headers::TESTS,
    services::TESTS,
    https::TESTS,
    policy::TESTS,
    wrong::TESTS,
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args
        .first()
        .is_some_and(|first| first == "serve" || first == "zygote")
    {
        return camelpost::builder()
            .plugin::<plugins::Tester>()
            .plugin::<parts::Parts>()
            .plugin::<parts::Keeper>()
            .plugin::<headers::Editor>()
            .plugin::<services::Services>()
            .plugin::<services::Leaver>()
            .plugin::<policy::Judge>()
            .run();
    }
    own::run(&TESTS.concat(), &args)
}
