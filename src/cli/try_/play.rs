//! The client of a trial: starts the session's process, sends it a command, and waits until everything that came of
//! it was told. Does not know what is said, nor how it is shown.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::USELESS;
use super::show::Show;
use super::summary::Summary;
use crate::base::trial::Told;

/// How long bytes are waited for that the session says it has sent.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may be quiet after a whole reply before the client goes on, as one does that only sees replies.
const QUIET: Duration = Duration::from_millis(700);
/// How often the client looks for a reply of which nobody has told.
const LOOK: Duration = Duration::from_millis(50);
/// The reply to DATA.
const SEND_MESSAGE: u16 = 354;

/// What stands for a command where the client says nothing more.
pub(super) const HUNG_UP: &str = "(the client hangs up)";
/// What stands for one where it has sent the message.
pub(super) const MESSAGE: &str = "(the message)";

pub(super) struct Player {
    session: Child,
    stream: TcpStream,
    /// Lines of what is told; its end is the session's.
    told: Receiver<Vec<u8>>,
    show: Show,
    summary: Summary,
    in_message: bool,
    is_over: bool,
    /// What has happened before the client may say something.
    greeting: Option<Heard>,
    /// The last reply was there, and not that the session waits: a plugin reads from the client itself.
    is_ahead: bool,
}

/// What came of a command.
#[derive(Default)]
pub(super) struct Heard {
    pub command: Option<String>,
    /// The reply's lines; none where nothing was said.
    pub reply: Vec<String>,
    pub told: Vec<Told>,
}

impl Heard {
    /// The code of the last reply.
    pub(super) fn code(&self) -> Option<u16> {
        self.reply.last()?.get(..3)?.parse().ok()
    }
}

impl Player {
    /// Starts the session's process with these arguments, and waits until the client has the word.
    pub(super) fn start(args: &[OsString], show: Show) -> Result<Player, String> {
        let (ours, theirs) = pair().map_err(|error| {
            format!("cannot connect to a session on this machine's loopback address: {error}")
        })?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(args);
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(Stdio::piped());
        let mut session = command.spawn().map_err(|error| error.to_string())?;
        // It holds the session's end of the connection, too.
        drop(command);
        let told = session.stdout.take().ok_or("no output of the session")?;
        let mut player = Player {
            session,
            stream: ours,
            told: lines_of(told),
            show,
            summary: Summary::default(),
            in_message: false,
            is_over: false,
            greeting: None,
            is_ahead: false,
        };
        let heard = player.hear(None)?;
        player.greeting = Some(heard);
        Ok(player)
    }

    /// Whether there was no session at all; why, its process has said.
    pub(super) fn failed_to_start(&mut self) -> bool {
        let nothing = |heard: &Heard| heard.told.is_empty() && heard.reply.is_empty();
        self.is_over
            && self.greeting.as_ref().is_none_or(nothing)
            && self
                .session
                .wait()
                .is_ok_and(|status| status.code() == Some(USELESS.into()))
    }

    /// Shows what has happened before the first command; the code of the server's greeting.
    pub(super) fn greeting(&mut self) -> Result<Option<u16>, String> {
        let heard = self.greeting.take().unwrap_or_default();
        Ok(self.take(heard))
    }

    /// The session has ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The session waits for the message.
    pub(super) fn is_in_message(&self) -> bool {
        self.in_message && !self.is_over
    }

    pub(super) fn say(&mut self, line: &str) -> Result<Option<u16>, String> {
        self.say_bytes(line.as_bytes())
    }

    /// Says a command; the code of its last reply.
    pub(super) fn say_bytes(&mut self, line: &[u8]) -> Result<Option<u16>, String> {
        // An error: the session is gone, as is seen next.
        let _ = self.stream.write_all(&[line, b"\r\n"].concat());
        let heard = self.hear(Some(String::from_utf8_lossy(line).into_owned()))?;
        Ok(self.take(heard))
    }

