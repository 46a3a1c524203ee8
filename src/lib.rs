//! Camelpost: an SMTP server that runs qpsmtpd's Perl plugins unchanged, with native Rust
//! plugins in the same chain. See ARCHITECTURE.md for the layers.

pub mod cli;
pub mod config;
pub mod hook;
pub mod log;
pub mod mail;
pub mod net;
pub mod perl;
pub mod plugin;
pub mod plugins;
pub mod server;
pub mod session;
pub mod smtp;
