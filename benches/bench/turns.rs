//! CPU per unit of work of several servers in turns, as a table with a row for each kind of work.

use std::fmt::Write as _;

use crate::Result;
use crate::daemon::Daemon;
use crate::kind::Kind;
use crate::measure::{cost, median};

/// One unit of work, any number of times.
pub type Unit = Box<dyn FnMut() -> Result<()>>;

/// A row: its title, how much of it makes a turn, and one unit of it.
pub struct Row<'a> {
    pub title: &'a str,
    pub count: usize,
    pub work: &'a dyn Fn(&Daemon) -> Result<Unit>,
}

/// Plays the rows with each server in turns and writes the medians; the last columns say how often `of` is
/// contained in the other servers' figures.
pub fn table(servers: &[Daemon], rows: &[Row<'_>], rounds: usize, of: Kind) -> Result<String> {
    let mut samples = vec![vec![Vec::new(); servers.len()]; rows.len()];
    for round in 0..=rounds {
        eprintln!("bench: round {round} of {rounds}");
        for (row, samples) in rows.iter().zip(&mut samples) {
            for (server, samples) in servers.iter().zip(samples) {
                let sample = turn(server, row).map_err(|error| server.explain(error))?;
                // What a server does only once is not part of the price.
                if round > 0 {
                    samples.extend(sample);
                }
            }
        }
    }
    let place = servers.iter().position(|server| server.kind() == of);
    let others = || servers.iter().filter(|server| server.kind() != of);
    let mut text = String::from("| CPU ms per |");
    let mut rule = String::from("|---|");
    for server in servers {
        text += &format!(" {} |", server.kind().name());
        rule += "---:|";
    }
    for other in others() {
        text += &format!(" {} ÷ {} |", other.kind().name(), of.name());
        rule += "---:|";
    }
    text += &format!("\n{rule}\n");
    for (row, samples) in rows.iter().zip(&samples) {
        let medians: Vec<Option<f64>> = samples.iter().map(|all| median(all)).collect();
        let own = place.and_then(|place| medians[place]);
        // Writing to a String cannot fail.
        let _ = write!(text, "| {} |", row.title);
        for value in &medians {
            let _ = match value {
                Some(value) => write!(text, " {value:.2} |"),
                None => write!(text, " – |"),
            };
        }
        for (server, value) in servers.iter().zip(&medians) {
            if server.kind() == of {
                continue;
            }
            let _ = match value.zip(own) {
                Some((value, own)) if own > 0.0 => write!(text, " {:.1} |", value / own),
                _ => write!(text, " – |"),
            };
        }
        text.push('\n');
    }
    Ok(text)
}

fn turn(server: &Daemon, row: &Row<'_>) -> Result<Option<f64>> {
    let mut work = (row.work)(server)?;
    work()?;
    cost(server, row.count, work)
}
