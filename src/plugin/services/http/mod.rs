//! HTTP for native plugins: one GET or POST to an http or https address, one answer. No redirects, no
//! cookies, no kept connections; the whole answer is in memory, up to a limit.

mod connect;

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;

use crate::plugin::failure::Failure;

/// How long an answer may take where the plugin says nothing else.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may be where the plugin says nothing else.
const LIMIT: usize = 1 << 20;

/// Questions to HTTP servers.
#[derive(Debug)]
pub struct Http(pub(in crate::plugin) ());

impl Http {
    /// GET of an address.
    pub fn get(&self, url: &str) -> HttpRequest {
        HttpRequest::new(Method::GET, url, Vec::new())
    }

    /// POST of a body to an address. What it is, a header says: `header("content-type", ...)`.
    pub fn post(&self, url: &str, body: impl Into<Vec<u8>>) -> HttpRequest {
        HttpRequest::new(Method::POST, url, body.into())
    }
}

/// A question that is not sent yet.
#[derive(Debug)]
pub struct HttpRequest {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Duration,
    limit: usize,
}

/// An answer, whatever its status says.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// 200 and its like.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of a header; the name in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &value[..])
    }

    /// The body as a text; what is no UTF-8 in it is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl HttpRequest {
    fn new(method: Method, url: &str, body: Vec<u8>) -> HttpRequest {
        HttpRequest {
            method,
            url: url.to_owned(),
            headers: Vec::new(),
            body,
            timeout: TIMEOUT,
            limit: LIMIT,
        }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> HttpRequest {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The answer may take so long: 10 s otherwise. A hook's own limit holds besides.
    pub fn timeout(mut self, timeout: Duration) -> HttpRequest {
        self.timeout = timeout;
        self
    }

    /// The answer may have so many bytes: 1 MiB otherwise.
    pub fn limit(mut self, bytes: usize) -> HttpRequest {
        self.limit = bytes;
        self
    }

    /// Asks. An answer with a status of failure is an answer.
    pub async fn send(self) -> Result<HttpResponse, Failure> {
        let (url, timeout) = (self.url.clone(), self.timeout);
        let failed = |reason: String| Failure::new(format!("HTTP: {url}: {reason}"));
        match tokio::time::timeout(timeout, self.ask()).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => {
                let seconds = timeout.as_secs_f32();
                Err(failed(format!("no answer after {seconds} s")))
            }
        }
    }

    async fn ask(self) -> Result<HttpResponse, String> {
        let uri: Uri = self.url.parse().map_err(shown)?;
        let place = connect::Target::of(&uri)?;
        let request = self.request(&uri, &place)?;
        let stream = connect::connect(&place).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(shown)?;
        // Both in this task: nothing is left running when the hook is given up.
        let answered = async {
            let answer = sender.send_request(request).await.map_err(shown)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, self.limit).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes().to_vec();
            let header = |(name, value): (&HeaderName, &HeaderValue)| {
                (name.as_str().to_owned(), value.as_bytes().to_vec())
            };
            Ok::<_, String>(HttpResponse {
                status: head.status.as_u16(),
                headers: head.headers.iter().map(header).collect(),
                body,
            })
        };
        let mut answered = std::pin::pin!(answered);
        tokio::select! {
            biased;
            answer = &mut answered => answer,
            ended = connection => match ended {
                // The last of the answer may be on its way to who waits for it.
                Ok(()) => answered.await,
                Err(error) => Err(shown(error)),
            },
        }
    }

    fn request(&self, uri: &Uri, place: &connect::Target) -> Result<Request<Full<Bytes>>, String> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let agent = concat!("camelpost/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(if path.is_empty() { "/" } else { path })
            .header(HOST, place.authority())
            .header(USER_AGENT, agent);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(self.body.clone()));
        request.body(body).map_err(shown)
    }
}

fn shown(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn now<T>(asked: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(asked)
    }

    /// A server that gives each of these answers to one client, and what the clients have said.
    fn server(answers: &[&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.to_vec();
        let serving = std::thread::spawn(move || {
            let mut said = Vec::new();
            for answer in answers {
                let (mut client, _) = listener.accept().unwrap();
                let mut bytes = [0; 4096];
                let got = client.read(&mut bytes).unwrap();
                said.push(String::from_utf8_lossy(&bytes[..got]).into_owned());
                client.write_all(answer.as_bytes()).unwrap();
            }
            said
        });
        (url, serving)
    }

    #[test]
    fn an_answer_comes_with_status_headers_and_body() {
        let answer = "HTTP/1.1 404 Not Found\r\nX-Why: none\r\nContent-Length: 4\r\n\r\ngone";
        let (url, serving) = server(&[answer, "HTTP/1.0 200 OK\r\n\r\nto the end"]);
        let http = Http(());
        let asked = http.get(&format!("{url}/a?b=c")).header("x-key", "value");
        let answer = now(asked.send()).unwrap();
        assert_eq!((answer.status, answer.is_success()), (404, false));
        assert_eq!(answer.header("x-why"), Some(&b"none"[..]));
        assert_eq!(answer.text(), "gone");
        let answer = now(http.post(&url, "body").send()).unwrap();
        assert_eq!((answer.status, &answer.text()[..]), (200, "to the end"));
        let said = serving.join().unwrap();
        assert!(said[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{said:?}");
        assert!(said[0].contains("x-key: value\r\n"), "{said:?}");
        assert!(said[1].starts_with("POST / HTTP/1.1\r\n"), "{said:?}");
        assert!(said[1].contains("content-length: 4\r\n"), "{said:?}");
    }

    #[test]
    fn what_goes_wrong_names_the_address_and_the_reason() {
        let told = |asked: HttpRequest| now(asked.send()).unwrap_err().to_string();
        let http = Http(());
        let ftp = told(http.get("ftp://a.example/"));
        assert_eq!(
            ftp,
            "HTTP: ftp://a.example/: only http and https addresses are asked"
        );
        let long = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong";
        let (url, serving) = server(&[long]);
        let limited = told(http.get(&url).limit(3));
        assert!(limited.ends_with("length limit exceeded"), "{limited}");
        serving.join().unwrap();
        // Nobody listens there any more.
        let refused = told(http.get(&url));
        assert!(refused.contains("cannot connect to 127.0.0.1"), "{refused}");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let late = told(http.get(&url).timeout(Duration::from_millis(50)));
        assert!(late.ends_with("no answer after 0.05 s"), "{late}");
    }
}
