//! `camelpost try`: a client hears what it would hear of the service, each plugin's say is shown with what it has
//! changed, and nothing is queued that was not to be.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

mod changes;
mod compared;
mod endings;
mod example;
mod options;
mod played;
mod usage;
