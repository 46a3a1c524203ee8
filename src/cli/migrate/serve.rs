//! The start of the old server as one of Camelpost: the options of `serve`, the drop-in of its unit, the run script. Starts and writes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::reach::Reach;
use super::report::{Item, comment, quoted};
use super::root::Root;
use super::start::{Options, Server, Start};

/// What Camelpost is started with.
pub(super) struct Serve {
    /// The program.
    pub(super) program: PathBuf,
    pub(super) config: PathBuf,
    pub(super) user: String,
    /// What comes behind `--config DIR`, but for the user.
    pub(super) options: Vec<String>,
    pub(super) working: PathBuf,
    pub(super) remarks: Vec<Item>,
    pub(super) limits: Vec<Item>,
}

/// As whom it runs where nothing says it: the original's default.
const DEFAULT_USER: &str = "smtpd";

/// What a run script says of itself, with the old one's name between the two.
const WRITTEN: &str = "# Written by `camelpost migrate`: what ";
const STARTS: &str = " starts, with Camelpost.";

impl Serve {
    pub(super) fn new(
        root: &Root,
        config: &Path,
        start: Option<&Start>,
        user: Option<&str>,
    ) -> Serve {
        let program = match std::env::current_exe() {
            Ok(program) if root.is_this() => program,
            _ => PathBuf::from("/usr/bin/camelpost"),
        };
        let options = start.map(|start| &start.options);
        let mut remarks = Vec::new();
        let mut remark = |text: String| remarks.push(Item::Remark { text });
        let given = user
            .map(str::to_owned)
            .or_else(|| options.and_then(|options| options.user.clone()));
        if given.is_none() {
            remark(format!(
                "no user is named: {DEFAULT_USER}, which qpsmtpd-forkserver takes when root starts it, is taken; --user names another"
            ));
        }
        let user = given.unwrap_or_else(|| DEFAULT_USER.to_owned());
        if root.user(&user).is_none() {
            remark(format!(
                "there is no user {user} in /etc/passwd: it has to be there before Camelpost is started as that"
            ));
        }
        let mut limits = Vec::new();
        let words = match options {
            Some(options) => {
                for text in &options.notes {
                    remark(text.clone());
                }
                if let Some(file) = &options.pid_file {
                    remark(format!(
                        "{} is the old server's pid file, and stays with it",
                        file.display()
                    ));
                }
                if options.server == Server::Async {
                    remark("qpsmtpd-async's plugins async/NAME, which return YIELD, have twins without async/ in Camelpost".to_owned());
                }
                limits = limits_of(options);
                words(options)
            }
            None => {
                remark("no script or unit that starts it was found: name one with --init FILE, and its options are kept".to_owned());
                ["--port", "25"].map(str::to_owned).to_vec()
            }
        };
        Serve {
            program,
            config: config.to_path_buf(),
            user,
            options: words,
            working: start.map_or_else(|| PathBuf::from("/"), |start| start.working.clone()),
            remarks,
            limits,
        }
    }

