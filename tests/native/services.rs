//! What native plugins may use besides the session: DNS, HTTP, threads, config values of their own types,
//! values of a process, replies of their own, and the session's end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use camelpost::plugin::{
    CommandCx, ConfigValue, Cx, HelloCx, HookResult, Hooks, LoadEnv, Peek, PerProcess, Plugin,
    PluginError, WrongValue, declined, deny, deny_disconnect, done, ok_with,
};
use camelpost_support::{Client, Site, dns};

use super::both_ways::{compare_with, owned};
use super::wrong::Daemon;

pub const TESTS: &[super::Test] = &[
    ("names_are_looked_up_by_a_native_plugin", names),
    ("a_native_plugin_asks_an_http_server", http),
    (
        "what_is_offloaded_keeps_no_other_session_waiting",
        offloaded,
    ),
    ("a_worker_forks_when_no_thread_runs", fork_waits),
    ("a_value_of_the_process_is_made_once_in_each", per_process),
    ("a_wrong_config_value_is_told_with_its_line", config),
    ("a_plugin_replies_itself_and_ends_the_session", replies),
    ("keywords_of_ehlo_are_a_plugin_s_too", capability),
    ("an_early_talker_is_seen_and_its_words_are_kept", early),
];

/// Does what a verb asks for.
pub struct Services {
    made: PerProcess<u32>,
}

/// Numbers, one a line.
struct Numbers(u64);

impl ConfigValue for Numbers {
    fn parse(lines: &[Vec<u8>]) -> Result<Numbers, WrongValue> {
        let mut sum = 0;
        for (at, line) in lines.iter().enumerate() {
            let text = String::from_utf8_lossy(line);
            let number = text.parse::<u64>();
            sum += number
                .map_err(|_| WrongValue::new(at, format!("a number is wanted, not '{text}'")))?;
        }
        Ok(Numbers(sum))
    }
}

impl Plugin for Services {
    const NAME: &'static str = "services";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Services, PluginError> {
        let made = PerProcess::new();
        // The zygote's own, which no worker must take for its.
        made.set(std::process::id());
        Ok(Services { made })
    }

    fn hooks(hooks: &mut Hooks<Services>) {
        hooks.connect(connect);
        hooks.ehlo(ehlo);
        hooks.unrecognized_command(Services::command);
    }
}

async fn connect(_: &Services, cx: &mut Cx<'_>) -> HookResult {
    let Some(wait) = *cx.config::<Option<u64>>("peek").await? else {
        return declined();
    };
    let seen = cx.peek(Duration::from_millis(wait)).await;
    cx.log(6, format!("the client is {seen:?}"));
    match seen {
        Peek::Spoke => deny_disconnect("wait for the greeting"),
        Peek::Silent | Peek::Gone => declined(),
    }
}

async fn ehlo(_: &Services, cx: &mut HelloCx<'_>) -> HookResult {
    cx.capability("CHUNKING")?;
    cx.capability("LIMITS RCPTMAX=5")?;
    if cx.host() == b"wrong" {
        cx.capability("A\r\nB")?;
    }
    declined()
}

impl Services {
    async fn command(&self, cx: &mut CommandCx<'_>) -> HookResult {
        let rest = String::from_utf8_lossy(cx.rest()).into_owned();
        let text = match cx.verb() {
            b"a" => format!("{:?}", cx.dns().a(&rest).await?),
            b"aaaa" => format!("{:?}", cx.dns().aaaa(&rest).await?),
            b"mx" => format!("{:?}", cx.dns().mx(&rest).await?),
            b"txt" => {
                let texts = cx.dns().txt(&rest).await?;
                String::from_utf8_lossy(&texts.join(&b'|')).into_owned()
            }
            b"ptr" => format!("{:?}", cx.dns().ptr(rest.parse()?).await?),
            b"fetch" => {
                let answer = cx.http().get(&rest).send().await?;
                format!("{} {}", answer.status, answer.text())
            }
            b"offload" => {
                let time = Duration::from_millis(rest.parse()?);
                let name = move || {
                    std::thread::sleep(time);
                    std::thread::current().name().map(str::to_owned)
                };
                format!("{:?} did it", cx.offload(name).await?)
            }
            b"break" => cx.offload(|| panic!("in a thread")).await?,
            b"pid" => {
                let made = self.made.get_or(std::process::id);
                format!("{} {}", *made, std::process::id())
            }
            b"sum" => cx.config::<Numbers>("numbers").await?.0.to_string(),
            b"reply" => {
                cx.respond(299, "one\ntwo").await?;
                return done();
            }
            b"goodbye" => {
                cx.respond(299, "and good riddance").await?;
                return cx.disconnect().await;
            }
            _ => return declined(),
        };
        deny(text)
    }
}

