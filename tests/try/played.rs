//! A trial as the tests play it: the program with a site, what is typed, and what it has shown.

use std::io::{Read, Write as _};
use std::process::{Command, Output, Stdio};
use std::thread;

use camelpost_support::Site;
use camelpost_support::process::as_root;
use serde_json::Value;

pub const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// A site whose plugin does what the test says, before `taker`.
pub fn site_with(plugin: &str) -> Site {
    let site = Site::new("own\ntaker\n");
    site.put("plugins/own", plugin);
    site
}

/// The command, for who is to run it.
pub fn command(site: &Site, more: &[&str]) -> Command {
    let mut command = site.command(CAMELPOST);
    command.args(["try", "--config"]).arg(site.path("config"));
    as_root(&mut command);
    command.args(more);
    command
}

/// Runs a command with this on its standard input.
pub fn run(mut command: Command, typed: &str) -> Output {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let typed = typed.to_owned();
    let typist = thread::spawn(move || {
        let _ = input.write_all(typed.as_bytes());
    });
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut all = Vec::new();
            let _ = from.read_to_end(&mut all);
            all
        })
    };
    let (out, err) = (reader(Box::new(out)), reader(Box::new(err)));
    // One that hangs is to fail its test.
    let status = camelpost_support::wait(&mut child);
    typist.join().unwrap();
    Output {
        status,
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
    }
}

/// What a trial has shown.
#[derive(Debug)]
pub struct Played {
    pub events: Vec<Value>,
    pub status: Option<i32>,
    pub stderr: String,
}

impl Played {
    pub fn of(output: &Output) -> Played {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
        Played {
            events: events.collect(),
            status: output.status.code(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The events of a kind.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events
            .iter()
            .filter(move |event| event["event"] == kind)
    }

    pub fn summary(&self) -> &Value {
        self.all("summary").last().expect("there is a summary")
    }

    /// All lines of all replies.
    pub fn replies(&self) -> Vec<String> {
        let replies = self
            .all("command")
            .map(|event| event["reply"].as_array().unwrap());
        let lines = replies
            .flatten()
            .map(|line| line.as_str().unwrap().to_owned());
        lines.collect()
    }

    /// The lines of the reply to the first command that begins like this.
    pub fn reply_to(&self, command: &str) -> Vec<String> {
        let is_it = |event: &&Value| {
            event["command"]
                .as_str()
                .is_some_and(|said| said.starts_with(command))
        };
        let event = self.all("command").find(is_it).expect("it was said");
        let lines = event["reply"].as_array().unwrap().iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    }

    /// `HOOK PLUGIN VERDICT` of each call, in order.
    pub fn calls(&self) -> Vec<String> {
        let word = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        let call = |event: &Value| {
            let words = ["hook", "plugin", "verdict"].map(|name| word(event, name));
            words.join(" ")
        };
        self.all("plugin").map(call).collect()
    }

    /// `WHAT OF NAME` of each change that a plugin's hook has made.
    pub fn changes(&self, plugin: &str, hook: &str) -> Vec<String> {
        let of = self
            .all("plugin")
            .filter(|call| call["plugin"] == plugin && call["hook"] == hook);
        let changes = of.filter_map(|call| call["changes"].as_array()).flatten();
        let texts = changes.map(|change| {
            let word = |name: &str| change[name].as_str().map(str::to_owned);
            let words = ["what", "of", "name", "before", "after"].map(word);
            let words = words.into_iter().flatten().filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        });
        texts.collect()
    }
}

/// A trial in JSON, with nobody's name looked up.
pub fn play(site: &Site, more: &[&str]) -> Played {
    typed(site, more, "")
}

/// The same with this on its standard input.
pub fn typed(site: &Site, more: &[&str], text: &str) -> Played {
    let mut command = command(site, more);
    command.args(["--json", "--no-rdns"]);
    Played::of(&run(command, text))
}
