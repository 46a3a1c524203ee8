//! Camelpost: an SMTP server that runs qpsmtpd's Perl plugins unchanged, with native Rust
//! plugins in the same chain. See ARCHITECTURE.md for the layers.

pub mod config;
pub mod hook;
pub mod mail;
pub mod perl;
pub mod plugin;
pub mod plugins;
pub mod session;
pub mod smtp;
