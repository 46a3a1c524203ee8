//! HTTP as the daemon speaks it: the head of a request, and the head of a response. Every
//! connection carries one request; a body is not read.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

/// Clients send a few hundred bytes.
pub(super) const MAX_HEAD: usize = 8 * 1024;

pub(in crate::server) const UNAVAILABLE: &str = "503 Service Unavailable";
pub(in crate::server) const PLAIN: &str = "text/plain; charset=utf-8";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Head {
    /// HEAD, not GET: the same without the text.
    pub(in crate::server) is_head: bool,
    /// Without what follows a `?`.
    pub(in crate::server) path: String,
    /// By which name the client knows this server, where it says so.
    pub(in crate::server) host: Option<String>,
}

impl Head {
    /// Whether the client knows this machine by its address, or as `localhost`: no other name can be sure to be its.
    pub(super) fn is_for_this_machine(&self) -> bool {
        let Some(host) = &self.host else {
            return true;
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let in_brackets = name.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<Ipv4Addr>().is_ok()
            || in_brackets.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
    }
}

/// A request that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Refusal {
    status: &'static str,
    header: &'static str,
}

impl Refusal {
    /// By this name it is nobody's server.
    pub(in crate::server) const MISDIRECTED: Refusal = Refusal::new("421 Misdirected Request", "");
    const MALFORMED: Refusal = Refusal::new("400 Bad Request", "");
    pub(in crate::server) const NOT_HERE: Refusal = Refusal::new("404 Not Found", "");
    const OTHER_METHOD: Refusal = Refusal::new("405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    pub(super) const TOO_SLOW: Refusal = Refusal::new("408 Request Timeout", "");
    pub(super) const TOO_LONG: Refusal = Refusal::new("431 Request Header Fields Too Large", "");
    pub(super) const STOPPING: Refusal = Refusal::new(UNAVAILABLE, "");
    const OTHER_VERSION: Refusal = Refusal::new("505 HTTP Version Not Supported", "");

    const fn new(status: &'static str, header: &'static str) -> Refusal {
        Refusal { status, header }
    }

    pub(super) fn response(self) -> Vec<u8> {
        let text = format!("{}\n", self.status);
        let head = head(self.status, PLAIN, text.len(), self.header);
        (head + &text).into_bytes()
    }
}

pub(super) fn head(status: &str, content_type: &str, length: usize, header: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\n{header}Connection: close\r\n\r\n"
    )
}

/// Whether the empty line has come.
pub(super) fn is_whole(head: &[u8]) -> bool {
    memchr::memmem::find(head, b"\r\n\r\n").is_some()
        || memchr::memmem::find(head, b"\n\n").is_some()
}

pub(super) fn parse(head: &[u8]) -> Result<Head, Refusal> {
    if !is_whole(head) {
        return Err(Refusal::MALFORMED);
    }
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Refusal::MALFORMED)?;
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::MALFORMED);
    };
    match version {
        "HTTP/1.1" | "HTTP/1.0" => {}
        other if other.starts_with("HTTP/") => return Err(Refusal::OTHER_VERSION),
        _ => return Err(Refusal::MALFORMED),
    }
    let is_head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Refusal::OTHER_METHOD),
    };
    let host = lines.find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("host");
        is_it.then(|| value.trim().to_owned())
    });
    Ok(Head {
        is_head,
        path: target.split('?').next().unwrap_or_default().to_owned(),
        host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(is_head: bool, path: &str, host: Option<&str>) -> Head {
        Head {
            is_head,
            path: path.to_owned(),
            host: host.map(str::to_owned),
        }
    }

    #[test]
    fn what_prometheus_curl_and_browsers_send_is_taken() {
        for (head, expected) in [
            (
                "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                asked(false, "/metrics", Some("x")),
            ),
            (
                "GET /metrics?a=b HTTP/1.0\r\n\r\n",
                asked(false, "/metrics", None),
            ),
            ("HEAD /metrics HTTP/1.1\n\n", asked(true, "/metrics", None)),
            (
                "GET / HTTP/1.1\r\nAccept: */*\r\nhOST:127.0.0.1:8025 \r\n\r\n",
                asked(false, "/", Some("127.0.0.1:8025")),
            ),
        ] {
            assert_eq!(parse(head.as_bytes()), Ok(expected), "{head}");
        }
    }

    #[test]
    fn anything_else_is_refused_for_what_it_is() {
        for (head, refusal) in [
            ("", Refusal::MALFORMED),
            ("GET /metrics HTTP/1.1\r\n", Refusal::MALFORMED),
            ("GET /metrics\r\n\r\n", Refusal::MALFORMED),
            ("GET  /metrics HTTP/1.1\r\n\r\n", Refusal::MALFORMED),
            ("EHLO there now\r\n\r\n", Refusal::MALFORMED),
            ("POST /metrics HTTP/1.1\r\n\r\n", Refusal::OTHER_METHOD),
            ("PRI * HTTP/2.0\r\n\r\n", Refusal::OTHER_VERSION),
        ] {
            assert_eq!(parse(head.as_bytes()), Err(refusal), "{head}");
        }
        assert_eq!(
            parse(b"GET /\xff HTTP/1.1\r\n\r\n"),
            Err(Refusal::MALFORMED)
        );
    }

    #[test]
    fn a_name_that_anybody_can_have_is_not_this_machines() {
        for host in [
            "127.0.0.1:8025",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8025",
            "[::1]",
        ] {
            assert!(
                asked(false, "/", Some(host)).is_for_this_machine(),
                "{host}"
            );
        }
        for host in [
            "evil.example:8025",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "::1:x",
        ] {
            assert!(
                !asked(false, "/", Some(host)).is_for_this_machine(),
                "{host}"
            );
        }
        assert!(asked(false, "/", None).is_for_this_machine());
    }

    #[test]
    fn a_refusal_is_a_whole_response() {
        let text = String::from_utf8(Refusal::OTHER_METHOD.response()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
