//! What a plugin keeps is the session's, in every kind of variable: each session finds what there was
//! when the plugins had been loaded, whatever other sessions of its worker do before, after and in
//! between. The original's daemon, which has a process for each session, is the measure.
#![allow(clippy::unwrap_used)]
#![forbid(unsafe_code)]

#[path = "compare/dns.rs"]
mod dns;
#[path = "soak/random.rs"]
#[allow(dead_code, reason = "the soak test makes more choices")]
mod random;
#[path = "flavours/site.rs"]
#[allow(dead_code, reason = "tests/flavours.rs uses all of it")]
mod site;

#[path = "keeps/answers.rs"]
mod answers;
#[path = "keeps/broken.rs"]
mod broken;
#[path = "keeps/compared.rs"]
mod compared;
#[path = "keeps/daemon.rs"]
mod daemon;
#[path = "keeps/endings.rs"]
mod endings;
#[path = "keeps/known.rs"]
mod known;
#[path = "keeps/large.rs"]
mod large;
#[path = "keeps/memory.rs"]
mod memory;
#[path = "keeps/messages.rs"]
mod messages;
#[path = "keeps/one_by_one.rs"]
mod one_by_one;
#[path = "keeps/own_workers.rs"]
mod own_workers;
#[path = "keeps/play.rs"]
mod play;
#[path = "keeps/programs.rs"]
mod programs;
#[path = "keeps/settings.rs"]
mod settings;
#[path = "keeps/side_by_side.rs"]
mod side_by_side;
