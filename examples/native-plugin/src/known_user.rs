//! `native/known_user url URL [timeout TIME]`: asks an HTTP server about each recipient, and refuses
//! those that it does not know.
//!
//! The question is GET URL/ADDRESS. 200 is a user: the first line of the answer is the transaction note
//! `user_class`, for plugins behind this one, be they Rust or Perl. 404 is nobody. Whatever else comes, or nothing
//! within `timeout` (5 seconds), is a failure of the plugin: `on_error` in plugin_settings says what it means.
//! It accepts nobody: that is for a plugin behind it (rcpt_ok).

use std::time::Duration;

use camelpost::plugin::{
    Failure, HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, declined, deny,
};
use serde::Deserialize;

/// The arguments of the line in config/plugins. A name that is not here ends the start, with the line's number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    url: String,
    /// `5`, `1m`, `500ms`.
    #[serde(default = "five_seconds")]
    timeout: Duration,
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

/// The plugin; one is made for its line, before workers are forked.
pub struct KnownUser {
    url: String,
    timeout: Duration,
}

impl Plugin for KnownUser {
    const NAME: &'static str = "known_user";

    type Args = Args;

    fn load(args: Args, _: &LoadEnv<'_>) -> Result<KnownUser, PluginError> {
        if !args.url.starts_with("http://") {
            return Err(PluginError::argument("url", "takes an http:// address"));
        }
        Ok(KnownUser {
            url: args.url.trim_end_matches('/').to_owned(),
            timeout: args.timeout,
        })
    }

    fn hooks(hooks: &mut Hooks<KnownUser>) {
        hooks.rcpt(KnownUser::rcpt);
    }
}

impl KnownUser {
    async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        let address = cx.recipient().address();
        // Other sessions of this worker go on while this one waits.
        let question = format!("{}/{}", self.url, in_path(&address));
        let answer = cx.http().get(&question).timeout(self.timeout);
        let answer = answer.send().await?;
        match answer.status {
            200 => {
                let text = answer.text();
                let class = text.lines().next().unwrap_or_default();
                cx.envelope().notes().set("user_class", class);
                declined()
            }
            404 => deny("no such user here"),
            other => Err(Failure::new(format!("{question}: status {other}"))),
        }
    }
}

/// An address as a part of a path: what is no letter, digit or `-._@` in per cents (RFC 3986 section 2.1).
fn in_path(address: &[u8]) -> String {
    let mut path = String::new();
    for byte in address {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'@' => {
                path.push(char::from(*byte));
            }
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use camelpost::testing::Site;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// An HTTP server that answers one question, and tells what it was.
    fn answers(answer: &'static str) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/users", listener.local_addr().unwrap());
        let (told, asked) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
            stream.write_all(answer.as_bytes()).unwrap();
            told.send(first).unwrap();
        });
        (url, asked)
    }

    /// The code of the reply to RCPT where the server answers so, and the question.
    fn rcpt(answer: &'static str, recipient: &str) -> (u16, String) {
        let (url, asked) = answers(answer);
        let site = Site::new()
            .plugin::<KnownUser>(&format!("url {url}"))
            .taking_messages();
        let mut client = site.connect().unwrap();
        client.greet("client.example");
        client.say("MAIL FROM:<a@example.net>");
        let code = client.say(&format!("RCPT TO:<{recipient}>")).code();
        let asked = asked.recv_timeout(Duration::from_secs(10));
        (code, asked.expect("the plugin asks nothing"))
    }

    #[test]
    fn who_is_known_passes() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nlocal\n";
        let (code, asked) = rcpt(answer, "bob@example.org");
        assert_eq!(code, 250);
        assert_eq!(asked, "GET /users/bob@example.org HTTP/1.1");
    }

    #[test]
    fn who_is_not_is_refused() {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(rcpt(answer, "nobody@example.org").0, 550);
    }

    #[test]
    fn an_address_cannot_ask_for_another_path() {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        let (_, asked) = rcpt(answer, "\"/../x?y=1\"@example.org");
        assert_eq!(asked, "GET /users/%2F..%2Fx%3Fy%3D1@example.org HTTP/1.1");
    }

    #[test]
    fn a_server_in_trouble_refuses_nobody_for_good() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(rcpt(answer, "bob@example.org").0, 250);
    }

    #[test]
    fn a_line_without_a_url_is_told_of() {
        let site = Site::new().plugin::<KnownUser>("timeout 3");
        let told = site.connect().err().unwrap().to_string();
        assert!(told.contains("url"), "{told}");
    }
}
