//! A command of a start script: whether it starts qpsmtpd, through which programs that prepare the start (softlimit,
//! setuidgid, tcpserver, start-stop-daemon), and what these ask for.

use std::path::{Path, PathBuf};

use super::super::root::{Root, plain};
use super::shell::{Call, base, calls};
use super::{Options, Server, options};

/// A start of qpsmtpd.
pub(super) struct Started {
    pub(super) program: PathBuf,
    pub(super) words: Vec<String>,
    pub(super) working: PathBuf,
    pub(super) config: Option<PathBuf>,
    pub(super) options: Options,
}

/// What is known on the way to the program.
struct Way<'a> {
    root: &'a Root,
    words: Vec<String>,
    at: usize,
    working: PathBuf,
    /// QPSMTPD_CONFIG.
    config: Option<String>,
    options: Options,
}

/// What a command starts, if that is qpsmtpd.
pub(super) fn started(root: &Root, call: &Call) -> Option<Started> {
    let mut way = Way {
        root,
        words: call.words.clone(),
        at: 0,
        working: call.working.clone(),
        config: call.variables.get("QPSMTPD_CONFIG").cloned(),
        options: Options::default(),
    };
    let program = way.find()?;
    let server = match base(&program) {
        "qpsmtpd-forkserver" => Server::Forkserver,
        "qpsmtpd-prefork" => Server::Prefork,
        "qpsmtpd-async" => Server::Async,
        _ => Server::Tcpserver,
    };
    let words = way.words.get(way.at..).unwrap_or_default().to_vec();
    options::read(server, &words, &mut way.options);
    let program = match program.contains('/') {
        true => plain(&way.working.join(&program)),
        false => Path::new("/usr/bin").join(&program),
    };
    let config = match way.config.filter(|config| !config.is_empty()) {
        Some(config) => Some(plain(&way.working.join(config))),
        None => {
            // Beside the program; where that is in a directory `bin`, beside it.
            let places = program.ancestors().skip(1).take(2);
            let dirs = places.map(|place| place.join("config"));
            dirs.into_iter().find(|dir| root.real(dir).is_dir())
        }
    };
    Some(Started {
        program,
        words: call.words.clone(),
        working: way.working,
        config,
        options: way.options,
    })
}

