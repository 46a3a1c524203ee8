//! The bench's SMTP client: a plain one that waits for each reply, with TLS where it is asked for. It speaks
//! only what the bench needs, and takes any unexpected reply for a failure.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};

use crate::Result;
use crate::site::{RECIPIENT, SENDER};

/// Ample for 10 MiB on a busy machine, and short enough to end a hang.
const TIMEOUT: Duration = Duration::from_secs(120);

const LINE_LENGTH: usize = 76;

pub struct Client {
    stream: BufReader<Stream>,
}

enum Stream {
    Clear(TcpStream),
    Secured(SslStream<TcpStream>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Secured(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Secured(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Secured(stream) => stream.flush(),
        }
    }
}

/// What clients with TLS have in common. Each makes a whole handshake, as mail servers that come once do.
pub fn tls() -> Result<SslContext> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_verify(SslVerifyMode::NONE);
    Ok(context.build())
}

impl Client {
    /// Connects and gets as far as EHLO.
    pub fn connect(port: u16) -> Result<Self> {
        let mut client = Self::open(port)?;
        client.expect("the greeting", b"2")?;
        client.command("EHLO client.example", b"2")?;
        Ok(client)
    }

    /// The same, with STARTTLS and another EHLO behind it.
    pub fn secured(port: u16, tls: &SslContext) -> Result<Self> {
        let mut client = Self::connect(port)?;
        client.command("STARTTLS", b"2")?;
        let Stream::Clear(stream) = client.stream.into_inner() else {
            return Err("TLS within TLS".into());
        };
        let mut stream = SslStream::new(Ssl::new(tls)?, stream)?;
        stream.connect()?;
        let mut client = Self {
            stream: BufReader::new(Stream::Secured(stream)),
        };
        client.command("EHLO client.example", b"2")?;
        Ok(client)
    }

    /// A recipient whom the server refuses, in a transaction that ends with it.
    pub fn be_refused_a_recipient(&mut self) -> Result<()> {
        self.command(&format!("MAIL FROM:<{SENDER}>"), b"2")?;
        self.command("RCPT TO:<user@elsewhere.example>", b"5")?;
        self.command("RSET", b"2")
    }

    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(Stream::Clear(stream)),
        })
    }

    pub fn send_message(&mut self, message: &[u8]) -> Result<()> {
        self.command(&format!("MAIL FROM:<{SENDER}>"), b"2")?;
        self.command(&format!("RCPT TO:<{RECIPIENT}>"), b"2")?;
        self.command("DATA", b"3")?;
        self.stream.get_mut().write_all(message)?;
        self.expect("the end of DATA", b"2")
    }

    pub fn quit(mut self) -> Result<()> {
        self.command("QUIT", b"2")?;
        self.drain()
    }

    /// Connects where it is refused, and reads to the end.
    pub fn be_refused(port: u16) -> Result<()> {
        let mut client = Self::open(port)?;
        // prefork says 451 where forkserver says 550.
        client.expect("a refused connection", b"45")?;
        client.drain()
    }

    /// Waits for the server's close, so that its work for this client is known
    /// to be done, or nearly so.
    fn drain(&mut self) -> Result<()> {
        let mut rest = Vec::new();
        // Some end TLS without a word before they close.
        match self.stream.read_to_end(&mut rest) {
            Err(error) if matches!(self.stream.get_ref(), Stream::Clear(_)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn command(&mut self, line: &str, wanted: &[u8]) -> Result<()> {
        self.stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())?;
        self.expect(line, wanted)
    }

    /// Reads a reply, which has to begin with one of the wanted digits.
    fn expect(&mut self, what: &str, wanted: &[u8]) -> Result<()> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(format!("closed without a reply to {what}").into());
            }
            let bytes = line.as_bytes();
            if !bytes.first().is_some_and(|class| wanted.contains(class)) {
                return Err(format!("reply to {what}: {}", line.trim_end()).into());
            }
            if bytes.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

/// A message of about this size in bytes, with the dot that ends it.
pub fn message(size: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Sender <{SENDER}>\r\nTo: <{RECIPIENT}>\r\nSubject: A message of the bench\r\n\
         Date: Sat, 1 Jun 2024 12:00:00 +0000\r\nMessage-Id: <1@mail.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    )
    .into_bytes();
    let mut letters = (b'a'..=b'z').cycle();
    while text.len() < size {
        let length = LINE_LENGTH.min((size - text.len()).saturating_sub(2));
        text.extend(letters.by_ref().take(length));
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b".\r\n");
    text
}
