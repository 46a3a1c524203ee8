//! A running server with plugins of the test's, and clients of it. Every wait has an end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs what `RUN ...` says as Perl code in a hook, and replies 250 with what it gives.
pub const RUNNER: (&str, &str) = (
    "runner",
    r#"
    sub hook_unrecognized_command {
        my ($self, $transaction, $command, @words) = @_;
        return DECLINED if lc $command ne 'run';
        no strict;
        my $qp = $self->qp;
        my ($code) = join(' ', @words) =~ /\A(.*)\z/s;
        my @value = eval $code;
        my $text = $@ ? "died: $@" : join ' ', map { defined $_ ? $_ : 'undef' } @value;
        $qp->respond(250, split /\n/, length $text ? $text : 'nothing');
        return DONE;
    }
    "#,
);

/// Takes every recipient and every message.
pub const TAKER: (&str, &str) = (
    "taker",
    "sub hook_rcpt { return OK } sub hook_queue { return (OK, 'Taken') }",
);

/// A line of config/plugins that needs no file.
pub fn line(text: &str) -> (&str, &str) {
    (text, "")
}

pub struct Server {
    child: Child,
    pub port: u16,
    log: Arc<Mutex<Vec<String>>>,
    pub dir: TempDir,
}

impl Server {
    pub fn start(plugins: &[(&str, &str)]) -> Server {
        Server::start_with(plugins, &[], &[])
    }

    /// One worker that serves one client after the other.
    pub fn start_with_one_worker(plugins: &[(&str, &str)]) -> Server {
        Server::start_with(plugins, &["--workers", "1", "--spare-workers", "0"], &[])
    }

