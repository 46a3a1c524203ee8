//! What must hold of everything that comes from outside, whatever it is: the bodies of the fuzz targets.
//! `fuzz/` has libFuzzer call them, tests/fuzz.rs plays the corpus and mutations of it. Each panics where
//! its property does not hold; none does any I/O, but for `config`, which writes a file of its own.

#![forbid(unsafe_code)]

mod config;
mod session;
mod wire;

pub use config::config;
pub use session::session;
/// Start scripts and units that `camelpost migrate` reads.
pub fn start(bytes: &[u8]) {
    crate::cli::fuzz_start(bytes);
}

pub use wire::{address, command, data, lines, redis, reply};

pub use crate::server::{fuzz_control as control, fuzz_words as words};

/// A target.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("lines", lines),
    ("command", command),
    ("address", address),
    ("data", data),
    ("reply", reply),
    ("session", session),
    ("config", config),
    ("words", words),
    ("control", control),
    ("redis", redis),
    ("start", start),
];

/// Cuts bytes into chunks of lengths that a seed decides: 1 to 8 bytes, now and then more.
fn chunks(seed: u8, mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = u32::from(seed).wrapping_mul(2_654_435_761) | 1;
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let most = if state & 0x700 == 0 { 300 } else { 8 };
        let length = (state >> 16) as usize % most + 1;
        let (chunk, rest) = bytes.split_at(length.min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

/// The first byte, as a choice, and the rest.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) => (*first, rest),
        None => (0, bytes),
    }
}
