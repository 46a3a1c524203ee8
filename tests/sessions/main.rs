//! Whole dialogues with a running server: what the comparison with the original cannot show.
#![allow(clippy::unwrap_used)]

mod server;

mod abuse;
mod contract;
mod endings;
mod fast;
mod hung_up;
mod isolation;
mod keys;
mod leftovers;
mod limits;
mod log;
mod log_lost;
mod memory;
mod numbers;
mod plugins;
mod profile100;
mod quarantine;
mod queue_outcomes;
mod refusals;
mod sandbox;
mod settings;
mod sharing;
mod stacked;
mod strictness;
mod taint;
mod titles;
mod watchdog;
mod web;
mod worker_user;
mod worst;
