//! What the pages show is so: each command in README.md and docs/*.md is run in a prepared site, or stands in a list
//! with the reason why not; forms have options that there are; links lead somewhere; docs/first-plugin.md is
//! followed from an empty directory. Settings and options: src/config/reference.rs, src/cli/reference.rs.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

mod commands;
mod first_plugin;
mod forms;
mod links;
mod live;
mod page;
mod readers;
mod site;

const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");
