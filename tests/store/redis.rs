//! A Redis server of the test's own, on a port of this machine, that keeps nothing on disk.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use camelpost_support::{Client, free_port, stop, until};

pub const PASSWORD: &str = "se@cret";

pub struct Redis {
    child: Child,
    pub port: u16,
    dir: tempfile::TempDir,
}

impl Redis {
    pub fn start() -> Redis {
        Redis::start_on(free_port())
    }

    pub fn start_on(port: u16) -> Redis {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args([
                "--save",
                "",
                "--appendonly",
                "no",
                "--requirepass",
                PASSWORD,
            ])
            .arg("--dir")
            .arg(dir.path())
            .arg("--unixsocket")
            .arg(dir.path().join("socket"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("redis-server: {error}; packaging/install-deps test installs it")
        });
        until("redis-server", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Redis { child, port, dir }
    }

    /// What config `store` has.
    pub fn line(&self) -> String {
        line(self.port)
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("socket")
    }

    /// Asks the server as nobody else does.
    pub fn say(&self, command: &str) -> String {
        let mut client = Client::when_ready(self.port);
        client.send(format!("AUTH {PASSWORD}\r\n"));
        assert_eq!(client.line().trim_end(), "+OK");
        client.send(format!("{command}\r\n"));
        client.line().trim_end().to_owned()
    }

    pub fn stop(mut self) {
        stop(&mut self.child);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn line(port: u16) -> String {
    format!("redis://:se%40cret@127.0.0.1:{port}/3")
}

/// A server of nothing: it takes connections and never answers.
pub fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, line(port))
}

/// The name of a directory's store.
pub fn embedded(dir: &Path) -> String {
    format!("embedded {}", dir.display())
}
