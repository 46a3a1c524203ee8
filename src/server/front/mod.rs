//! The door: sockets that listen, and which clients are let in.

pub(super) mod activation;
pub(super) mod clients;
pub(super) mod listen;
pub(super) mod rate;
