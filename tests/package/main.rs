//! The Debian package and `make install`: what they have in them, and the life of an installed package from the
//! first message to the purge, in a root that debootstrap makes. The container is here, too. What the program does
//! is the other suites'.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

mod container;
mod deb;
mod files;
mod life;
mod root;
mod unit;
