//! The HTTP of the metrics endpoint: the head of a request, and the head of a response. Every
//! connection carries one request; a body is not read.

#![forbid(unsafe_code)]

/// Scrapers send a few hundred bytes.
pub(super) const MAX_HEAD: usize = 8 * 1024;

pub(super) const UNAVAILABLE: &str = "503 Service Unavailable";
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// A request that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Get,
    /// The same without the text.
    Head,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Metrics,
    /// Whether mail is taken.
    Health,
}

/// A request that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    status: &'static str,
    header: &'static str,
}

impl Refusal {
    const MALFORMED: Refusal = Refusal::new("400 Bad Request", "");
    const NOT_HERE: Refusal = Refusal::new("404 Not Found", "");
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

pub(super) fn parse(head: &[u8]) -> Result<(Request, Page), Refusal> {
    if !is_whole(head) {
        return Err(Refusal::MALFORMED);
    }
    let end = memchr::memchr(b'\n', head).unwrap_or(head.len());
    let line = std::str::from_utf8(&head[..end]).map_err(|_| Refusal::MALFORMED)?;
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
    let path = target.split('?').next().unwrap_or_default();
    let page = match path {
        "/metrics" => Page::Metrics,
        "/healthz" => Page::Health,
        _ => return Err(Refusal::NOT_HERE),
    };
    match method {
        "GET" => Ok((Request::Get, page)),
        "HEAD" => Ok((Request::Head, page)),
        _ => Err(Refusal::OTHER_METHOD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_and_curl_send_is_taken() {
        for (head, request) in [
            (
                "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                (Request::Get, Page::Metrics),
            ),
            (
                "GET /metrics?a=b HTTP/1.0\r\n\r\n",
                (Request::Get, Page::Metrics),
            ),
            ("HEAD /metrics HTTP/1.1\n\n", (Request::Head, Page::Metrics)),
            (
                "GET /healthz HTTP/1.1\r\n\r\n",
                (Request::Get, Page::Health),
            ),
        ] {
            assert_eq!(parse(head.as_bytes()), Ok(request), "{head}");
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
            ("GET / HTTP/1.1\r\n\r\n", Refusal::NOT_HERE),
            ("GET /metrics/x HTTP/1.1\r\n\r\n", Refusal::NOT_HERE),
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
    fn a_refusal_is_a_whole_response() {
        let text = String::from_utf8(Refusal::OTHER_METHOD.response()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