    /// The command line, for a shell.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = self.begin("camelpost".to_owned());
        words.extend(self.options.iter().cloned());
        words.extend(["--user".to_owned(), self.user.clone()]);
        words
    }

    /// The same on a port of this machine's own.
    pub(super) fn trial(&self) -> Vec<String> {
        let mut words = self.begin("camelpost".to_owned());
        let more = [
            "--listen-address",
            "127.0.0.1",
            "--port",
            "2525",
            "--user",
            &self.user,
        ];
        words.extend(more.map(str::to_owned));
        words
    }

    fn begin(&self, program: String) -> Vec<String> {
        let config = self.config.display().to_string();
        vec![program, "serve".to_owned(), "--config".to_owned(), config]
    }

    /// The run script for daemontools or runit.
    pub(super) fn run_script(&self, start: &Start) -> String {
        let mut words = self.words();
        words[0] = self.program.display().to_string();
        let working = quoted(&[self.working.display().to_string()]);
        format!(
            "#!/bin/sh\n{WRITTEN}{}{STARTS}\n\
             # Relative paths in the configuration are meant from here.\ncd {working} || exit 1\nexec 2>&1\nexec {}\n",
            comment(&start.file.display().to_string()),
            quoted(&words)
        )
    }

    /// The script in whose place such a run script was written.
    pub(super) fn written_for(text: &str) -> Option<&str> {
        let line = text.lines().nth(1)?;
        line.strip_prefix(WRITTEN)?.strip_suffix(STARTS)
    }

    /// The drop-in for camelpost.service. `program`: the unit's, as what runs here may lie where the service cannot start it.
    pub(super) fn drop_in(
        &self,
        start: Option<&Start>,
        program: &Path,
        reach: &Reach,
        plugins: &BTreeSet<String>,
    ) -> String {
        let words = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| for_systemd(word)).collect();
            words.join(" ")
        };
        let program = program.display().to_string();
        let mut serve = self.begin(program.clone());
        serve.extend(self.options.iter().cloned());
        let check = [
            program,
            "check".to_owned(),
            "--config".to_owned(),
            self.config.display().to_string(),
        ];
        let from = start.map_or_else(
            || "the old server's configuration".to_owned(),
            |start| comment(&start.file.display().to_string()),
        );
        let is_root = self.user == "root";
        let root = if is_root { " --user root" } else { "" };
        // A program that gains rights by its file needs all that it had before.
        let gains = ["queue/qmail-queue", "queue/exim-bsmtp"]
            .iter()
            .any(|name| plugins.contains(*name));
        let mut text = format!(
            "# Written by `camelpost migrate` after {from}. It makes camelpost.service start with this configuration,\n\
             # as one user, who is the old server's.\n[Service]\nUser={}\nExecStartPre=\nExecStartPre=-{}{root}\nExecStart=\nExecStart={}{root}\n\
             WorkingDirectory={}\n# As a start script has it.\nUMask=0022\n",
            self.user,
            words(&check),
            words(&serve),
            // Nothing else is special there, and nothing can stand for a line feed.
            comment(&self.working.display().to_string()).replace('%', "%%"),
        );
        match gains {
            true => {
                text += "# Programs of the queue that gain rights by their file.\nAmbientCapabilities=\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n\
                CapabilityBoundingSet=~\nNoNewPrivileges=no\nRestrictSUIDSGID=no\n"
            }
            false if is_root => text += "AmbientCapabilities=\nCapabilityBoundingSet=~\n",
            false => {
                text += "AmbientCapabilities=\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
            }
        }
        let mut paths: Vec<String> = reach
            .written
            .iter()
            .map(|path| format!("-{}", path.display()))
            .collect();
        for (plugin, more) in [
            ("queue/qmail-queue", &["-/var/qmail"][..]),
            (
                "queue/exim-bsmtp",
                &["-/var/spool/exim4", "-/var/log/exim4"],
            ),
        ] {
            if plugins.contains(plugin) {
                paths.extend(more.iter().map(|path| (*path).to_owned()));
            }
        }
        if let Some(path) = &reach.in_tmp {
            text += &format!(
                "# For {}: in a private /tmp what is written would be gone when the service stops, mail too, and what others\n\
                 # have there would not be seen. Plugins make files of their own there, too.\nPrivateTmp=no\n",
                comment(&path.display().to_string())
            );
            paths.extend(["/tmp", "/var/tmp"].map(str::to_owned));
        }
        if let Some(path) = &reach.in_a_home {
            text += &format!(
                "# For {}: homes would be hidden.\nProtectHome=no\n",
                comment(&path.display().to_string())
            );
        }
        text += "# Where plugins write; the rest is read only to them.\n";
        let paths: Vec<String> = paths.iter().map(|path| for_systemd(path)).collect();
        text + &format!("ReadWritePaths={}\n", paths.join(" "))
    }
}

/// The options of `serve` that come to the same.
fn words(options: &Options) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |name: &str, value: &str| words.extend([format!("--{name}"), value.to_owned()]);
    for address in &options.listen {
        add("listen-address", address);
    }
    for port in &options.ports {
        add("port", &port.to_string());
    }
    if options.server != Server::Async {
        add("limit-connections", &options.limit.to_string());
    }
    let per_address = per_address(options);
    if options.server != Server::Async {
        add("max-from-ip", &per_address.to_string());
    }
    if let Some(spare) = options.spare {
        // `serve` refuses numbers that contradict each other.
        let spare = if options.limit > 0 {
            spare.min(options.limit)
        } else {
            spare
        };
        add("spare-workers", &spare.to_string());
    }
    if options.no_rdns {
        words.push("--no-rdns".to_owned());
    }
    words
}

