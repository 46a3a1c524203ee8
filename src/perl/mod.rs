//! perl
mod sys;
