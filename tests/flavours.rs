//! The original's programs, and Camelpost by their names: which hooks run under which, what
//! plugins find there, the command lines, and start scripts. Also one session on a socket, pipes
//! or files without any daemon.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "flavours/site.rs"]
mod site;

#[path = "flavours/command_lines.rs"]
mod command_lines;
#[path = "compare/dns.rs"]
mod dns;
#[path = "flavours/hooks.rs"]
mod hooks;
#[path = "flavours/native_only.rs"]
mod native_only;
#[path = "flavours/one_session.rs"]
mod one_session;
#[path = "flavours/programs.rs"]
mod programs;
#[path = "flavours/scripts.rs"]
mod scripts;
#[path = "flavours/table.rs"]
mod table;
