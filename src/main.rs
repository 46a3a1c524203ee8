//! The program `camelpost`: the command line over the engine that speaks SMTP.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    camelpost::builder().run()
}
