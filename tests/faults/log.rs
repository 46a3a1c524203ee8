//! What the log says of a fault, without what changes from run to run.

use regex::Regex;

use crate::list::Fault;

/// The lines that tell of plugins, workers and what they could not do, each once.
pub fn told(lines: &[String], fault: &Fault) -> Vec<String> {
    let wanted =
        Regex::new(r"^\d+ .*(plugin faulty|FATAL PLUGIN|worker |[Zz]ygote|cannot |changed its)");
    let wanted = wanted.unwrap();
    let mut told: Vec<String> = Vec::new();
    for line in lines.iter().filter(|line| wanted.is_match(line)) {
        let line = without_numbers(line);
        if !told.contains(&line) {
            told.push(line);
        }
    }
    // How much it has taken when it is looked at is chance.
    if fault.awaited.is_none() {
        told.retain(|line| !line.contains("--worker-memory:"));
    }
    told
}

fn without_numbers(line: &str) -> String {
    let mut line = line.to_owned();
    for (what, with) in [
        (r"^\d+ ", ""),
        (r"worker \d+", "worker PID"),
        (r"not done after \d+ s", "not done after N s"),
        (r"taken \d+ MiB", "taken N MiB"),
        (r"HASH\(0x[0-9a-f]+\)", "HASH(…)"),
        (
            r"removed \d+ files of worker PID from \S+",
            "removed the files of worker PID",
        ),
        (r"spool file \S+;?", "spool file FILE"),
    ] {
        line = Regex::new(what)
            .unwrap()
            .replace_all(&line, with)
            .into_owned();
    }
    line
}
