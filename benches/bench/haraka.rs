//! Haraka as the bench runs it: installed by npm below the target directory, in one process, with the plugins
//! that come nearest to those of the others. Where npm cannot install it, it is left out with a word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// The release that the figures in docs/bench.md are of.
const VERSION: &str = "3.3.4";
/// Those of its plugins that are packages of their own.
const PACKAGES: [&str; 4] = [
    "haraka-plugin-access",
    "haraka-plugin-helo.checks",
    "haraka-plugin-headers",
    "haraka-plugin-relay",
];
/// access: hosts_allow, badmailfrom, badrcptto. There is nothing like count_unrecognized_commands and loop.
const PLUGINS: &str =
    "access\nrelay\nhelo.checks\nheaders\ntls\nrcpt_to.in_host_list\nqueue/discard\n";

fn home() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    target.parent().unwrap_or(target).join("haraka")
}

/// Its program, whether it is there or not.
pub fn program() -> PathBuf {
    home().join("node_modules/Haraka/bin/haraka")
}

/// Installs it, unless it is there. The error is npm's.
pub fn install() -> std::result::Result<(), String> {
    if program().is_file() {
        return Ok(());
    }
    let home = home();
    fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    eprintln!("bench: npm install Haraka@{VERSION}");
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--omit=optional"])
        .arg(format!("Haraka@{VERSION}"))
        .args(PACKAGES)
        .current_dir(&home)
        .output()
        .map_err(|error| format!("npm: {error}"))?;
    match output.status.success() && program().is_file() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(said.lines().last().unwrap_or("npm failed").to_owned())
        }
    }
}

/// A directory for it, which listens on this port; what the other servers have as config files it has in
/// its own form.
pub fn configure(
    directory: &Path,
    port: u16,
    hosts: &str,
    certificate: &[PathBuf; 2],
) -> Result<()> {
    let config = directory.join("config");
    fs::create_dir_all(&config)?;
    let put = |name: &str, text: &str| fs::write(config.join(name), text);
    // Without these it does not start; what they say is its own default.
    let own = home().join("node_modules/Haraka/config/connection.ini");
    fs::copy(own, config.join("connection.ini"))?;
    put("smtp.ini", &format!("listen=127.0.0.1:{port}\nnodes=0\n"))?;
    put("plugins", PLUGINS)?;
    put("host_list", hosts)?;
    put("me", "bench.example\n")?;
    put("loglevel", "warn\n")?;
    let [certificate, key] = certificate;
    fs::copy(certificate, config.join("tls_cert.pem"))?;
    fs::copy(key, config.join("tls_key.pem"))?;
    fs::create_dir_all(directory.join("queue"))?;
    let modules = directory.join("node_modules");
    if !modules.exists() {
        std::os::unix::fs::symlink(home().join("node_modules"), modules)?;
    }
    Ok(())
}

/// What starts it in that directory.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(program()).arg("-c").arg(directory);
    // Its own guard against somebody who uses queue/discard by mistake.
    command.env("YES_REALLY_DO_DISCARD", "1");
    command
}