impl Way<'_> {
    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word.clone())
    }

    /// The options before the next word that is none. Those that take a value have letters in `valued`; each is told with it.
    fn options(&mut self, valued: &str, mut tell: impl FnMut(&mut Self, char, &str)) -> Option<()> {
        while let Some(word) = self.words.get(self.at).cloned() {
            let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                break;
            };
            self.at += 1;
            if letters == "-" {
                break;
            }
            for (at, letter) in letters.char_indices() {
                if !valued.contains(letter) {
                    tell(self, letter, "");
                    continue;
                }
                let value = match letters.get(at + letter.len_utf8()..) {
                    Some("") | None => self.next()?,
                    Some(rest) => rest.to_owned(),
                };
                tell(self, letter, &value);
                break;
            }
        }
        Some(())
    }

    /// The program, with `at` behind it.
    fn find(&mut self) -> Option<String> {
        loop {
            let word = self.next()?;
            match base(&word) {
                "qpsmtpd-forkserver" | "qpsmtpd-prefork" | "qpsmtpd-async" | "qpsmtpd" => {
                    return Some(word);
                }
                "exec" | "command" | "nohup" | "fghack" | "pgrphack" | "setsid" => {
                    self.options("", |_, _, _| {})?;
                }
                "env" => {
                    self.options("u", |_, _, _| {})?;
                    while let Some((name, value)) = self.words.get(self.at)?.split_once('=') {
                        if name == "QPSMTPD_CONFIG" {
                            self.config = Some(value.to_owned());
                        }
                        self.at += 1;
                    }
                }
                "nice" | "ionice" => self.options("ncp", |_, _, _| {})?,
                "setlock" => {
                    self.options("", |_, _, _| {})?;
                    self.next()?;
                }
                "softlimit" => self.options("acdflmoprst", limited)?,
                "setuidgid" | "envuidgid" | "s6-setuidgid" => {
                    let user = self.next()?;
                    self.user(&user);
                }
                "envdir" | "s6-envdir" => {
                    let dir = self.next()?;
                    self.environment(&dir);
                }
                "chpst" => self.options("ueomdfprclnbP/", |way, letter, value| match letter {
                    'u' => way.user(value.split(':').next().unwrap_or_default()),
                    'e' => way.environment(value),
                    letter => limited(way, letter, value),
                })?,
                "perl" | "pperl" => self.options("I", |_, _, _| {})?,
                name if name.starts_with("perl5") => self.options("I", |_, _, _| {})?,
                "sudo" | "runuser" => self.options("u", |way, letter, value| {
                    if letter == 'u' {
                        way.user(value);
                    }
                })?,
                "sh" | "bash" | "dash" => self.shell()?,
                "tcpserver" | "sslserver" => self.tcpserver(base(&word) == "sslserver")?,
                "tcpsvd" => self.tcpsvd()?,
                "start-stop-daemon" => return self.start_stop_daemon(),
                "daemon" => self.daemon()?,
                _ => return None,
            }
        }
    }

    /// A number has a name, which is what Camelpost takes.
    fn user(&mut self, user: &str) {
        let user = user.trim_start_matches(':');
        let name = self.root.user(user);
        options::user(name.as_deref().unwrap_or(user), &mut self.options);
    }

    fn environment(&mut self, dir: &str) {
        let file = plain(&self.working.join(dir)).join("QPSMTPD_CONFIG");
        if let Some(text) = self.root.text(&file) {
            self.config = text.lines().next().map(|line| line.trim_end().to_owned());
        }
    }

    /// `sh -c TEXT`, of which the last command counts.
    fn shell(&mut self) -> Option<()> {
        if self.next()? != "-c" {
            return None;
        }
        let text = self.next()?;
        let inner = calls(self.root, Path::new("sh"), &text, &self.working).pop()?;
        self.words = inner.words;
        self.working = inner.working;
        self.at = 0;
        Some(())
    }

    /// `tcpserver OPTIONS HOST PORT PROGRAM`
    fn tcpserver(&mut self, tls: bool) -> Option<()> {
        self.options.limit = 40;
        self.options("cxBgublteiI", |way, letter, value| match letter {
            'c' => way.limit(value),
            'u' => way.user(value),
            'H' => way.options.no_rdns = true,
            'x' => way.rules(value),
            'B' => way.note(format!("the banner {value} of -B is left out")),
            'U' => way.note("its user is that of the variable UID (-U)".to_owned()),
            _ => {}
        })?;
        if tls {
            self.note(
                "sslserver begins each connection with TLS: here the line tls of plugins does that on port 465"
                    .to_owned(),
            );
        }
        self.by_connection()
    }

    /// `tcpsvd OPTIONS HOST PORT PROGRAM`
    fn tcpsvd(&mut self) -> Option<()> {
        self.options.limit = 30;
        self.options("xiulcCtb", |way, letter, value| match letter {
            'c' => way.limit(value),
            'C' => {
                way.options.per_address = value.split(':').next().and_then(|n| n.parse().ok());
                way.options.per_address_given = true;
            }
            'u' => way.user(value.split(':').next().unwrap_or_default()),
            'x' | 'i' => way.rules(value),
            _ => {}
        })?;
        self.by_connection()
    }

    fn by_connection(&mut self) -> Option<()> {
        let (host, port) = (self.next()?, self.next()?);
        match host.contains('`') {
            true => self.note(format!(
                "where it listens is {host}, which only the start itself can tell: put it behind --listen-address"
            )),
            false => options::listen(&host, &mut self.options),
        }
        options::listen_port(&port, &mut self.options);
        Some(())
    }

    fn limit(&mut self, value: &str) {
        match value.parse() {
            Ok(limit) => {
                self.options.limit = limit;
                self.options.limit_given = true;
            }
            Err(_) => self.note(format!(
                "its limit of connections is {value}, which only the start itself can tell: put it behind --limit-connections"
            )),
        }
    }

    fn rules(&mut self, file: &str) {
        self.note(format!(
            "{file} says who may connect, and sets variables such as RELAYCLIENT: Camelpost does not read it; the plugin \
             hosts_allow and the file relayclients say the same, or tcpserver goes on starting `camelpost inetd`"
        ));
    }

    fn note(&mut self, text: String) {
        self.options.notes.push(text);
    }

    /// `start-stop-daemon OPTIONS --exec PROGRAM -- WORDS`
    fn start_stop_daemon(&mut self) -> Option<String> {
        let (mut program, mut is_start) = (None, false);
        while let Some(word) = self.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let mut take = |way: &mut Self| value.take().or_else(|| way.next());
            match &*name {
                "--" => break,
                "-S" | "--start" => is_start = true,
                "-K" | "--stop" | "-T" | "--status" => return None,
                "-x" | "--exec" => program = program.or(take(self)),
                "-a" | "--startas" => program = take(self),
                "-d" | "--chdir" => {
                    let dir = take(self)?;
                    self.working = plain(&self.working.join(dir));
                }
                "-c" | "--chuid" => {
                    let user = take(self)?;
                    self.user(user.split(':').next().unwrap_or_default());
                }
                "-b" | "--background" => self.options.detach = true,
                "-p" | "--pidfile" | "-n" | "--name" | "-u" | "--user" | "-g" | "--group"
                | "-r" | "--chroot" | "-N" | "--nicelevel" | "-P" | "--procsched" | "-I"
                | "--iosched" | "-k" | "--umask" | "-R" | "--retry" | "-s" | "--signal" => {
                    take(self)?;
                }
                _ => {}
            }
        }
        let is_qpsmtpd = |program: &String| base(program).starts_with("qpsmtpd");
        program.filter(|program| is_start && is_qpsmtpd(program))
    }

    /// Red Hat's function: `daemon OPTIONS PROGRAM`
    fn daemon(&mut self) -> Option<()> {
        while let Some(word) = self.words.get(self.at) {
            if let Some(user) = word.strip_prefix("--user=") {
                let user = user.to_owned();
                self.user(&user);
            } else if word == "--user" {
                self.at += 1;
                let user = self.words.get(self.at)?.clone();
                self.user(&user);
            } else if !word.starts_with(['-', '+']) {
                return Some(());
            }
            self.at += 1;
        }
        None
    }
}

