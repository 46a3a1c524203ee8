//! Clients of all kinds: those that send mail as they should, at once or slowly, those that break off,
//! those that never read, and those whose mail makes a plugin misbehave. What each saw goes to the
//! ledger and the tally.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ledger::{Fate, Ledger, Message};
use crate::plugins::{CLOSE, HOOKS, WAYS};
use camelpost_support::random::Random;

/// A reply that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(45);

/// What all clients of a run share.
pub struct World {
    pub address: SocketAddr,
    pub ledger: Mutex<Ledger>,
    /// What must not be, in words.
    pub violations: Mutex<Vec<String>>,
    /// How often each thing was seen.
    pub tally: Mutex<BTreeMap<String, usize>>,
    /// No new connections.
    pub stop: AtomicBool,
    /// Hook by hook and way by way, so that none is left out.
    next_fault: AtomicUsize,
    visits: AtomicUsize,
}

impl World {
    pub fn new(address: SocketAddr, first_fault: usize) -> World {
        World {
            address,
            ledger: Mutex::default(),
            violations: Mutex::default(),
            tally: Mutex::default(),
            stop: AtomicBool::new(false),
            next_fault: AtomicUsize::new(first_fault),
            visits: AtomicUsize::new(1),
        }
    }

    pub fn saw(&self, what: impl Into<String>) {
        *self.tally.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    pub fn violated(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    fn fate(&self, message: Message, fate: Fate) {
        self.ledger.lock().unwrap().set(message, fate);
    }

    fn fault(&self) -> (&'static str, &'static str) {
        let number = self.next_fault.fetch_add(1, Ordering::Relaxed);
        // Neighbours differ in both.
        let way = WAYS[number % WAYS.len()];
        let hook = HOOKS[(number + number / WAYS.len()) % HOOKS.len()];
        (hook, way)
    }
}

/// How the conversation can end before it is over.
enum Broken {
    /// A 421: the server said so.
    Told,
    /// The connection ended without a reply.
    Ended(String),
    /// This client has had enough.
    Left,
}

/// How a client behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Plain,
    Slow,
    /// Closes without a word, at some point.
    Drops,
    /// Sends commands without end and reads nothing.
    Deaf,
    /// Holds its connection and says nothing.
    Idle,
    /// Its mail makes a plugin misbehave.
    Faulty,
}

/// One client after the other, until the world stops.
pub async fn client(world: Arc<World>, mut random: Random) {
    while !world.stop.load(Ordering::Relaxed) {
        let manner = match random.within(0..100) {
            0..50 => Manner::Plain,
            50..58 => Manner::Slow,
            58..70 => Manner::Drops,
            70..72 => Manner::Deaf,
            72..80 => Manner::Idle,
            _ => Manner::Faulty,
        };
        visit(&world, manner, &mut random).await;
        sleep(Duration::from_millis(random.within(0..200) as u64)).await;
    }
}

async fn visit(world: &World, manner: Manner, random: &mut Random) {
    let stream = match timeout(PATIENCE, TcpStream::connect(world.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return world.violated(format!("connect(2): {error}")),
        Err(_) => return world.violated("connect(2) took too long".to_owned()),
    };
    // Without this nothing is wrong, only slower.
    let _ = stream.set_nodelay(true);
    world.saw(format!("client {manner:?}"));
    let mut visit = Visit {
        world,
        manner,
        stream,
        unread: Vec::new(),
        way: "",
        number: world.visits.fetch_add(1, Ordering::Relaxed),
        last: String::new(),
    };
    match visit.conversation(random).await {
        Ok(()) => world.saw("end: as usual"),
        Err(Broken::Told) => world.saw("end: 421"),
        Err(Broken::Left) => world.saw("end: client left"),
        Err(Broken::Ended(_)) if CLOSE.contains(&visit.way) => world.saw("end: by exit"),
        Err(Broken::Ended(how)) => {
            let way = visit.way;
            let (number, last) = (visit.number, visit.last);
            world.violated(format!(
                "{manner:?} client{number} {way}: {how}, after {last:?}"
            ));
        }
    }
}

struct Visit<'a> {
    world: &'a World,
    manner: Manner,
    stream: TcpStream,
    unread: Vec<u8>,
    /// In which a plugin was asked to misbehave last.
    way: &'static str,
    /// For the log.
    number: usize,
    /// The last reply.
    last: String,
}

impl Visit<'_> {
    async fn conversation(&mut self, random: &mut Random) -> Result<(), Broken> {
        self.may_leave(random)?;
        self.reply("the greeting").await?;
        self.say(&format!("EHLO client{}.example", self.number))
            .await?;
        self.may_leave(random)?;
        match self.manner {
            Manner::Deaf => return self.flood(random).await,
            Manner::Idle => {
                sleep(Duration::from_millis(random.within(500..4000) as u64)).await;
                self.say("NOOP").await?;
            }
            _ => {
                for _ in 0..random.within(1..4) {
                    self.message(random).await?;
                    self.may_leave(random)?;
                }
            }
        }
        self.say("QUIT").await?;
        // Nothing else comes, but the end does.
        let mut rest = Vec::new();
        match timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await {
            Err(_) => Err(Broken::Ended(
                "the connection stayed open after QUIT".to_owned(),
            )),
            Ok(_) => Ok(()),
        }
    }

    fn may_leave(&self, random: &mut Random) -> Result<(), Broken> {
        match self.manner == Manner::Drops && random.chance(20) {
            true => Err(Broken::Left),
            false => Ok(()),
        }
    }

