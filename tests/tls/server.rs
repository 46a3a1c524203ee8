//! A daemon that offers TLS, by native/tls or by the package's plugin.

use std::path::Path;
use std::process::Command;

use camelpost_support::process::as_root;
use camelpost_support::{Client as Plain, Site, free_port};

const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// Who has the TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Native,
    Perl,
}

pub const BOTH: [Way; 2] = [Way::Native, Way::Perl];

pub struct Server {
    pub daemon: camelpost_support::Daemon,
    pub port: u16,
    pub site: Site,
}

/// The line of config/plugins.
pub const TLS: &str = "tls @ROOT@/cert.pem @ROOT@/key.pem @ROOT@/cert.pem\n";

/// A site whose config/plugins begins with `tls` and goes on with `lines`.
pub fn site(way: Way, lines: &str) -> Site {
    let site = Site::empty();
    site.config("plugins", format!("{TLS}{lines}"))
        .config(
            "plugin_dirs",
            "@ROOT@/plugins\n/usr/share/qpsmtpd/plugins\n",
        )
        .config("rcpthosts", "example.com\n")
        .config("me", "mx.example\n")
        .config("loglevel", "7\n")
        .config("spool_dir", "@ROOT@/spool\n");
    if way == Way::Perl {
        site.config("plugin_settings", "tls perl\n");
    }
    certificate(&site, "cert", "key", "mx.example");
    site
}

/// A new certificate with its key.
pub fn certificate(site: &Site, certificate: &str, key: &str, name: &str) {
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", &format!("/CN={name}")])
        .arg("-keyout")
        .arg(site.path(&format!("{key}.pem")))
        .arg("-out")
        .arg(site.path(&format!("{certificate}.pem")))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

pub fn command(root: &Path, port: u16, options: &[&str]) -> Command {
    let mut command = Command::new(CAMELPOST);
    command.args(["serve", "--no-rdns", "--listen-address", "127.0.0.1"]);
    command
        .args(["--port", &port.to_string(), "--config"])
        .arg(root.join("config"))
        .args(options)
        .current_dir(root);
    as_root(&mut command);
    command
}

impl Server {
    pub fn start(site: Site, options: &[&str]) -> Server {
        let port = free_port();
        let daemon = camelpost_support::Daemon::spawn(command(site.root(), port, options));
        assert!(Plain::when_ready(port).reply().starts_with("220 "));
        Server { daemon, port, site }
    }

    /// With `tls` and these lines.
    pub fn new(way: Way, lines: &str) -> Server {
        Server::start(site(way, lines), &[])
    }
}
