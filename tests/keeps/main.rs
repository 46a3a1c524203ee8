//! What a plugin keeps is the session's, in every kind of variable: each session finds what there was
//! when the plugins had been loaded, whatever other sessions of its worker do before, after and in
//! between. The original's daemon, which has a process for each session, is the measure.
#![allow(clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod answers;
mod broken;
mod compared;
mod daemon;
mod endings;
mod known;
mod large;
mod memory;
mod messages;
mod one_by_one;
mod own_workers;
mod play;
mod programs;
mod settings;
mod side_by_side;
