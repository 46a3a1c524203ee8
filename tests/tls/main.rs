//! TLS: the same dialogues with native/tls in the place of the package's plugin `tls`, as it is without a
//! word, and with that plugin itself (`tls perl`); and what native/tls does beyond it. The client is openssl's.
#![allow(clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod beyond;
mod both_ways;
mod client;
mod plugins;
mod server;
mod wrong;
