//! Whole dialogues with a running server: what the comparison with the original cannot show.
#![allow(clippy::unwrap_used)]

#[path = "sessions/server.rs"]
mod server;

#[path = "sessions/abuse.rs"]
mod abuse;
#[path = "sessions/contract.rs"]
mod contract;
#[path = "sessions/endings.rs"]
mod endings;
#[path = "sessions/fast.rs"]
mod fast;
#[path = "sessions/hung_up.rs"]
mod hung_up;
#[path = "sessions/isolation.rs"]
mod isolation;
#[path = "sessions/keys.rs"]
mod keys;
#[path = "sessions/leftovers.rs"]
mod leftovers;
#[path = "sessions/limits.rs"]
mod limits;
#[path = "sessions/memory.rs"]
mod memory;
#[path = "sessions/numbers.rs"]
mod numbers;
#[path = "sessions/plugins.rs"]
mod plugins;
#[path = "sessions/profile100.rs"]
mod profile100;
#[path = "sessions/quarantine.rs"]
mod quarantine;
#[path = "sessions/queue_outcomes.rs"]
mod queue_outcomes;
#[path = "sessions/sandbox.rs"]
mod sandbox;
#[path = "sessions/settings.rs"]
mod settings;
#[path = "sessions/sharing.rs"]
mod sharing;
#[path = "sessions/stacked.rs"]
mod stacked;
#[path = "sessions/strictness.rs"]
mod strictness;
#[path = "sessions/taint.rs"]
mod taint;
#[path = "sessions/watchdog.rs"]
mod watchdog;
#[path = "sessions/worker_user.rs"]
mod worker_user;
#[path = "sessions/worst.rs"]
mod worst;
