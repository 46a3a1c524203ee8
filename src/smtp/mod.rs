//! The wire form of SMTP: addresses, command lines, replies, DATA.
#![forbid(unsafe_code)]

/// placeholder
#[derive(Debug, Default, Clone)]
pub struct Address;

/// placeholder
#[derive(Debug, Clone)]
pub struct Reply;
