//! The original's programs, and Camelpost by their names: which hooks run under which, what
//! plugins find there, the command lines, and start scripts. Also one session on a socket, pipes
//! or files without any daemon.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod site;

mod command_lines;
mod hooks;
mod native_only;
mod one_session;
mod programs;
mod scripts;
mod table;
