//! The door: sockets that listen, and which clients are let in.

pub mod activation;
pub mod clients;
pub mod listen;
pub mod rate;
