//! What the log says of plugins that die, return undef or YIELD: their names, and the hooks'.

use super::play::{Played, Setting};

/// What differs between the two, and YIELDs that nobody is told of.
pub fn report(setting: &Setting, original: &Played, camelpost: &Played) -> String {
    let name = setting.name;
    // There the plugins keep the log for themselves.
    if !setting.besides.is_empty() {
        return String::new();
    }
    let (theirs, ours) = (complaints(&original.log), complaints(&camelpost.log));
    let mut report = String::new();
    if theirs != ours {
        report.push_str(&format!(
            "\n{name}: the log's lines on plugins that die or return undef:\n\
             original:\n{}\ncamelpost:\n{}\n",
            theirs.join("\n"),
            ours.join("\n")
        ));
    }
    let hooks = setting
        .rows()
        .into_iter()
        .map(|row| (row.verdict, row.place.hook));
    for (_, hook) in hooks.filter(|(verdict, _)| *verdict == "YIELD") {
        let text = format!("FATAL PLUGIN ERROR [judge]: YIELD from the {hook} hook");
        let is_it = |line: &String| line.replace("]:  ", "]: ").contains(&text);
        if !camelpost.log.iter().any(is_it) {
            report.push_str(&format!("\n{name}: the log does not have: {text}\n"));
        }
    }
    report
}

/// The lines, each once: where a logging plugin is loaded, the original says of a plugin that died
/// that it returned undef, too. In ok and deny it writes the text past its log.
fn complaints(log: &[String]) -> Vec<String> {
    let is_one = |line: &&String| line.contains(" returned undef!") || line.contains("judge dies");
    let lines = log.iter().filter(is_one);
    let bare = |line: &String| line.replace("L: PID ", "L: ").replace("]:  ", "]: ");
    let mut lines: Vec<String> = lines.map(bare).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}
