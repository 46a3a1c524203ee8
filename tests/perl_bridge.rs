//! The Perl bridge: objects and their lifetimes, notes that both sides share, die and exit at
//! any depth, contents that last as long as a session, and no leaks. One process, one
//! interpreter: the tests run in order, in one function's thread.
#![allow(clippy::unwrap_used)]

fn main() {}
