//! Native plugins for the lines `logging/NAME`.

mod file;

pub(super) use file::{LoggingFile, local_time};