fn per_address(options: &Options) -> u32 {
    match options.per_address {
        Some(one) if options.limit > 0 => one.min(options.limit),
        Some(one) => one,
        None => 0,
    }
}

/// What the numbers of the start mean here.
fn limits_of(options: &Options) -> Vec<Item> {
    let mut limits = Vec::new();
    let mut limit = |text: String| limits.push(Item::Limit { text });
    let (program, per_address) = match options.server {
        Server::Tcpserver => ("tcpserver", None),
        Server::Forkserver => ("qpsmtpd-forkserver", Some(per_address(options))),
        Server::Prefork => ("qpsmtpd-prefork", Some(per_address(options))),
        Server::Async => {
            limit("connections from one address at a time: 5 (--max-from-ip 0: any number, as with qpsmtpd-async)".to_owned());
            return limits;
        }
    };
    let own = match options.limit_given {
        true => String::new(),
        false => format!(", {program}'s default"),
    };
    limit(match options.limit {
        0 => "connections at a time: any number, as before".to_owned(),
        number => format!(
            "connections at a time: {number} (--limit-connections), as before{own}; Camelpost's default is 6400"
        ),
    });
    match per_address {
        None if options.per_address.is_none() => limit(format!(
            "connections from one address at a time: any number (--max-from-ip 0), as {program} has it; Camelpost's default is 5"
        )),
        Some(0) => {}
        _ => {
            let number = self::per_address(options);
            let before = match options.server {
                Server::Tcpserver => "as before",
                _ => {
                    "new in force: qpsmtpd leaves the number to the plugin hosts_allow, Camelpost counts by itself where no \
                      plugin hooks pre-connection"
                }
            };
            limit(format!(
                "connections from one address at a time: {number} (--max-from-ip; 0: any number), {before}"
            ));
        }
    }
    limits
}

/// A word as systemd takes it.
fn for_systemd(word: &str) -> String {
    let escaped = word
        .replace('\\', "\\\\")
        .replace('%', "%%")
        .replace('$', "$$");
    // Behind a line feed there would be another setting.
    let escaped: String = escaped
        .chars()
        .map(|c| match c.is_control() {
            true => format!("\\u{:04x}", u32::from(c)),
            false => c.to_string(),
        })
        .collect();
    match escaped.contains([' ', '\t', '"', '\'']) {
        true => format!("\"{}\"", escaped.replace('"', "\\\"")),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::service::{Given, contradiction};
    use super::super::super::{CommandLine, Subcommands};
    use super::*;
    use clap::{CommandFactory, FromArgMatches};

    /// Whether `serve` takes them.
    fn complaint(options: &Options) -> Option<String> {
        let mut all = vec!["camelpost".to_owned(), "serve".to_owned()];
        all.extend(words(options));
        let matches = CommandLine::command().try_get_matches_from(all).unwrap();
        let Ok(CommandLine {
            command: Subcommands::Serve(serve),
        }) = CommandLine::from_arg_matches(&matches)
        else {
            panic!("not serve")
        };
        contradiction(&serve, &Given(matches.subcommand_matches("serve")))
    }

    #[test]
    fn the_options_are_such_that_serve_takes_them() {
        for (limit, per_address, spare) in [
            (3, Some(5), Some(5)),
            (0, None, None),
            (40, Some(0), Some(60)),
            (7000, Some(10), None),
        ] {
            let options = Options {
                listen: vec!["[::1]:25".to_owned(), "192.0.2.1".to_owned()],
                ports: vec![25, 587],
                limit,
                per_address,
                spare,
                no_rdns: true,
                ..Options::default()
            };
            assert_eq!(complaint(&options), None, "{options:?}");
        }
    }

    #[test]
    fn words_are_escaped_for_systemd() {
        assert_eq!(for_systemd("/a b%c"), "\"/a b%%c\"");
        assert_eq!(for_systemd("[::1]:25"), "[::1]:25");
        assert_eq!(for_systemd("/a\nUser=root"), "/a\\u000aUser=root");
    }
}
