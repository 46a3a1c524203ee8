//! The program `camelpost`: the command line over the engine that speaks SMTP.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Perl's allocator too, as libperl finds malloc in the program: it keeps scalars that are used
/// together close together, which a worker feels in both time and memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    camelpost::builder().run()
}
