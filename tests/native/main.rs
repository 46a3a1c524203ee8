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

use std::panic::catch_unwind;
use std::process::ExitCode;

type Test = (&'static str, fn());

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
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
