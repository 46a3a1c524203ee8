//! What the processes say to each other, and what the control socket brings, as the fuzz targets try
//! them (see `crate::fuzz`): what is understood is said again in a way that is understood as the same.

#![forbid(unsafe_code)]

use super::message::{FromWorker, FromZygote, ToWorker, ToZygote};
use crate::server::control;

/// Words of zygotes and workers.
pub fn fuzz_words(bytes: &[u8]) {
    if let Some(word) = ToZygote::decode(bytes) {
        assert_eq!(ToZygote::decode(&word.encode()), Some(word));
    }
    if let Some(word) = FromZygote::decode(bytes) {
        assert_eq!(FromZygote::decode(&word.encode()), Some(word));
    }
    if let Some(word) = ToWorker::decode(bytes) {
        assert_eq!(ToWorker::decode(&word.encode()), Some(word));
    }
    if let Some(word) = FromWorker::decode(bytes) {
        assert_eq!(FromWorker::decode(&word.encode()), Some(word));
    }
}

/// A line on the control socket: a request, and an answer.
pub fn fuzz_control(bytes: &[u8]) {
    control::fuzz(bytes);
}
