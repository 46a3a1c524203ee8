//! For tests of native plugins: a session in this process, against the plugins, config values and DNS
//! zone that the test gives. What the plugins see and what the client hears is the server's own code;
//! there is no port, no other process and no Perl.
//!
//! ```
//! use camelpost::plugin::{HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, Zone};
//! use camelpost::plugin::{declined, deny};
//! use camelpost::testing::Site;
//!
//! /// `native/no_mx`: refuses recipients whose domain has no mail exchanger.
//! struct NoMx;
//!
//! impl Plugin for NoMx {
//!     const NAME: &'static str = "no_mx";
//!     type Args = ();
//!
//!     fn load((): (), _: &LoadEnv<'_>) -> Result<NoMx, PluginError> {
//!         Ok(NoMx)
//!     }
//!
//!     fn hooks(hooks: &mut Hooks<NoMx>) {
//!         hooks.rcpt(NoMx::rcpt);
//!     }
//! }
//!
//! impl NoMx {
//!     async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
//!         let recipient = cx.recipient();
//!         let domain = String::from_utf8_lossy(recipient.host().unwrap_or_default()).into_owned();
//!         match cx.dns().mx(&domain).await?.is_empty() {
//!             true => deny("nobody takes mail there"),
//!             false => declined(),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), String> {
//! let site = Site::new()
//!     .plugin::<NoMx>("")
//!     .taking_messages()
//!     .dns(Zone::new().mx("good.example", 10, "mx.good.example"));
//! let mut client = site.connect()?;
//! client.greet("client.example");
//! assert_eq!(client.say("MAIL FROM:<a@b.example>").code(), 250);
//! assert_eq!(client.say("RCPT TO:<x@bad.example>").code(), 550);
//! assert_eq!(client.say("RCPT TO:<x@good.example>").code(), 250);
//! assert_eq!(client.send_message("Subject: hello\n\nbody\n").code(), 250);
//! let ended = client.quit();
//! assert_eq!(ended.messages[0].recipients, ["<x@good.example>"]);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod client;
mod taker;

use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use tempfile::TempDir;

pub use client::{Client, Ended, Reply, Taken};

use crate::mail::{Connection, UNKNOWN};
use crate::net::{converse, load};
use crate::plugin::{Plugin, Registry, Zone};
use crate::session::Neighbours;

/// A configuration of native plugins, and the client that is to come.
pub struct Site {
    registry: Registry,
    plugins: String,
    logging: String,
    config: Vec<(String, String)>,
    zone: Zone,
    client: From,
}

/// Where the client comes from.
#[derive(Clone)]
struct From {
    ip: IpAddr,
    host: String,
    others: Vec<IpAddr>,
}

impl Default for Site {
    fn default() -> Site {
        Site::new()
    }
}

impl Site {
    /// The server is `mx.example.org`, the client 192.0.2.1 without a name, and there are no plugins and
    /// no DNS.
    pub fn new() -> Site {
        let mut registry = Registry::default();
        crate::plugins::register(&mut registry);
        registry.add::<taker::Taker>();
        Site {
            registry,
            plugins: String::new(),
            logging: String::new(),
            config: vec![
                ("me".to_owned(), "mx.example.org\n".to_owned()),
                ("loglevel".to_owned(), "7\n".to_owned()),
            ],
            zone: Zone::new(),
            client: From {
                ip: [192, 0, 2, 1].into(),
                host: String::from_utf8_lossy(UNKNOWN).into_owned(),
                others: Vec::new(),
            },
        }
    }

    /// The next line of config/plugins: this plugin with these arguments.
    pub fn plugin<P: Plugin>(mut self, args: &str) -> Site {
        self.registry.add::<P>();
        let line = format!("native/{} {args}\n", P::NAME);
        self.plugins.push_str(&line);
        self
    }

    /// A line of config/logging.
    pub fn logger<P: Plugin>(mut self, args: &str) -> Site {
        self.registry.add::<P>();
        let line = format!("native/{} {args}\n", P::NAME);
        self.logging.push_str(&line);
        self
    }

