//! packaging/grafana.json and packaging/alerts.yml speak of metrics and labels that there are.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::metrics::{scrape, start};

crate::tests! {
    the_board_and_the_alerts_name_metrics_and_labels_that_there_are,
}

const BOARD: &str = include_str!("../../packaging/grafana.json");
const ALERTS: &str = include_str!("../../packaging/alerts.yml");

/// What Prometheus itself adds.
const OF_TARGET: [&str; 2] = ["instance", "job"];

/// The metrics of a page with their labels, a histogram's by the names of its series.
fn metrics(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let label = Regex::new(r#"[{,](\w+)=""#).unwrap();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let ends = match kind {
                "histogram" => ["_bucket", "_sum", "_count"].as_slice(),
                _ => &[""],
            };
            for end in ends {
                all.entry(format!("{name}{end}")).or_default();
            }
        } else if let Some(labels) = line.split('{').next().filter(|_| !line.starts_with('#')) {
            let name = labels.split(' ').next().unwrap();
            let found = label.captures_iter(line).map(|one| one[1].to_owned());
            all.entry(name.to_owned()).or_default().extend(found);
        }
    }
    all
}

fn the_board_and_the_alerts_name_metrics_and_labels_that_there_are() {
    let (daemon, address) = start(&[]);
    let mut client = daemon.connect();
    client.send_line("CALL");
    assert_eq!(client.line(), "250 called\r\n");
    let there = metrics(&scrape(address));
    let board: serde_json::Value = serde_json::from_str(BOARD).unwrap();
    assert!(board["panels"].as_array().unwrap().len() > 10);
    // In JSON, quotes have a backslash.
    let board = BOARD.replace("\\\"", "\"");
    let used = Regex::new(r"(camelpost_\w+)(?:\{([^}]*)\})?").unwrap();
    let label = Regex::new(r#"(\w+)(?:=|!=|=~|!~)""#).unwrap();
    for (file, text, least) in [("grafana.json", &*board, 25), ("alerts.yml", ALERTS, 8)] {
        let mut names = BTreeSet::new();
        for found in used.captures_iter(text) {
            let name = &found[1];
            let labels = there.get(name);
            let labels = labels.unwrap_or_else(|| panic!("{file}: {name} is no metric"));
            names.insert(name.to_owned());
            let selector = found.get(2).map_or("", |selector| selector.as_str());
            for one in label.captures_iter(selector) {
                let known = labels.contains(&one[1]) || OF_TARGET.contains(&&one[1]);
                assert!(known, "{file}: {name} has no label {}", &one[1]);
            }
        }
        assert!(names.len() >= least, "{file}: {names:?}");
    }
    // Each one is on the board, but for what says nothing over time.
    let shown = |name: &&String| board.contains(name.as_str());
    let missing: Vec<&String> = there.keys().filter(|name| !shown(name)).collect();
    assert!(missing.is_empty(), "not on the board: {missing:?}");
}
