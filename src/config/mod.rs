//! The config directory.
