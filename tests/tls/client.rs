//! An SMTP client that can begin with TLS.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use openssl::ssl::{
    ShutdownState, Ssl, SslContext, SslContextBuilder, SslMethod, SslRef, SslStream, SslVersion,
};

/// What does not come within this time never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A context that takes any certificate and speaks whatever openssl can.
pub fn context() -> SslContextBuilder {
    let mut context = SslContext::builder(SslMethod::tls_client()).unwrap();
    context.set_security_level(0);
    context
        .set_min_proto_version(Some(SslVersion::TLS1))
        .unwrap();
    context
}

pub fn ssl() -> Ssl {
    Ssl::new(&context().build()).unwrap()
}

enum Stream {
    Clear(TcpStream),
    Secured(SslStream<TcpStream>),
}

pub struct Client {
    stream: Stream,
}

impl Client {
    /// Connects, and does not wait for the greeting.
    pub fn silent(port: u16) -> Client {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream: Stream::Clear(stream),
        }
    }

    /// Connects and hears the greeting.
    pub fn new(port: u16) -> Client {
        let mut client = Client::silent(port);
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// A client whose STARTTLS was answered.
    pub fn before_handshake(port: u16) -> Client {
        let mut client = Client::new(port);
        assert!(client.say("EHLO client.example").contains("STARTTLS"));
        assert_eq!(client.say("STARTTLS"), "220 Go ahead with TLS");
        client
    }

    /// A client within TLS.
    pub fn secured(port: u16) -> Client {
        Client::before_handshake(port).shake_hands(ssl()).unwrap()
    }

    /// The handshake; an error says in which way it failed.
    pub fn shake_hands(self, ssl: Ssl) -> Result<Client, String> {
        let Stream::Clear(socket) = self.stream else {
            panic!("it has TLS already");
        };
        let mut stream = SslStream::new(ssl, socket).unwrap();
        match stream.connect() {
            Ok(()) => Ok(Client {
                stream: Stream::Secured(stream),
            }),
            Err(error) => Err(match error.ssl_error() {
                Some(stack) => {
                    let reasons = stack.errors().iter().filter_map(|error| error.reason());
                    reasons.collect::<Vec<_>>().join(", ")
                }
                None => "closed".to_owned(),
            }),
        }
    }

    pub fn ssl(&self) -> &SslRef {
        match &self.stream {
            Stream::Secured(stream) => stream.ssl(),
            Stream::Clear(_) => panic!("it has no TLS"),
        }
    }

    /// Whether the server has ended TLS, and not only the connection.
    pub fn was_told_of_the_end(&mut self) -> bool {
        match &mut self.stream {
            Stream::Secured(stream) => stream.get_shutdown().contains(ShutdownState::RECEIVED),
            Stream::Clear(_) => false,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.read(buffer),
            Stream::Secured(stream) => stream.read(buffer),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(bytes.as_ref()),
            Stream::Secured(stream) => stream.write_all(bytes.as_ref()),
        }
        .unwrap();
    }

    /// The next line without its end; empty at the end of the connection.
    pub fn line(&mut self) -> String {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while line.last() != Some(&b'\n') {
            match self.read(&mut byte) {
                Ok(1..) => line.push(byte[0]),
                Ok(0) => break,
                Err(error)
                    if line.is_empty() && error.kind() == std::io::ErrorKind::ConnectionReset =>
                {
                    break;
                }
                Err(error) => panic!("after {:?}: {error}", String::from_utf8_lossy(&line)),
            }
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// The next reply, its lines joined by line feeds; empty at the end of the connection.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let line = self.line();
            reply += &line;
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
            reply.push('\n');
        }
    }

    pub fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.reply()
    }

    /// What comes up to the end of the connection, as it is.
    pub fn rest(&mut self) -> Vec<u8> {
        let (mut all, mut block) = (Vec::new(), [0; 4096]);
        while let Ok(got @ 1..) = self.read(&mut block) {
            all.extend_from_slice(&block[..got]);
        }
        all
    }

    /// Sends nothing more.
    pub fn close_own_side(&mut self) {
        if let Stream::Clear(stream) = &self.stream {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }

    /// One message; gives the reply to its end.
    pub fn message(&mut self, text: &str) -> String {
        for (line, code) in [
            ("MAIL FROM:<a@example.net>", "250"),
            ("RCPT TO:<b@example.com>", "250"),
            ("DATA", "354"),
        ] {
            let reply = self.say(line);
            assert!(reply.starts_with(code), "{line}: {reply}");
        }
        self.send(text);
        self.say("\r\n.")
    }
}

/// What `openssl s_client` says of its connection, in lines that say nothing of chance.
pub fn s_client(port: u16, options: &[&str], input: &str, told: &[&str]) -> Vec<String> {
    let mut child = Command::new("timeout")
        .args(["20", "openssl", "s_client", "-starttls", "smtp"])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in input.split_inclusive('\n') {
        // It takes what comes together for one line.
        std::thread::sleep(Duration::from_millis(300));
        let _ = std::io::Write::write_all(&mut stdin, line.as_bytes());
    }
    std::thread::sleep(Duration::from_millis(300));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    let all = String::from_utf8_lossy(&all).into_owned();
    let wanted = |line: &&str| told.iter().any(|told| line.contains(told));
    all.lines()
        .map(str::trim)
        .filter(wanted)
        .map(str::to_owned)
        .collect()
}
