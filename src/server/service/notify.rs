//! What systemd is told (sd_notify(3)): ready, reloading, stopping, a line of status, that the
//! supervisor's loop still turns. Where no service manager listens, nothing is sent.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Variables that are for this process and none that it starts.
pub(in crate::server) const VARIABLES: [&str; 3] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// A service manager that has stopped to read must not stop the service.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service manager, if one wants to know.
#[derive(Debug)]
pub(in crate::server) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often to say that the loop still turns.
    pub(in crate::server) watchdog: Option<Duration>,
}

impl Notify {
    pub(in crate::server) fn from_environment() -> Notify {
        let name = std::env::var_os("NOTIFY_SOCKET");
        let to = name.as_deref().and_then(|name| {
            open(name)
                .inspect_err(|error| {
                    tracing::warn!(
                        "NOTIFY_SOCKET={}: {error}; systemd is told nothing",
                        name.display()
                    );
                })
                .ok()
        });
        let watchdog = half_of_watchdog(
            std::env::var_os("WATCHDOG_USEC"),
            std::env::var_os("WATCHDOG_PID"),
        );
        Notify {
            watchdog: watchdog.filter(|_| to.is_some()),
            to,
        }
    }

    pub(in crate::server) fn ready(&self, status: &str) {
        // The process that was started is another one where it has detached.
        let pid = std::process::id();
        self.say(&format!("READY=1\nMAINPID={pid}\nSTATUS={status}"));
    }

    pub(in crate::server) fn reloading(&self, status: &str) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.say(&format!(
            "RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS={status}"
        ));
    }

    pub(in crate::server) fn stopping(&self, status: &str) {
        self.say(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Another process is the main one now.
    pub(in crate::server) fn main_pid(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}"));
    }

    pub(in crate::server) fn fall_silent(&mut self) {
        self.to = None;
    }

    pub(in crate::server) fn status(&self, status: &str) {
        self.say(&format!("STATUS={status}"));
    }

    pub(in crate::server) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, text: &str) {
        let Some((socket, address)) = &self.to else {
            return;
        };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::debug!("systemd could not be told: {error}");
        }
    }
}

fn open(name: &OsStr) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
        _ => return Err(std::io::Error::other("neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address))
}

/// Half the time that systemd waits for a sign of life, if it waits for one of this process.
fn half_of_watchdog(usec: Option<OsString>, pid: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if let Some(pid) = pid
        && number(pid) != Some(std::process::id().into())
    {
        return None;
    }
    let usec = number(usec?)?;
    (usec >= 2).then(|| Duration::from_micros(usec / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_of_life_comes_at_half_the_time_and_only_from_the_process_that_is_meant() {
        let half = |usec: &str, pid: Option<u32>| {
            half_of_watchdog(Some(usec.into()), pid.map(|pid| pid.to_string().into()))
        };
        let me = std::process::id();
        let five = Some(Duration::from_secs(5));
        assert_eq!(half("10000000", Some(me)), five);
        assert_eq!(half("10000000", None), five);
        assert_eq!(half("10000000", Some(me + 1)), None);
        assert_eq!(half("soon", Some(me)), None);
        assert_eq!(half("0", Some(me)), None);
        assert_eq!(half_of_watchdog(None, None), None);
    }

    #[test]
    fn a_socket_is_named_by_a_path_or_in_the_abstract_space() {
        assert!(open(OsStr::new("/run/x")).is_ok());
        assert!(open(OsStr::new("@x")).is_ok());
        assert!(open(OsStr::new("vsock:2:1")).is_err());
    }
}
