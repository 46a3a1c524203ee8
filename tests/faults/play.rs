//! Commits the faults in a running server, one after the other, each beside a session that is in the
//! middle of a message, and looks at what the next client finds.

use camelpost_support::process::status;
use camelpost_support::{Client, Server, Setup, until};
use regex::Regex;
use serde_json::Value;

use crate::list::{FAULTY, Fault, GROUPS, PATIENT};
use crate::log;

/// How the server is run.
pub struct Setting {
    pub args: &'static [&'static str],
}

/// What was seen of a fault.
pub struct Seen {
    pub fault: &'static Fault,
    /// The replies to the command in whose hook it was committed, and to what came after.
    pub client: String,
    /// What became of the session beside it.
    pub beside: String,
    /// Sessions that ended with their worker.
    pub lost: i64,
    /// What became of workers.
    pub workers: String,
    pub log: Vec<String>,
}

/// What commits the faults: each is a method, named by its number.
const COMMITS: &str = r#"
    use POSIX ();
    no warnings qw(exec void);

    sub hook_mail {
        my ($self, $transaction, $sender) = @_;
        my $does = $self->can('do_' . $sender->user) or return DECLINED;
        # What a worker leaves behind that dies.
        my $file = $self->qp->temp_file;
        open my $left, '>', $file or die "temp_file: $!\n";
        $transaction->notes(left => bless \$file, 'Left');
        return $does->($self, $transaction);
    }
"#;

/// The rest of what the plugins do.
const BESIDES: &str = r#"
    # The process, as a session finds it.
    sub state {
        my $self = shift;
        my $none = POSIX::SigSet->new;
        my $mask = POSIX::SigSet->new;
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $none, $mask);
        require Cwd;
        return join ' ', map { defined $_ ? $_ : 'undef' }
          Cwd::getcwd(), umask, scalar(select), $/ eq "\n" ? 'lf' : 'other', $\, $,,
          fileno STDIN, fileno STDOUT, fileno STDERR, alarm 0, $<, $>, getpriority(0, 0),
          (grep { $mask->ismember($_) } 1 .. 31),
          unpack('%32C*', join ',', map { "$_=$ENV{$_}" } grep { !/^TCP/ } sort keys %ENV),
          (map { "$_=$SIG{$_}" } grep { $SIG{$_} && $SIG{$_} ne 'DEFAULT' } sort keys %SIG),
          (map { "$_:" . @{$self->qp->hooks->{$_}} } sort keys %{$self->qp->hooks});
    }

    sub Left::DESTROY { unlink ${$_[0]} }

    sub child {
        my $pid = fork // die "fork: $!\n";
        return if !$pid;
        open my $list, '>>', 'children' or die "children: $!\n";
        print {$list} "$pid\n";
        return $pid;
    }

    sub do_look {
        my $self = shift;
        warn "looked\n";
        my $state = $self->state;
        $state =~ s/\W+/ /g;
        return (DENY, $state);
    }

    sub hook_rcpt { return OK }

    sub hook_queue {
        my ($self, $transaction) = @_;
        my $length = 0;
        $transaction->body_resetpos;
        while (my $line = $transaction->body_getline) { $length += length $line }
        return (OK, "Taken $length");
    }
"#;

/// The message that each session sends: large enough to be spooled.
const LINES: usize = 400;
const TAKEN: &str = "250 Taken 2001";

const SETTINGS: &str = "faulty timeout 1\npatient timeout 0\n";

/// A plugin that commits its share of the faults.
fn plugin(name: &str) -> String {
    let mut text = COMMITS.to_owned();
    for (number, fault) in faults().enumerate() {
        if fault.plugin == name {
            let perl = fault.perl;
            text += &format!(
                "sub do_fault{number} {{ my ($self, $transaction) = @_; {{ {perl} }} return DECLINED }}\n"
            );
        }
    }
    text
}

fn faults() -> impl Iterator<Item = &'static Fault> {
    GROUPS.iter().flat_map(|(_, faults)| faults.iter())
}

/// The daemon, and what asks it for its counts.
struct Ground {
    server: Server,
    control: String,
    _dir: tempfile::TempDir,
    /// What a session finds before any fault.
    state: String,
}

