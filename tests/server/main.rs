//! The processes, seen from outside: this program is also the daemon it tests, with an engine
//! that speaks no SMTP (engine.rs).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod control;
mod daemon;
mod engine;
mod forged;
mod hygiene;
mod liars;
mod life;
mod limits;
mod metrics;
mod place;
mod service;
mod stopping;
mod systemd;
mod terminal;
mod top;
mod unit;
mod upgrade;
mod upgrade_command;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

type Test = (&'static str, fn());

/// Names the tests once.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[(&str, fn())] = &[$((stringify!($name), $name as fn())),*];
    };
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let program = [
        "serve", "zygote", "status", "reload", "upgrade", "drain", "top",
    ];
    if args
        .first()
        .is_some_and(|first| program.contains(&first.as_str()))
    {
        let bare = camelpost::cli::Program {
            perl: |_| 1,
            prove: |_| 1,
            natives: Vec::new(),
            check: Box::new(|_, _| {}),
            hooks: Box::new(|_, _, _| Ok(())),
        };
        return camelpost::cli::run(engine::Greeter::new, &bare);
    }
    if args.first().is_some_and(|first| first == terminal::PANIC) {
        let _screen = camelpost::cli::Screen::open().unwrap();
        panic!("as told");
    }
    let all: Vec<Test> = [
        service::TESTS,
        liars::TESTS,
        life::TESTS,
        control::TESTS,
        forged::TESTS,
        hygiene::TESTS,
        metrics::TESTS,
        place::TESTS,
        limits::TESTS,
        stopping::TESTS,
        systemd::TESTS,
        top::TESTS,
        unit::TESTS,
        upgrade::TESTS,
        upgrade_command::TESTS,
    ]
    .concat();
    if args.iter().any(|arg| arg == "--list") {
        all.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen: Vec<Test> = all
        .into_iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|part| name.contains(*part)))
        .collect();
    run(&chosen)
}

/// Runs the tests, four at a time: they mostly wait.
fn run(tests: &[Test]) -> ExitCode {
    println!("\nrunning {} tests", tests.len());
    let queue = Mutex::new(tests.iter());
    let failed = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some((name, test)) = next else { return };
                    let begin = Instant::now();
                    let outcome = catch_unwind(test);
                    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
                    println!(
                        "test {name} ... {word} ({} ms)",
                        begin.elapsed().as_millis()
                    );
                    if outcome.is_err() {
                        *failed.lock().unwrap() += 1;
                    }
                }
            });
        }
    });
    let failed = *failed.lock().unwrap();
    println!(
        "\ntest result: {} passed; {failed} failed",
        tests.len() - failed
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
