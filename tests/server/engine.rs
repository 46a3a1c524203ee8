//! An engine without SMTP for the tests of the processes: greets with what it knows of the
//! session, then does what the client says. Files in the config directory choose how it loads.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use camelpost::cli::EngineSettings;
use camelpost::server::{
    AsyncLink, Engine, Given, Incoming, LoadFacts, Names, SessionEnd, WorkerLink, readiness,
};
use camelpost::watch::{self, PluginHook, QueueOutcome, Spot};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;

pub struct Greeter {
    config: PathBuf,
}

impl Greeter {
    pub fn new(settings: EngineSettings) -> Greeter {
        Greeter {
            config: settings.config.unwrap_or_default(),
        }
    }

    fn has(&self, file: &str) -> bool {
        self.config.join(file).exists()
    }
}

impl Engine for Greeter {
    /// What the config directory says in `name`, to see which load a worker comes from.
    type Loaded = String;

    fn load(&self) -> Result<String, String> {
        if let Ok(message) = std::fs::read_to_string(self.config.join("fail")) {
            return Err(message);
        }
        if self.has("vanish") {
            std::process::exit(7);
        }
        while self.has("wait") {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(std::fs::read_to_string(self.config.join("name")).unwrap_or_default())
    }

    fn facts(&self, _: &String) -> LoadFacts {
        LoadFacts {
            hooks_pre_connection: self.has("pre"),
            log_level: 7,
            ..LoadFacts::default()
        }
    }

    fn names(&self, _: &String) -> Names {
        Names {
            plugins: vec!["greeter".into()],
            hooks: vec!["connect".into(), "call".into()],
        }
    }

    fn work(&self, name: String, link: WorkerLink) -> i32 {
        if self.has("die") {
            return 3;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = self.config.clone();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let link = Rc::new(link.into_async().unwrap());
            let mut sessions = tokio::task::JoinSet::new();
            while let Some(given) = link.next().await {
                let Given::Session(incoming) = given else {
                    continue;
                };
                let (name, config, link) = (name.clone(), config.clone(), link.clone());
                sessions.spawn_local(async move {
                    let session = incoming.session;
                    watch::set_session(session);
                    let end = serve(&name, &config, incoming, &link).await;
                    link.done(session, end);
                });
            }
            while sessions.join_next().await.is_some() {}
        });
        0
    }
}

async fn serve(name: &str, config: &Path, incoming: Incoming, link: &AsyncLink) -> SessionEnd {
    let blocking = !rustix::fs::fcntl_getfl(&incoming.socket)
        .unwrap()
        .contains(rustix::fs::OFlags::NONBLOCK);
    say(
        &incoming.socket,
        &format!(
            "220 name={name} pid={} uid={} peer={} local={} open={}/{} addrs={} from_ip={} \
             blocking={blocking} number={}\r\n",
            std::process::id(),
            rustix::process::geteuid().as_raw(),
            incoming.peer,
            incoming.local,
            incoming.open,
            incoming.limit,
            incoming.child_addrs.len(),
            incoming.max_from_ip,
            incoming.number,
        ),
    );
    let socket = readiness(incoming.socket, Interest::READABLE).unwrap();
    let mut buffer = [0; 512];
    loop {
        let mut ready = tokio::select! {
            ready = socket.readable() => ready.unwrap(),
            () = link.stopped() => {
                say(socket.get_ref(), "421 told to stop\r\n");
                shutdown(socket.get_ref(), Shutdown::Both).ok();
                return SessionEnd { reuse: false };
            }
        };
        let got = ready.try_io(|socket| {
            let (len, _) = recv(socket.get_ref(), &mut buffer, RecvFlags::DONTWAIT)?;
            Ok(len)
        });
        let Ok(got) = got else { continue };
        let len = got.unwrap_or(0);
        let line = String::from_utf8_lossy(&buffer[..len]).trim().to_string();
        let reuse = match line.as_str() {
            "" | "QUIT" => true,
            "LAST" => false,
            "TLS" => {
                link.tls_started(incoming.session);
                say(socket.get_ref(), "220 go\r\n");
                continue;
            }
            line if line.starts_with("SAYS ") => {
                lie(line, link);
                say(socket.get_ref(), "250 said\r\n");
                continue;
            }
            "CALL" => {
                call(config);
                say(socket.get_ref(), "250 called\r\n");
                continue;
            }
            "MESSAGE" => {
                watch::count_queue_outcome(QueueOutcome::Queued);
                say(socket.get_ref(), "250 queued\r\n");
                continue;
            }
            "ABORT" => std::process::abort(),
            "EXIT" => std::process::exit(9),
            "HANG" => loop {
                std::thread::sleep(Duration::from_secs(60));
            },
            other => {
                say(socket.get_ref(), &format!("250 {other}\r\n"));
                continue;
            }
        };
        say(socket.get_ref(), "221 bye\r\n");
        shutdown(socket.get_ref(), Shutdown::Both).ok();
        return SessionEnd { reuse };
    }
}

/// Plays a plugin that says things in its worker's name: of another worker's session that it is in
/// TLS, or over and over that it stays.
fn lie(line: &str, link: &AsyncLink) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = words[2].parse().unwrap();
    match words[1] {
        "SECURED" => link.tls_started(number),
        "DONE" => link.done(number, SessionEnd { reuse: true }),
        "STAYED" => {
            // As the worker says it, but without its care for a link that is full.
            use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
            let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
            let link = pidfd_getfd(me, link.descriptor(), PidfdGetfdFlags::empty()).unwrap();
            let word = [[5].as_slice(), &0_u64.to_le_bytes()].concat();
            for _ in 0..number {
                send(&link, &word, SendFlags::NOSIGNAL).unwrap();
            }
        }
        _ => {}
    }
}

/// Plays a plugin call that dies, after a time.
fn call(config: &Path) {
    let place = PluginHook {
        plugin: 0,
        hook: 1,
        native: false,
    };
    let spot = Spot::new(place, 60_000, false);
    let call = watch::begin(&spot);
    while config.join("wait").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    call.end(watch::End::Died);
    watch::count_verdict(&spot, "DENY");
}

fn say(socket: &OwnedFd, text: &str) {
    let _ = send(
        socket,
        text.as_bytes(),
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    );
}
