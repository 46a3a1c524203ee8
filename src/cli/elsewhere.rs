//! A process of its own for what loads plugins, as a plugin may do anything to the process that loads it. What it has
//! to tell comes as lines of JSON on its standard output.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failed;

/// The option that such a process gets.
pub(super) const OPTION: &str = "--in-this-process";

/// Runs this program with these words in a process of its own, and gives what that tells. Where it has told nothing, and
/// failed, it has said why on standard error: what to end with.
pub(super) fn ask<T: DeserializeOwned>(words: &[OsString]) -> Result<Vec<T>, ExitCode> {
    let failed = |error: std::io::Error| failed(&format!("camelpost: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // A plugin writes there, too, and not always text.
    let lines = child.stdout.take().into_iter().flat_map(|out| {
        let lines = BufReader::new(out).split(b'\n').map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_slice(&line).ok())
    });
    let told: Vec<T> = lines.collect();
    let status = child.wait().map_err(failed)?;
    // One that was killed has not said why.
    match told.is_empty() && status.code().is_some_and(|code| code != 0) {
        true => Err(ExitCode::FAILURE),
        false => Ok(told),
    }
}

/// Tells the one who asks.
pub(super) fn tell<T: Serialize>(what: &T) {
    let mut out = std::io::stdout().lock();
    // Behind what a plugin has written without an end of line. If the asker has gone, nobody wants to know any more.
    let _ = out.write_all(b"\n");
    let _ = serde_json::to_writer(&mut out, what).map(|()| out.write_all(b"\n"));
    let _ = out.flush();
}