    /// Another line of config/plugins as it stands, of a plugin that is known: `native/NAME:2 ARGS`.
    pub fn line(mut self, line: &str) -> Site {
        self.plugins.push_str(line);
        self.plugins.push('\n');
        self
    }

    /// Behind the plugins so far, one that lets every recipient pass and takes the messages: they are in
    /// [`Ended::messages`].
    pub fn taking_messages(self) -> Site {
        self.line("native/testing_taker")
    }

    /// A config file with this text.
    pub fn config(mut self, name: &str, text: &str) -> Site {
        self.config.push((name.to_owned(), text.to_owned()));
        self
    }

    /// What the DNS knows; nothing else exists.
    pub fn dns(mut self, zone: Zone) -> Site {
        self.zone = zone;
        self
    }

    /// The client's address and its name.
    pub fn client(mut self, ip: IpAddr, host: &str) -> Site {
        self.client.ip = ip;
        host.clone_into(&mut self.client.host);
        self
    }

    /// The addresses of the clients that are being served, as pre-connection sees them.
    pub fn others(mut self, ips: &[IpAddr]) -> Site {
        self.client.others = ips.to_vec();
        self
    }

    /// Loads the plugins and connects a client. The error is what an administrator would read.
    pub fn connect(&self) -> Result<Client, String> {
        let dir = self.write().map_err(|error| error.to_string())?;
        let (ours, theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        let (registry, zone, from) = (
            self.registry.clone(),
            self.zone.clone(),
            self.client.clone(),
        );
        let (loaded, load) = mpsc::channel();
        let session = thread::Builder::new().name("session".to_owned());
        let session = session.spawn(move || serve(dir, &registry, zone, &from, theirs, &loaded));
        let session = session.map_err(|error| error.to_string())?;
        match load.recv() {
            Ok(Ok(())) => Ok(Client::new(ours, session)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err("a plugin has panicked while it was loaded".to_owned()),
        }
    }

    fn write(&self) -> std::io::Result<TempDir> {
        let dir = tempfile::tempdir()?;
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text);
        let spool = dir.path().join("spool");
        std::fs::create_dir(&spool)?;
        put("spool_dir", &format!("{}\n", spool.display()))?;
        put("plugins", &self.plugins)?;
        put("logging", &self.logging)?;
        for (name, text) in &self.config {
            put(name, text)?;
        }
        Ok(dir)
    }
}

/// The session's thread.
fn serve(
    dir: TempDir,
    registry: &Registry,
    zone: Zone,
    from: &From,
    socket: UnixStream,
    loaded: &mpsc::Sender<Result<(), String>>,
) -> Ended {
    crate::plugin::use_zone(Some(zone));
    crate::log::keep_lines();
    let mut ended = Ended::default();
    match load(Some(dir.path().to_path_buf()), registry) {
        Err(error) => {
            let _ = loaded.send(Err(shortened(&error, dir.path())));
        }
        Ok(site) => {
            let _ = loaded.send(Ok(()));
            let neighbours = Neighbours {
                max_conn_ip: 5,
                child_addrs: from.others.iter().map(packed).collect(),
            };
            let end = |connection: &Connection| ended.see(connection);
            let served = converse(&site, socket.into(), connection(from), neighbours, end);
            if let Err(error) = served {
                crate::log::write_line(crate::log::LOGERROR, error.to_string().into_bytes());
            }
        }
    }
    ended.messages = taker::take();
    ended.log = crate::log::take_lines();
    ended
}

/// Without the directory, which is another one each time.
fn shortened(error: &str, dir: &Path) -> String {
    error.replace(&format!("{}/", dir.display()), "")
}

fn connection(from: &From) -> Connection {
    let connection = Connection::default();
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    connection.remote_ip.replace(bytes(&from.ip.to_string()));
    connection.remote_host.replace(bytes(&from.host));
    connection.remote_info.replace(bytes(&from.host));
    connection.remote_port.set(Some(40_000));
    connection.local_ip.replace(bytes("192.0.2.25"));
    connection.local_port.set(Some(25));
    connection
}

fn packed(ip: &IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests;
