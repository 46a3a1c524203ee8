//! A connection to an HTTP server: its name looked up without blocking, TLS by the system's OpenSSL with
//! the system's certificates.

use std::net::IpAddr;
use std::pin::Pin;

use hyper::Uri;
use openssl::ssl::{SslConnector, SslMethod};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::shown;
use crate::base::PerProcess;
use crate::plugin::services::dns::Dns;

thread_local! {
    static TLS: PerProcess<SslConnector> = const { PerProcess::new() };
}

/// Where a server is.
#[derive(Debug)]
pub(super) struct Target {
    host: String,
    port: u16,
    uses_tls: bool,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Target {
    pub(super) fn of(uri: &Uri) -> Result<Target, String> {
        let (uses_tls, usual) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err("only http and https addresses are asked".to_owned()),
        };
        let host = uri.host().ok_or("the address has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Target {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(usual),
            uses_tls,
        })
    }

    /// What the header Host has.
    pub(super) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.uses_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    async fn addresses(&self) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = self.host.parse() {
            return Ok(vec![address]);
        }
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let known = in_hosts(&hosts, &self.host);
        if !known.is_empty() {
            return Ok(known);
        }
        let found = Dns(()).addresses(&self.host).await;
        let found = found.map_err(|failure| failure.to_string())?;
        match found.is_empty() {
            true => Err(format!("{} has no address", self.host)),
            false => Ok(found),
        }
    }
}

/// The addresses of a name in the machine's own table.
fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        let named = words.any(|word| word.eq_ignore_ascii_case(name));
        named.then_some(address)
    });
    lines.collect()
}

/// The first of the server's addresses that answers.
pub(super) async fn connect(place: &Target) -> Result<Pin<Box<dyn Stream>>, String> {
    let mut last = String::new();
    for address in place.addresses().await? {
        match TcpStream::connect((address, place.port)).await {
            Ok(stream) if place.uses_tls => return secure(place, stream).await,
            Ok(stream) => return Ok(Box::pin(stream)),
            Err(error) => {
                last = format!("cannot connect to {address}, port {}: {error}", place.port);
            }
        }
    }
    Err(last)
}

async fn secure(place: &Target, stream: TcpStream) -> Result<Pin<Box<dyn Stream>>, String> {
    let made = TLS.with(PerProcess::get);
    let connector = match made {
        Some(connector) => connector,
        None => {
            let builder = SslConnector::builder(SslMethod::tls_client()).map_err(shown)?;
            TLS.with(|own| own.set(builder.build()))
        }
    };
    let session = connector
        .configure()
        .and_then(|it| it.into_ssl(&place.host));
    let mut stream = SslStream::new(session.map_err(shown)?, stream).map_err(shown)?;
    let connected = Pin::new(&mut stream).connect().await;
    connected.map_err(|error| format!("TLS: {}", shown(error)))?;
    Ok(Box::pin(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Target {
        Target::of(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_usual_port_is_not_said_to_the_server() {
        assert_eq!(place("http://a.example/x").authority(), "a.example");
        assert_eq!(place("https://a.example:443").authority(), "a.example");
        assert_eq!(place("https://a.example:80").authority(), "a.example:80");
        assert_eq!(place("http://[::1]:8080/").authority(), "[::1]:8080");
        assert_eq!(place("http://[::1]/").host, "::1");
    }

    #[test]
    fn the_machine_s_own_table_comes_before_the_dns() {
        let hosts = "127.0.0.1 localhost # not other\n::1 ip6-localhost localhost\n";
        let found = in_hosts(hosts, "LOCALHOST");
        assert_eq!(found.len(), 2);
        assert!(in_hosts(hosts, "other").is_empty());
    }
}