/// Every fault in a setting, in the order of the list.
pub fn all(setting: &Setting) -> Vec<Seen> {
    let ground = Ground::start(setting);
    let seen = faults()
        .enumerate()
        .map(|(number, fault)| ground.commit(number, fault))
        .collect();
    ground.end_children();
    seen
}

impl Ground {
    fn start(setting: &Setting) -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let control = dir.path().join("control").display().to_string();
        let common = ["--worker-memory", "32M", "--worker-memory-max", "200M"];
        let args = [&common, setting.args, &["--control", &control]].concat();
        let faulty = plugin(FAULTY) + BESIDES;
        let patient = plugin(PATIENT);
        let setup = Setup {
            plugins: &[(FAULTY, &faulty), (PATIENT, &patient)],
            args: &args,
            environment: &[("RUST_BACKTRACE", "0")],
            config: &[("plugin_settings", SETTINGS)],
            users: None,
        };
        let server = Server::start(env!("CARGO_BIN_EXE_camelpost"), &setup);
        let [state, other] = look(&server);
        assert_eq!(state, other);
        Ground {
            server,
            control,
            _dir: dir,
            state,
        }
    }

    fn commit(&self, number: usize, fault: &'static Fault) -> Seen {
        let server = &self.server;
        let what = fault.what;
        let mut beside = server.connect();
        beside.expect("HELO beside.example", "250");
        beside.expect("MAIL FROM:<a@beside.example>", "250");
        let before = self.settled(1, what);
        let lines = server.lines().len();
        let mut client = server.connect();
        client.expect("HELO client.example", "250");
        let reply = client.say(&format!("MAIL FROM:<fault{number}@client.example>"));
        if let Some(text) = fault.awaited {
            let told = || {
                server.lines()[lines..]
                    .iter()
                    .any(|line| line.contains(text))
            };
            until(text, told);
        }
        let said = go_on(&mut client, &reply);
        drop(client);
        let beside = finish(&mut beside);
        // From here on nothing of it may be there for others.
        self.settled(0, what);
        for state in look(server) {
            assert_eq!(state, self.state, "{what}: the next client finds");
        }
        let mut next = server.connect();
        next.expect("HELO next.example", "250");
        next.expect("MAIL FROM:<a@next.example>", "250");
        assert_eq!(rest_of_message(&mut next), TAKEN, "{what}: the next client");
        next.expect("QUIT", "221");
        next.rest();
        let after = self.settled(0, what);
        until("the spool is empty", || server.files("spool").is_empty());
        let lines = &server.lines()[lines..];
        let mut log = log::told(lines, fault);
        let mut workers = ends(&before, &after);
        if fault.dies_anyhow {
            workers = "dies".to_owned();
            log.retain(|line| !line.starts_with("removed "));
            let ended = Regex::new("was killed by signal [0-9]+|ended with status [0-9]+");
            let ended = ended.unwrap();
            log.iter_mut()
                .for_each(|line| *line = ended.replace(line, "has died").into_owned());
        }
        Seen {
            fault,
            client: said,
            beside,
            lost: count(&after, "sessions_lost") - count(&before, "sessions_lost"),
            workers,
            log,
        }
    }

    /// `camelpost status --json`, once as many sessions are open and no worker is about to end.
    fn settled(&self, sessions: i64, what: &str) -> Value {
        let mut status = Value::Null;
        until(
            &format!("{what}: {sessions} sessions and settled workers"),
            || {
                status = self.status();
                let ending = |worker: &Value| worker["state"] == "ending";
                let workers = status["workers"].as_array().cloned().unwrap_or_default();
                status["open_sessions"] == sessions && !workers.iter().any(ending)
            },
        );
        status
    }

    fn status(&self) -> Value {
        let status = status(env!("CARGO_BIN_EXE_camelpost"), self.control.as_ref());
        status.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Children that plugins have left behind would live for some seconds more.
    fn end_children(&self) {
        let list = std::fs::read_to_string(self.server.site.root().join("children"));
        for pid in list.unwrap_or_default().lines() {
            let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
            let Some(pid) = pid else { continue };
            // The number may be another process's by now: those are no children of this test's.
            let environment = format!("/proc/{}/environ", pid.as_raw_nonzero());
            let environment = std::fs::read(environment).unwrap_or_default();
            let config = self.server.site.root().display().to_string();
            if String::from_utf8_lossy(&environment).contains(&config) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// What sessions find of their processes, two at a time: both workers, where there are two; and the
/// log still takes what a plugin warns of.
fn look(server: &Server) -> [String; 2] {
    let looked = server.count("looked");
    let mut clients = [server.connect(), server.connect()];
    let states = clients.each_mut().map(|client| {
        client.expect("HELO next.example", "250");
        client.expect("MAIL FROM:<look@next.example>", "550")
    });
    for client in &mut clients {
        client.expect("QUIT", "221");
        client.rest();
    }
    until("two warnings are in the log", || {
        server.count("looked") == looked + 2
    });
    states
}

/// The rest of a session in whose first MAIL the fault was committed: all that its client sees.
fn go_on(client: &mut Client, reply: &str) -> String {
    let mut said = match reply.get(..3) {
        Some("421") => return with_end(client, first_line(reply)),
        Some(_) => first_line(reply),
        None => return with_end(client, "closed without a reply".to_owned()),
    };
    if !reply.starts_with("250") {
        let again = client.say("MAIL FROM:<a@client.example>");
        if !again.starts_with("250") {
            said += &format!(", then {}", first_line(&again));
            return with_end(client, said);
        }
    }
    let taken = rest_of_message(client);
    match taken.as_str() {
        TAKEN => said += ", its message is taken",
        "" => return said + ", then closed",
        other => said += &format!(", then {}", first_line(other)),
    }
    if taken.starts_with("421") {
        return with_end(client, said);
    }
    match client.say("QUIT").get(..3) {
        Some("221") => with_end(client, said),
        _ => said + ", then closed without a reply to QUIT",
    }
}

/// Nothing may come behind the end, and the connection is closed, whoever else has the socket.
fn with_end(client: &mut Client, said: String) -> String {
    assert!(client.is_closed(), "{said}: the connection is not closed");
    said
}

/// A reply; of a good one the code.
fn first_line(reply: &str) -> String {
    let line = match reply.starts_with('2') {
        true => reply.get(..3),
        false => reply.lines().next(),
    };
    let text = line.unwrap_or_default();
    format!(
        "`{}`",
        Regex::new("<fault[0-9]+@").unwrap().replace(text, "<a@")
    )
}

/// RCPT, DATA and a message that is spooled; the last reply.
fn rest_of_message(client: &mut Client) -> String {
    for (line, code) in [("RCPT TO:<b@mx.example>", "250"), ("DATA", "354")] {
        let reply = client.say(line);
        if !reply.starts_with(code) {
            return reply;
        }
    }
    let text = format!("Subject: x\r\n\r\n{}.\r\n", "line\r\n".repeat(LINES));
    if !client.send_as_far_as_it_goes(text.as_bytes()) {
        return String::new();
    }
    client.reply()
}

/// The session beside the fault is brought to its end.
fn finish(client: &mut Client) -> String {
    if !client.send_as_far_as_it_goes(b"NOOP\r\n") {
        return "closed".to_owned();
    }
    match client.reply().get(..3) {
        Some("250") => {}
        Some("421") => return with_end(client, "`421`".to_owned()),
        _ => return "closed".to_owned(),
    }
    let taken = rest_of_message(client);
    client.expect("QUIT", "221");
    with_end(
        client,
        match taken.as_str() {
            TAKEN => "goes on".to_owned(),
            other => format!("goes on, {}", first_line(other)),
        },
    )
}

fn count(status: &Value, name: &str) -> i64 {
    status["counters"][name].as_i64().unwrap_or_default()
}

/// What workers ended by between two states.
fn ends(before: &Value, after: &Value) -> String {
    let of = |status: &Value, cause: &str| {
        status["counters"]["worker_ends"][cause]
            .as_i64()
            .unwrap_or(0)
    };
    let causes = after["counters"]["worker_ends"].as_object();
    let mut ended = Vec::new();
    for cause in causes.into_iter().flat_map(|causes| causes.keys()) {
        let count = of(after, cause) - of(before, cause);
        let words = match cause.as_str() {
            "retired" => "is replaced".to_owned(),
            other => format!("ends by {other}"),
        };
        match count {
            0 => {}
            1 => ended.push(words),
            many => ended.push(format!("{words} ({many})")),
        }
    }
    match ended.as_slice() {
        [] => "goes on".to_owned(),
        some => some.join(", "),
    }
}