/// Limits of a process do not fit one that has many sessions.
fn limited(way: &mut Way<'_>, letter: char, value: &str) {
    if value.is_empty() {
        return;
    }
    let text = match letter {
        'm' | 'a' | 'd' => format!(
            "its memory is limited to {value} bytes for each process (-{letter}): a process of Camelpost has many sessions, \
             and --worker-memory-max (1G) is its limit"
        ),
        _ => format!("the limit -{letter} {value} is left out"),
    };
    way.note(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Started> {
        let root = Root::new(None).unwrap();
        let call = Call {
            words: line.split(' ').map(str::to_owned).collect(),
            working: PathBuf::from("/srv/qpsmtpd"),
            ..Call::default()
        };
        started(&root, &call)
    }

    #[test]
    fn tcpserver_says_where_how_many_and_as_whom() {
        let found = of(
            "exec softlimit -m 50000000 tcpserver -c 10 -v -HR -p -u 0 -g 0 -x rules.cdb 0 smtp ./qpsmtpd",
        )
        .unwrap();
        assert_eq!(found.program, Path::new("/srv/qpsmtpd/qpsmtpd"));
        let options = found.options;
        assert_eq!(options.server, Server::Tcpserver);
        assert_eq!((options.limit, options.per_address), (10, None));
        assert_eq!(
            (options.listen, options.ports),
            (vec!["0.0.0.0".to_owned()], vec![25])
        );
        assert_eq!(
            (options.user.as_deref(), options.no_rdns),
            (Some("root"), true)
        );
        assert_eq!(options.notes.len(), 2, "{:?}", options.notes);
    }

    #[test]
    fn start_stop_daemon_starts_what_exec_names_and_stops_nothing_here() {
        let line = "start-stop-daemon --start --quiet --chuid smtpd:mail --exec /usr/bin/qpsmtpd-prefork -- --port 25 \
                    --user q --detach";
        let found = of(line).unwrap();
        assert_eq!(found.options.server, Server::Prefork);
        assert_eq!(found.options.user.as_deref(), Some("q"));
        assert!(found.options.detach);
        assert!(of("start-stop-daemon --stop --exec /usr/bin/qpsmtpd-prefork").is_none());
    }

    #[test]
    fn a_shell_within_a_script_is_looked_into() {
        let root = Root::new(None).unwrap();
        let text = "MAX=5\nexec 2>&1 sh -c \"\n  exec softlimit -m $MAX \\\n perl -T ./bin/qpsmtpd-forkserver --port 587\n\"\n";
        let calls = calls(&root, Path::new("run"), text, Path::new("/srv/q"));
        let found = started(&root, &calls[0]).unwrap();
        assert_eq!(found.program, Path::new("/srv/q/bin/qpsmtpd-forkserver"));
        assert_eq!(found.options.ports, [587]);
    }

    #[test]
    fn a_user_or_a_directory_of_the_name_is_not_the_program() {
        for line in [
            "chown qpsmtpd /var/run/qpsmtpd",
            "echo qpsmtpd",
            "setuidgid qpsmtpd multilog t /var/log/qpsmtpd",
            "cd /srv/qpsmtpd",
        ] {
            assert!(of(line).is_none(), "{line}");
        }
        let found =
            of("setuidgid qpsmtpd env QPSMTPD_CONFIG=/etc/q ./qpsmtpd-forkserver -p 25").unwrap();
        assert_eq!(found.options.user.as_deref(), Some("qpsmtpd"));
        assert_eq!(found.config.as_deref(), Some(Path::new("/etc/q")));
        let found = of("daemon --user=smtpd qpsmtpd-forkserver --detach -p 25").unwrap();
        assert_eq!(found.options.user.as_deref(), Some("smtpd"));
        assert_eq!(found.program, Path::new("/usr/bin/qpsmtpd-forkserver"));
        let found = of("/usr/bin/perl -T -I lib ./qpsmtpd-forkserver").unwrap();
        assert_eq!(found.options.ports, [2525]);
    }
}