/// Says in which process it is.
pub struct Leaver;

impl Plugin for Leaver {
    const NAME: &'static str = "leaver";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Leaver, PluginError> {
        Ok(Leaver)
    }

    fn hooks(hooks: &mut Hooks<Leaver>) {
        hooks.vrfy(async |_: &Leaver, _: &mut Cx<'_>| ok_with(std::process::id().to_string()));
    }
}

fn both_ways(site: impl Fn(&Site), test: impl Fn(&Site, &Daemon)) {
    let resolver = dns::serve(zone()).unwrap();
    for rest in ["", "idle\n"] {
        let made = Site::new(&format!("native/services\nnative/leaver\n{rest}"));
        site(&made);
        let daemon = Daemon::start_with(&made, &dns::environment(resolver));
        test(&made, &daemon);
        daemon.stop();
    }
}

fn zone() -> dns::Zone {
    dns::Zone::parse([
        "a.example A 192.0.2.1",
        "a.example A 192.0.2.2",
        "a.example AAAA 2001:db8::1",
        "a.example MX 20 later.example",
        "a.example MX 10 first.example",
        "a.example TXT v=spf1 -all",
        "1.2.0.192.in-addr.arpa PTR name.example",
        "broken.example SERVFAIL",
    ])
    .unwrap()
}

fn greeted(daemon: &Daemon) -> Client {
    let mut client = daemon.connect();
    assert!(client.reply().starts_with("220 "));
    client
}

fn names() {
    both_ways(
        |_| {},
        |site, daemon| {
            let mut client = greeted(daemon);
            let mut addresses = client.say("A a.example");
            // They come in any order.
            addresses = addresses.replace("192.0.2.2, 192.0.2.1", "192.0.2.1, 192.0.2.2");
            assert_eq!(addresses, "500 [192.0.2.1, 192.0.2.2]");
            for (asked, answer) in [
                ("AAAA a.example", "500 [2001:db8::1]"),
                ("A none.example", "500 []"),
                ("AAAA name.example", "500 []"),
                ("TXT a.example", "500 v=spf1 -all"),
                ("PTR 192.0.2.1", "500 [\"name.example\"]"),
            ] {
                assert_eq!(client.say(asked), answer, "{asked}");
            }
            let exchangers = client.say("MX a.example");
            let first = "500 [Mx { preference: 10, exchange: \"first.example\" }, Mx {";
            assert!(exchangers.starts_with(first), "{exchangers}");
            // No answer is no verdict of the plugin's.
            assert!(
                client
                    .say("A broken.example")
                    .starts_with("500 Unrecognized")
            );
            let told = "FATAL PLUGIN ERROR [services]:  DNS: A of broken.example: ";
            let log = site.read("run/log");
            let line = log.lines().find(|line| line.contains(told));
            // Plugin, cause and verdict.
            let verdict = "; the hook goes on without it (plugin_settings on_error)";
            assert!(line.is_some_and(|line| line.ends_with(verdict)), "{log}");
        },
    );
}

fn http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let _ = client.read(&mut [0; 4096]).unwrap();
            let answer = b"HTTP/1.1 203 Yes\r\nContent-Length: 4\r\n\r\nspam";
            client.write_all(answer).unwrap();
        }
    });
    both_ways(
        |_| {},
        |site, daemon| {
            let mut client = greeted(daemon);
            assert_eq!(client.say(&format!("FETCH {url}x")), "500 203 spam");
            assert!(client.say("FETCH ftp://x/").starts_with("500 Unrecognized"));
            let told = "FATAL PLUGIN ERROR [services]:  HTTP: ftp://x/: only http and https";
            assert!(site.read("run/log").contains(told));
        },
    );
}