    async fn message(&mut self, random: &mut Random) -> Result<(), Broken> {
        let size = match random.within(0..100) {
            0..80 => random.within(100..4000),
            80..97 => random.within(10_000..120_000),
            _ => random.within(300_000..1_400_000),
        };
        let is_plain = self.manner != Manner::Faulty;
        let message = self.world.ledger.lock().unwrap().begin(size, is_plain);
        let (sender, fault) = match self.manner {
            Manner::Faulty => {
                let (hook, way) = self.world.fault();
                self.world.saw(format!("way {way}"));
                self.way = way;
                (format!("{hook}.{way}.{}", message.id), true)
            }
            _ => (format!("plain-{}", message.id), false),
        };
        let commands = [
            format!("MAIL FROM:<{sender}@client.example>\r\n"),
            "RCPT TO:<someone@mx.example>\r\n".to_owned(),
            "DATA\r\n".to_owned(),
        ];
        let mut code = 0;
        if random.chance(50) {
            self.send(commands.concat().as_bytes(), "pipelined commands")
                .await?;
            for command in &commands {
                code = self.reply(command.trim_end()).await?;
            }
        } else {
            for command in &commands {
                code = self.say(command.trim_end()).await?;
                if !matches!(code, 250 | 354) {
                    break;
                }
            }
        }
        if code != 354 {
            self.world.saw(match fault {
                true => "message refused before its text, at a fault",
                false => "message refused before its text",
            });
            self.say("RSET").await?;
            return Ok(());
        }
        self.text(message, random).await?;
        let code = match self.reply("the final dot").await {
            Ok(code) => code,
            Err(broken) => {
                self.world.saw("message broken off after its dot");
                return Err(broken);
            }
        };
        let fate = match code {
            250 => Fate::Acknowledged,
            _ => Fate::Refused,
        };
        self.world.fate(message, fate);
        self.world.saw(format!("message: {code}"));
        Ok(())
    }

    /// Everything up to the final dot, and that.
    async fn text(&mut self, message: Message, random: &mut Random) -> Result<(), Broken> {
        let wire = message.on_the_wire();
        let breaks_off = self.manner == Manner::Drops && random.chance(30);
        let end = match breaks_off {
            true => random.within(0..wire.len()),
            false => wire.len(),
        };
        let pieces = match self.manner {
            Manner::Slow => random.within(3..12),
            _ => 1,
        };
        for piece in wire[..end].chunks(end.div_ceil(pieces).max(1)) {
            if self.stream.write_all(piece).await.is_err() {
                return self.broken_off().await;
            }
            if self.manner == Manner::Slow {
                sleep(Duration::from_millis(random.within(10..300) as u64)).await;
            }
        }
        if breaks_off {
            return Err(Broken::Left);
        }
        self.world.fate(message, Fate::InFlight);
        if self.stream.write_all(b".\r\n").await.is_err() {
            return self.broken_off().await;
        }
        if self.manner == Manner::Drops && random.chance(30) {
            return Err(Broken::Left);
        }
        Ok(())
    }

    /// The server has closed while this client was still sending. A reply may have come before that,
    /// and may be lost: a TCP that gets what nobody will read resets the connection.
    async fn broken_off(&mut self) -> Result<(), Broken> {
        match self.reply("a message that was not taken to its end").await {
            Err(Broken::Told) | Ok(_) => Err(Broken::Told),
            Err(_) => {
                self.world.saw("reset in the middle of a message");
                Err(Broken::Left)
            }
        }
    }

    /// Sends for as long as it is taken, and waits a while with all the replies unread.
    async fn flood(&mut self, random: &mut Random) -> Result<(), Broken> {
        let block = b"NOOP\r\n".repeat(1000);
        let until_stuck = async {
            for _ in 0..100 {
                if self.stream.write_all(&block).await.is_err() {
                    break;
                }
            }
        };
        // Being stuck is what it is for.
        let _ = timeout(Duration::from_secs(2), until_stuck).await;
        sleep(Duration::from_millis(random.within(100..2000) as u64)).await;
        Err(Broken::Left)
    }

    async fn say(&mut self, command: &str) -> Result<u16, Broken> {
        self.send(format!("{command}\r\n").as_bytes(), command)
            .await?;
        self.reply(command).await
    }

    /// What cannot be sent any more may have been answered before.
    async fn send(&mut self, bytes: &[u8], what: &str) -> Result<(), Broken> {
        match timeout(PATIENCE, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => self.reply(what).await.map(|_| ()),
            Err(_) => Err(Broken::Ended(format!("{what} was not taken"))),
        }
    }

    /// The code of the next reply, unless that ends the connection.
    async fn reply(&mut self, what: &str) -> Result<u16, Broken> {
        let reply = timeout(PATIENCE, self.whole_reply()).await;
        match reply {
            Err(_) => Err(Broken::Ended(format!("no reply to {what} in {PATIENCE:?}"))),
            Ok(Err(error)) => Err(Broken::Ended(format!("no reply to {what}: {error}"))),
            Ok(Ok(line)) => {
                let code = line.get(..3).and_then(|code| code.parse().ok());
                self.last = line;
                match code {
                    Some(421) => Err(Broken::Told),
                    Some(code) => Ok(code),
                    None => Err(Broken::Ended(format!("no reply to {what}"))),
                }
            }
        }
    }

    /// Its last line.
    async fn whole_reply(&mut self) -> Result<String, String> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if line.get(3) != Some(&b'-') {
                    return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err("closed".to_owned()),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
