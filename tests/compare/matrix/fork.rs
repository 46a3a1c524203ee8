//! post-fork: no session is affected by what it returns, be it a denial, a death or an exit.
//!
//! Each worker of one daemon gives the next verdict. qpsmtpd-forkserver does not run this hook.

use super::rows::{self, VERDICTS};
use crate::CAMELPOST;
use camelpost_oracle::client::converse;
use camelpost_oracle::daemon::Daemon;
use camelpost_oracle::dialogue::ConfigSet;
use camelpost_oracle::ground::Ground;
use camelpost_support::dns;
use std::collections::BTreeSet;

/// More than enough for a worker with each verdict.
const SESSIONS: usize = 200;

#[test]
fn a_verdict_of_post_fork_counts_for_nothing() {
    if let Err(report) = check() {
        panic!("{report}");
    }
}

fn check() -> Result<(), String> {
    let io = |e: std::io::Error| e.to_string();
    let verdicts = rows::verdicts(|_| true);
    let text = "options --sessions-per-life 1\n=== mine\nC: XMINE\nC: QUIT\n";
    let mut set = ConfigSet::parse("post_fork", text)?;
    set.files = vec![
        ("config/matrix_verdicts".to_owned(), verdicts),
        ("config/plugins".to_owned(), "forked @ROOT@\n".to_owned()),
        ("config/loglevel".to_owned(), "1\n".to_owned()),
    ];
    let ground = Ground::new(&set, None).map_err(io)?;
    let dns = dns::start().map_err(io)?;
    let daemon = Daemon::start(CAMELPOST, &set, &ground, dns)?;
    let dialogue = set.dialogues.first().ok_or("no dialogue")?;
    // An exit ends its worker before it serves anybody.
    let names = VERDICTS.iter().map(|(name, _)| *name);
    let wanted: BTreeSet<&str> = names.filter(|name| *name != "exit").collect();
    let mut seen = BTreeSet::new();
    for _ in 0..SESSIONS {
        let said = converse(dialogue, daemon.port, ground.root(), &[]);
        let [greeting, _, mine, _, bye, ..] = &said[..] else {
            return Err(format!("a session was not served: {said:?}"));
        };
        if !greeting.starts_with("S: 220 ") || !bye.starts_with("S: 221 ") {
            return Err(format!("a session is not as usual: {said:?}"));
        }
        let mine = mine.strip_prefix("S: 250 ").unwrap_or_default();
        seen.extend(wanted.get(mine));
        if seen == wanted {
            return Ok(());
        }
    }
    let missing: Vec<&&str> = wanted.difference(&seen).collect();
    Err(format!("no session was served after: {missing:?}"))
}
