//! What plugins talk to besides the mail server: stub programs behind a Unix socket, as inetd would
//! run them, and whole daemons of Debian's packages.
//!
//! It knows nothing of their protocols.

use crate::ground::Ground;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(40);

/// Everything that a set's `service` and `daemon` lines started; daemons end when it is dropped.
#[derive(Default)]
pub struct Services {
    daemons: Vec<Child>,
}

impl Services {
    /// `services`: socket and command, run for each connection; `daemons`: the socket that such a
    /// daemon makes, and its command.
    pub fn start(
        services: &[(String, String)],
        daemons: &[(String, String)],
        ground: &Ground,
    ) -> Result<Self, String> {
        let mut started = Self::default();
        for (socket, command) in services {
            serve(socket, command, ground).map_err(|e| format!("service {socket}: {e}"))?;
        }
        for (socket, command) in daemons {
            let log = std::fs::File::create(ground.root().join(format!("{socket}.log")))
                .map_err(|e| format!("daemon {socket}: {e}"))?;
            let child = command_of(command, ground)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .process_group(0)
                .spawn()
                .map_err(|e| format!("daemon {socket}: {command}: {e}"))?;
            started.daemons.push(child);
            let until = Instant::now() + START;
            while UnixStream::connect(ground.root().join(socket)).is_err() {
                if Instant::now() > until {
                    return Err(format!("daemon {socket}: no socket after {START:?}"));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            open_to_all(socket, ground).map_err(|e| format!("daemon {socket}: {e}"))?;
        }
        Ok(started)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};
        for child in &mut self.daemons {
            if let Some(pid) = Pid::from_raw(child.id() as i32) {
                kill_process_group(pid, Signal::KILL).ok();
            }
            child.wait().ok();
        }
    }
}

fn serve(socket: &str, command: &str, ground: &Ground) -> std::io::Result<()> {
    let listener = UnixListener::bind(ground.root().join(socket))?;
    open_to_all(socket, ground)?;
    let mut program = command_of(command, ground);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let Ok(output) = stream.try_clone() else {
                return;
            };
            program.stdin(std::os::fd::OwnedFd::from(stream));
            program.stdout(std::os::fd::OwnedFd::from(output));
            program.status().ok();
            // Their descriptors would keep the connection open.
            program.stdin(Stdio::null()).stdout(Stdio::null());
        }
    });
    Ok(())
}

fn command_of(command: &str, ground: &Ground) -> Command {
    let root = ground.root().display().to_string();
    let mut words = command
        .split_whitespace()
        .map(|w| w.replace("@ROOT@", &root));
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(ground.root());
    command
}

fn open_to_all(socket: &str, ground: &Ground) -> std::io::Result<()> {
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(ground.root().join(socket), mode)
}