    /// Sends the message with its end.
    pub(super) fn send_message(&mut self, message: &[u8]) -> Result<Option<u16>, String> {
        self.in_message = false;
        let mut stream = self.stream.try_clone().map_err(|error| error.to_string())?;
        let message = message.to_vec();
        // Plugins may have much to say before all of it is taken.
        let sender = thread::spawn(move || {
            let _ = stream.write_all(&message);
        });
        let heard = self.hear(Some(MESSAGE.to_owned()));
        if self.is_over {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        let _ = sender.join();
        let heard = heard?;
        Ok(self.take(heard))
    }

    /// Sends the beginning of a message that has no end.
    pub(super) fn send_part(&mut self, message: &[u8]) -> Result<(), String> {
        self.in_message = false;
        let _ = self.stream.write_all(message);
        Ok(())
    }

    /// The client is gone.
    pub(super) fn hang_up(&mut self) -> Result<(), String> {
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut all = Heard {
            command: Some(HUNG_UP.to_owned()),
            ..Heard::default()
        };
        while !self.is_over {
            let heard = self.hear(None)?;
            all.reply.extend(heard.reply);
            all.told.extend(heard.told);
        }
        if !all.reply.is_empty() || !all.told.is_empty() {
            self.take(all);
        }
        Ok(())
    }

    /// Waits for the session's end; the exit status.
    pub(super) fn end(&mut self) -> Result<u8, String> {
        self.hang_up()?;
        // Its END blocks run on; what they print goes to nobody.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.session.wait().map_err(|error| error.to_string())?;
        self.show.summary(&self.summary);
        Ok(u8::from(!self.summary.is_accepted()))
    }

    fn take(&mut self, heard: Heard) -> Option<u16> {
        self.show.heard(&heard);
        self.summary.take(&heard);
        heard.code()
    }

    /// Takes in what is told until the client has the word again, or the session is over.
    fn hear(&mut self, command: Option<String>) -> Result<Heard, String> {
        let mut heard = Heard {
            command,
            ..Heard::default()
        };
        let mut said = Vec::new();
        let mut expected = 0;
        let mut is_ahead = std::mem::take(&mut self.is_ahead);
        let mut quiet_since = Instant::now();
        self.in_message = false;
        loop {
            let line = match self.told.recv_timeout(LOOK) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => {
                    self.is_over = true;
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let before = said.len();
                    self.receive(&mut said, 0);
                    if said.len() > before {
                        quiet_since = Instant::now();
                    } else if is_whole(&said) && quiet_since.elapsed() > QUIET {
                        self.is_ahead = true;
                        break;
                    }
                    continue;
                }
            };
            quiet_since = Instant::now();
            match serde_json::from_slice(&line) {
                Ok(Told::Replied { bytes }) => {
                    expected += bytes;
                    self.receive(&mut said, 0);
                }
                // Of a message that is being sent, as far as it has come.
                Ok(Told::Waits { in_message: true })
                    if heard.command.as_deref() == Some(MESSAGE) => {}
                // It may have waited before this command came.
                Ok(Told::Waits { .. }) if is_ahead && said.is_empty() && expected == 0 => {
                    is_ahead = false;
                }
                Ok(Told::Waits { in_message }) => {
                    self.in_message = in_message;
                    break;
                }
                Ok(Told::Ended) => {
                    self.is_over = true;
                    break;
                }
                Ok(told) => heard.told.push(told),
                Err(error) => {
                    return Err(format!(
                        "the session's process says what is not known: {error}"
                    ));
                }
            }
        }
        let all = if self.is_over { usize::MAX } else { expected };
        self.receive(&mut said, all);
        let said = String::from_utf8_lossy(&said).into_owned();
        heard.reply = said.lines().map(str::to_owned).collect();
        // Also where a plugin has said it and takes the message itself.
        self.in_message |= heard.code() == Some(SEND_MESSAGE);
        Ok(heard)
    }

    /// Takes what the server has sent: so many bytes at least, unless they do not come, and what there is beyond.
    fn receive(&mut self, said: &mut Vec<u8>, expected: usize) {
        let mut block = [0; 4096];
        loop {
            let waits = said.len() < expected;
            let _ = self.stream.set_nonblocking(!waits);
            if waits {
                let _ = self.stream.set_read_timeout(Some(PATIENCE));
            }
            match self.stream.read(&mut block) {
                Ok(0) => break,
                Ok(count) => said.extend_from_slice(block.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = self.stream.set_nonblocking(false);
    }
}

/// Whether the last line is there, and is the last of a reply.
fn is_whole(said: &[u8]) -> bool {
    let Some(lines) = said.strip_suffix(b"\n") else {
        return false;
    };
    let last = lines.rsplit(|byte| *byte == b'\n').next();
    last.is_some_and(|last| last.get(3) != Some(&b'-'))
}

/// The lines that the session's process writes, however many they are.
fn lines_of(told: ChildStdout) -> Receiver<Vec<u8>> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut told = BufReader::new(told);
        loop {
            let mut line = Vec::new();
            let read = told.read_until(b'\n', &mut line);
            // Its last one has been cut off where the process was killed.
            if !read.is_ok_and(|count| count > 0)
                || !line.ends_with(b"\n")
                || send.send(line).is_err()
            {
                return;
            }
        }
    });
    lines
}

/// The two ends of a connection: plugins find a client's socket, as under inetd, and not a pipe.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0))?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    loop {
        // Others on this machine may be quicker.
        let (theirs, peer) = listener.accept()?;
        if peer == ours.local_addr()? {
            ours.set_nodelay(true)?;
            return Ok((ours, theirs));
        }
    }
}
