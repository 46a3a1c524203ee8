//! The tests of a suite that is the daemon under test as well, and so cannot leave its main function to cargo: run
//! one after the other, chosen by words of the command line, told of as cargo's are.

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test and its name.
pub type Test = (&'static str, fn());

/// Runs those whose names have one of the words in them, or all where there is no word.
pub fn run(all: &[Test], args: &[String]) -> ExitCode {
    if args.iter().any(|arg| arg == "--list") {
        all.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |(name, _): &&Test| {
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
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
