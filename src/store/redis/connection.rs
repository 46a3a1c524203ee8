//! A connection to a Redis or Valkey server. Knows commands and answers, not what they are about.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::wire::{self, Answer};
use crate::config::reason;

/// Where a server is, and how it is entered.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// As it may be shown.
    pub shown: String,
    pub place: Place,
    pub user: Option<Vec<u8>>,
    pub password: Option<Vec<u8>>,
    pub database: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The first that answers.
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(super) struct Connection {
    socket: Socket,
    read: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(target: &Target) -> Result<Connection, String> {
        let socket = match &target.place {
            Place::Unix(path) => {
                let socket = UnixStream::connect(path).await;
                Socket::Unix(socket.map_err(|error| cannot_connect(&error))?)
            }
            Place::Tcp(addresses) => Socket::Tcp(first_of(addresses).await?),
        };
        let mut connection = Connection {
            socket,
            read: Vec::new(),
        };
        connection.enter(target).await?;
        Ok(connection)
    }

    async fn enter(&mut self, target: &Target) -> Result<(), String> {
        let mut commands: Vec<Vec<&[u8]>> = Vec::new();
        if let Some(password) = &target.password {
            let mut words: Vec<&[u8]> = vec![b"AUTH"];
            words.extend(target.user.as_deref());
            words.push(password);
            commands.push(words);
        }
        let number = target.database.to_string();
        if target.database != 0 {
            commands.push(vec![b"SELECT", number.as_bytes()]);
        }
        for answer in self.ask(&commands).await? {
            if let Answer::Error(text) = answer {
                return Err(format!("the server says: {}", text.escape_ascii()));
            }
        }
        Ok(())
    }

    /// Sends commands, and gives an answer to each. After an error, or where nobody waits for the answers, it
    /// is of no use any more.
    pub(super) async fn ask(&mut self, commands: &[Vec<&[u8]>]) -> Result<Vec<Answer>, String> {
        let mut out = Vec::new();
        for words in commands {
            wire::write(&mut out, words);
        }
        let lost = |error: io::Error| format!("the connection has ended: {}", reason(&error));
        self.write(&out).await.map_err(lost)?;
        let mut answers = Vec::new();
        while answers.len() < commands.len() {
            let found = wire::read(&self.read).map_err(|error| error.to_string())?;
            if let Some((answer, length)) = found {
                answers.push(answer);
                self.read.drain(..length);
                continue;
            }
            if self.more().await.map_err(lost)? == 0 {
                return Err("the server has closed the connection".to_owned());
            }
        }
        Ok(answers)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(socket) => socket.write_all(bytes).await,
            Socket::Unix(socket) => socket.write_all(bytes).await,
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        match &mut self.socket {
            Socket::Tcp(socket) => socket.read_buf(&mut self.read).await,
            Socket::Unix(socket) => socket.read_buf(&mut self.read).await,
        }
    }

    /// Whether the server has closed it meanwhile, or said what nobody asked.
    pub(super) fn is_idle(&self) -> bool {
        let socket: BorrowedFd<'_> = match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        };
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        self.read.is_empty() && matches!(recv(socket, &mut [0; 1], flags), Err(Errno::AGAIN))
    }
}

async fn first_of(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut last = "its name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                // A command is one segment, and its answer is waited for.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(error) => last = cannot_connect(&error),
        }
    }
    Err(last)
}

fn cannot_connect(error: &io::Error) -> String {
    format!("cannot connect: {}", reason(error))
}