    pub fn start_with(
        plugins: &[(&str, &str)],
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Server {
        // What RUNNER says is of any length, and is to be in one line.
        let long_lines = [("reply_text", "original\n")];
        Server::start_configured(plugins, args, environment, &long_lines)
    }

    /// The same with further config files, or others in the place of the usual ones.
    pub fn start_configured(
        plugins: &[(&str, &str)],
        args: &[&str],
        environment: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Server {
        Server::start_there(plugins, args, environment, more, |_| {}, None)
    }

    /// The same with something done in the directory before.
    pub fn start_prepared(plugins: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Server {
        Server::start_there(plugins, &[], &[], &[], prepare, None)
    }

    /// The same with a user for the service and another one for its plugins; needs root.
    pub fn start_as(
        users: [&str; 2],
        plugins: &[(&str, &str)],
        args: &[&str],
        more: &[(&str, &str)],
    ) -> Server {
        Server::start_there(plugins, args, &[], more, |_| {}, Some(users))
    }

    /// The same with something done in the directory before.
    pub fn start_as_prepared(
        users: [&str; 2],
        plugins: &[(&str, &str)],
        args: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Server {
        Server::start_there(plugins, args, &[], &[], prepare, Some(users))
    }

    fn start_there(
        plugins: &[(&str, &str)],
        args: &[&str],
        environment: &[(&str, &str)],
        more: &[(&str, &str)],
        prepare: impl FnOnce(&Path),
        users: Option<[&str; 2]>,
    ) -> Server {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let path = |name: &str| dir.path().join(name);
        for name in ["config", "plugins", "spool"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::set_permissions(path("spool"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut lines = String::new();
        for (name, text) in plugins {
            lines += &format!("{name}\n").replace("@ROOT@", dir.path().to_str().unwrap());
            if !text.is_empty() {
                fs::write(path("plugins").join(name), text).unwrap();
            }
        }
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/compat-plugins");
        let files = [
            ("plugins", lines),
            (
                "plugin_dirs",
                format!("{}\n{shipped}\n", path("plugins").display()),
            ),
            ("spool_dir", format!("{}\n", path("spool").display())),
            ("me", "mx.example\n".to_owned()),
            ("size_threshold", "1000\n".to_owned()),
            ("loglevel", "6\n".to_owned()),
        ];
        for (name, text) in files {
            fs::write(path("config").join(name), text).unwrap();
        }
        for (name, text) in more {
            let text = text.replace("@ROOT@", dir.path().to_str().unwrap());
            fs::write(path("config").join(name), text).unwrap();
        }
        let built = Path::new(env!("CARGO_BIN_EXE_camelpost"));
        let mut command = match users {
            None => Command::new(built),
            Some(users) => command_of(users, built, dir.path()),
        };
        command.arg("serve").arg("--config").arg(path("config"));
        command.args(["--listen-address", "127.0.0.1:0", "--no-rdns"]);
        command.args(["--max-from-ip", "0"]).args(args);
        match users {
            Some([user, worker]) => {
                command.args(["--user", user, "--worker-user", worker]);
            }
            None if rustix::process::geteuid().is_root() => {
                command.args(["--user", "root"]);
            }
            None => {}
        }
        let mut child = command
            .envs(environment.iter().copied())
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let mut server = Server {
            child,
            port: 0,
            log,
            dir,
        };
        let listening = server.wait_for("Listening on ");
        server.port = listening.rsplit(':').next().unwrap().parse().unwrap();
        server.wait_for("Running as user ");
        server
    }

    /// Writes a config file while the server runs.
    pub fn config(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("config").join(name), text).unwrap();
    }

    /// Asks for a reload and waits until it is done.
    pub fn reload(&self) {
        let done = || self.count("reloaded");
        let before = done();
        self.ask_for_reload();
        until("a reload", || done() > before);
    }

    /// The same without the wait.
    pub fn ask_for_reload(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// The supervisor that was started.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> std::process::ExitStatus {
        let child = &mut self.child;
        let mut status = None;
        until("the end of the supervisor", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Tells the service to stop once its sessions have ended.
    pub fn stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Ends the supervisor before it can do anything.
    pub fn kill(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// The process that has loaded the plugins.
    pub fn zygote(&self) -> rustix::process::Pid {
        let pid = self.child.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(children).unwrap();
        let first = children.split_whitespace().next().unwrap();
        rustix::process::Pid::from_raw(first.parse().unwrap()).unwrap()
    }

    /// The log so far.
    pub fn lines(&self) -> Vec<String> {
        let log = self.log.lock();
        log.unwrap_or_else(|error| error.into_inner()).clone()
    }

    /// How many lines of the log have this text.
    pub fn count(&self, text: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for a line of the log.
    pub fn wait_for(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log.lock().unwrap();
            if let Some(line) = log.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            drop(log);
            assert!(Instant::now() < end, "no log line with {text:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn connect(&self) -> Client {
        let mut client = self.connect_silently();
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Connects and does not wait for the greeting.
    pub fn connect_silently(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    /// The files below a directory of the server's.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.dir.path().join(name)];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => dirs.push(path),
                    path => found.push(path),
                }
            }
        }
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.lines().join("\n"));
        }
        // Killing the supervisor takes zygote and idle workers along.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of a user.
pub fn uid(name: &str) -> u32 {
    let entries = fs::read_to_string("/etc/passwd").unwrap();
    let mut entries = entries.lines().map(|line| line.split(':'));
    let entry = entries.find(|entry| entry.clone().next() == Some(name));
    entry.unwrap().nth(2).unwrap().parse().unwrap()
}

/// The program, and in `dir` what these users need.
fn command_of([user, worker]: [&str; 2], built: &Path, dir: &Path) -> Command {
    use std::os::unix::fs::chown;
    // The directory that it was built in may be closed to others.
    let program = dir.join("camelpost");
    if fs::hard_link(built, &program).is_err() {
        fs::copy(built, &program).unwrap();
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    chown(dir.join("spool"), Some(uid(worker)), None).unwrap();
    let run = dir.join("run");
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&run, Some(uid(user)), None).unwrap();
    let mut command = Command::new(program);
    command
        .env("RUNTIME_DIRECTORY", run)
        .env_remove("NOTIFY_SOCKET");
    command
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The most memory that a process has had, in kilobytes.
pub fn peak_memory(pid: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub struct Client(BufReader<TcpStream>);

impl Client {
    /// The process that its session runs in: `$$` is the session's.
    pub fn worker(&mut self) -> String {
        self.run("readlink '/proc/self'")
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends what a server that is gone may not take.
    pub fn send_as_far_as_it_goes(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// The same connection again, for another thread that only sends.
    pub fn second(&self) -> Client {
        Client(BufReader::new(self.0.get_ref().try_clone().unwrap()))
    }

    /// One reply, its lines joined by line feeds; empty at the end of the connection.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            // A server that died may leave a reset behind.
            let read = self.0.read_line(&mut line).unwrap_or(0);
            reply += line.trim_end();
            if read == 0 || line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
            reply.push('\n');
        }
    }

    pub fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Says a line and expects this code.
    pub fn expect(&mut self, line: &str, code: &str) -> String {
        let reply = self.say(line);
        assert!(reply.starts_with(code), "{line}: {reply}");
        reply
    }

    /// Runs Perl code in a hook (needs `RUNNER`): what it gives.
    pub fn run(&mut self, perl: &str) -> String {
        let reply = self.say(&format!("RUN {perl}"));
        match reply.strip_prefix("250 ") {
            Some(value) => value.to_owned(),
            None => panic!("{perl}: {reply:?}"),
        }
    }

    /// So many bytes as they come.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the server ends the connection, after nothing more.
    pub fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 1]) {
            Ok(got) => got == 0,
            // A server that died may leave a reset behind.
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Nothing more will be sent.
    pub fn close_own_side(&mut self) {
        self.0
            .get_ref()
            .shutdown(std::net::Shutdown::Write)
            .unwrap();
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