fn offloaded() {
    both_ways(
        |_| {},
        |site, daemon| {
            let (mut slow, mut quick) = (greeted(daemon), greeted(daemon));
            assert_eq!(
                slow.say("VRFY x"),
                quick.say("VRFY x"),
                "one worker has both"
            );
            slow.send_line("OFFLOAD 1500");
            let begun = Instant::now();
            assert!(quick.say("NOOP").starts_with("250 "));
            let waited = begun.elapsed();
            assert_eq!(slow.reply(), "500 Some(\"offload\") did it");
            assert!(begun.elapsed() > Duration::from_millis(1400));
            assert!(waited < Duration::from_millis(1400), "{waited:?}");
            assert!(slow.say("BREAK").starts_with("500 Unrecognized"));
            let told = "[services]:  what was offloaded panicked: in a thread";
            assert!(site.read("run/log").contains(told));
        },
    );
}

fn fork_waits() {
    both_ways(
        |site| site.put("config/plugin_settings", "native/leaver isolate\n"),
        |site, daemon| {
            let (mut slow, mut other) = (greeted(daemon), greeted(daemon));
            let worker = slow.say("PID");
            assert_eq!(other.say("PID"), worker, "one worker has both");
            slow.send_line("OFFLOAD 1000");
            // The thread runs by then.
            std::thread::sleep(Duration::from_millis(200));
            let left = other.say("VRFY x");
            assert!(
                left.starts_with("250 ") && !worker.contains(&left[4..]),
                "{left} {worker}"
            );
            assert_eq!(slow.reply(), "500 Some(\"offload\") did it");
            assert_eq!(slow.say("PID"), worker);
            // What was made in the worker is not the new process's.
            let made = other.say("PID");
            let own = &left[4..];
            assert_eq!(made, format!("500 {own} {own}"));
            assert!(!site.read("run/log").contains("cannot fork"));
        },
    );
}

fn per_process() {
    both_ways(
        |_| {},
        |_, daemon| {
            let (mut one, mut other) = (greeted(daemon), greeted(daemon));
            let made = one.say("PID");
            let numbers: Vec<&str> = made.split(' ').collect();
            assert_eq!(numbers[1], numbers[2], "it is not the zygote's");
            assert_eq!(other.say("PID"), made);
        },
    );
}

fn config() {
    both_ways(
        |site| site.put("config/numbers", "# numbers\n1\n\n20\n"),
        |site, daemon| {
            assert_eq!(greeted(daemon).say("SUM"), "500 21");
            site.put("config/numbers", "# numbers\n1\n\nmany\n");
            let mut client = greeted(daemon);
            assert!(client.say("SUM").starts_with("500 Unrecognized"));
            let file = site.path("config/numbers");
            let told = format!(
                "FATAL PLUGIN ERROR [services]:  {}:4: a number is wanted, not 'many'",
                file.display()
            );
            let log = site.read("run/log");
            assert!(log.contains(&told), "{told}: {log}");
        },
    );
}

fn replies() {
    compare_with(
        "native/services\nnative/parts\n",
        &owned(&["EHLO x", "REPLY", "NOOP", "GOODBYE", "NOOP"]),
    );
    both_ways(
        |_| {},
        |_, daemon| {
            let mut client = greeted(daemon);
            assert_eq!(client.say("REPLY"), "299-one\n299 two");
            assert_eq!(client.say("GOODBYE"), "299 and good riddance");
            assert_eq!(client.rest(), "");
            // The worker has others.
            assert!(greeted(daemon).say("NOOP").starts_with("250 "));
        },
    );
}

fn capability() {
    both_ways(
        |_| {},
        |site, daemon| {
            let mut client = greeted(daemon);
            let reply = client.say("EHLO x");
            assert!(
                reply.contains("CHUNKING\n") && reply.contains("LIMITS RCPTMAX=5"),
                "{reply}"
            );
            let mut client = greeted(daemon);
            assert!(client.say("EHLO wrong").starts_with("250-"));
            let told = "[services]:  'A\\r\\nB' is no keyword of EHLO's";
            assert!(site.read("run/log").contains(told));
        },
    );
}

fn early() {
    both_ways(
        |site| {
            site.put("config/peek", "600\n");
            site.put("config/loglevel", "6\n");
        },
        |site, daemon| {
            let mut early = daemon.connect();
            early.send_line("HELO x");
            assert_eq!(early.reply(), "550 wait for the greeting");
            assert_eq!(early.rest(), "");
            // Who waits is greeted; what it says then is not lost.
            let mut patient = greeted(daemon);
            assert!(patient.say("HELO x").starts_with("250 "));
            let log = site.read("run/log");
            for seen in ["the client is Spoke", "the client is Silent"] {
                assert!(log.contains(seen), "{seen}: {log}");
            }
        },
    );
}
