//! Native plugins for the lines `queue/NAME`.

mod maildir;

pub(super) use maildir::Maildir;
