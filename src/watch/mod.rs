//! The page of memory that a worker shares with the supervisor: what runs in the worker now, and
//! sums of what has run. Its layout, the worker's side that writes it, the supervisor's that
//! reads it. A leaf: it maps no memory, and knows plugins and hooks as numbers only.

#![forbid(unsafe_code)]

mod clock;
mod ends;
mod ledger;
mod page;
mod queue;
mod refused;
mod sums;
mod unfit;
mod writer;

pub use clock::now;
pub use ledger::{Ledger, Marked, Out, Rule};
pub use page::{BUCKETS, Page, PluginHook, Reason, Running, VERDICTS};
pub use queue::{QueueCounts, QueueOutcome};
pub use refused::{RefusalCounts, RefusalStage};
pub use sums::{Sum, upper_bound};
pub use unfit::{Sharing, Unfit, unfit_line};
pub use writer::{
    Call, End, Spot, attach, attach_ledger, begin, begin_session, count_queue_outcome,
    count_refusal, count_verdict, detach, end_session, excuse_exit, has_store_gone,
    interrupt_reason, is_interrupted, is_out, is_store_back, is_unshared, is_worn, mark_unfit,
    marks, set_session, wear_out,
};
