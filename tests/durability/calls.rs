//! A session of `camelpost inetd` in which a call to the disk fails.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use camelpost_support::process::on_socket;
use camelpost_support::{Client, Site, wait};

use super::places::{LAST_LINE, Place, RECIPIENTS};

/// The call `nth` fails, and if `stays` all that write after it.
pub struct Fault {
    pub nth: usize,
    pub errno: i32,
    pub stays: bool,
}

/// What may go wrong with calls like these: a read or write that fails once, and a disk that is full from
/// then on. One of the two for each call, in turns, unless FAULTS asks for everything.
pub fn faults(calls: &[String]) -> Vec<Fault> {
    let all = std::env::var_os("FAULTS").is_some();
    let reads = ["read", "pread", "pread64", "lseek", "lseek64", "close"];
    // Whatever is closed last has been synced.
    let last = calls.iter().rposition(|call| call != "close").unwrap_or(0);
    let mut faults = Vec::new();
    for (at, call) in calls.iter().take(last + 1).enumerate() {
        let kinds: &[(i32, bool)] = match (all, reads.contains(&call.as_str()), at % 2) {
            (true, false, _) => &[
                (libc::EIO, false),
                (libc::ENOSPC, false),
                (libc::EDQUOT, false),
                (libc::EIO, true),
                (libc::ENOSPC, true),
            ],
            (false, false, 1) => &[(libc::ENOSPC, true)],
            _ => &[(libc::EIO, false)],
        };
        for (errno, stays) in kinds {
            let (nth, errno, stays) = (at + 1, *errno, *stays);
            faults.push(Fault { nth, errno, stays });
        }
    }
    faults
}

/// One message from a client, and what came of it.
pub struct Talk {
    site: Site,
    /// `store` is a disk of its own.
    mounted: bool,
    pub reply: String,
    pub log: String,
}

/// The library that makes calls fail, built once.
fn library() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("faults.{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/durability/faults.c");
        let cc = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&built)
            .args([source, "-ldl"])
            .status()
            .unwrap();
        assert!(cc.success(), "cc cannot build {source}");
        built
    })
}

impl Talk {
    pub fn with(place: &Place, fault: Option<Fault>) -> Talk {
        let site = place.site();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        let none = Fault {
            nth: 0,
            errno: 0,
            stays: false,
        };
        let fault = fault.unwrap_or(none);
        let mut command = site.command(env!("CARGO_BIN_EXE_camelpost"));
        command
            .arg("inetd")
            .env("TCPREMOTEIP", "192.0.2.7")
            .env("LD_PRELOAD", library())
            .env("FAULT_DIR", site.path("store"))
            .env("FAULT_NTH", fault.nth.to_string())
            .env("FAULT_ERRNO", fault.errno.to_string())
            .env("FAULT_HIT", site.path("run/hit"))
            .env("FAULT_TRACE", site.path("run/calls"));
        if fault.stays {
            command.env("FAULT_STAYS", "1");
        }
        command.stderr(site.log_file());
        let mut child = on_socket(command, socket);
        let reply = send(&mut Client::new(client));
        wait(&mut child);
        let log = site.read("run/log");
        Talk {
            site,
            mounted: place.disk.is_some(),
            reply,
            log,
        }
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    pub fn acknowledged(&self) -> bool {
        self.reply.starts_with("250")
    }

    /// The call that failed, if it came to that.
    pub fn hit(&self) -> Option<String> {
        let hits = self.site.read("run/hit");
        hits.lines().next().map(str::to_owned)
    }

    /// The names of all calls to the disk, in their order.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.site.read("run/calls");
        let names = calls.lines().filter_map(|line| line.split_once(' '));
        names.map(|(_, name)| name.to_owned()).collect()
    }

    pub fn shown(&self) -> String {
        format!(
            "{}\n{}\n{}",
            self.reply,
            self.log,
            self.site.read("run/calls")
        )
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if self.mounted {
            super::places::unmount(&self.site.path("store"));
        }
    }
}

/// The reply to the message; empty where the session ended before it.
fn send(client: &mut Client) -> String {
    let mut reply = client.reply();
    let envelope = RECIPIENTS.map(|to| format!("RCPT TO:<{to}>"));
    let before = ["HELO x".to_owned(), "MAIL FROM:<a@example.net>".to_owned()];
    for line in before
        .into_iter()
        .chain(envelope)
        .chain(["DATA".to_owned()])
    {
        if !reply.starts_with('2') {
            return reply;
        }
        reply = client.say(&line);
    }
    if !reply.starts_with('3') {
        return reply;
    }
    let body = "a line of some text\r\n".repeat(600);
    client.send_line(&format!(
        "Subject: x\r\nMessage-Id: <1@example.net>\r\n\r\n{body}{LAST_LINE}"
    ));
    let reply = client.say(".");
    client.say("QUIT");
    reply
}
