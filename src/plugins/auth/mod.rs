//! Native plugins for the lines `auth/NAME`.

mod auth_flat_file;

pub(super) use auth_flat_file::AuthFlatFile;
