//! The way to libperl: its functions as the glue in C has them, values, calls, objects of ours, the
//! interpreter, and the signal that interrupts a call.

pub mod call;
pub mod dropped;
pub(crate) mod frame;
pub mod interpreter;
pub mod interrupt;
pub(crate) mod object;
pub mod stray;
#[rustfmt::skip]
pub(crate) mod sys;
pub mod value;
