//! A native plugin with a hook of every kind: each says in the log what it has seen of its session, and
//! some do what a word of the command asks for. And a logger, which keeps lines in a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use camelpost::hook::Code;
use camelpost::plugin::{
    AuthCx, CommandCx, ConfigCx, Cx, HelloCx, HelpCx, HookResult, Hooks, LoadEnv, LoggingCx,
    MailCx, ParseCx, Parsed, PathCx, Plugin, PluginError, PreConnectionCx, RcptCx, ReceivedLineCx,
    UserConfigCx, VerdictCx, Words, declined, deny, deny_disconnect, ok, ok_with, parse_with,
    values,
};

pub struct Parts;

impl Plugin for Parts {
    const NAME: &'static str = "parts";

    type Args = ();

    fn load((): (), env: &LoadEnv<'_>) -> Result<Parts, PluginError> {
        env.warn("it is here");
        Ok(Parts)
    }

    fn hooks(hooks: &mut Hooks<Parts>) {
        hooks.post_fork(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.pre_connection(pre_connection);
        hooks.connect(connect);
        hooks.helo_parse(async |_: &Parts, _: &mut ParseCx<'_>| parse_with(hello));
        hooks.ehlo_parse(async |_: &Parts, _: &mut ParseCx<'_>| parse_with(hello));
        hooks.helo(hello_seen);
        hooks.ehlo(hello_seen);
        hooks.auth_parse(auth_parse);
        hooks.auth(auth);
        hooks.auth_plain(auth);
        hooks.auth_login(auth);
        hooks.auth_cram_md5(auth);
        hooks.mail_parse(path_parse);
        hooks.mail_pre(pre);
        hooks.mail(mail);
        hooks.rcpt_parse(path_parse);
        hooks.rcpt_pre(pre);
        hooks.rcpt(rcpt);
        hooks.data(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.data_headers_end(headers_end);
        hooks.data_post_headers(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.data_post(data_post);
        hooks.received_line(received_line);
        hooks.queue_pre(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.queue(async |_: &Parts, _: &mut Cx<'_>| ok_with("taken"));
        hooks.queue_post(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.reset_transaction(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.unrecognized_command(command);
        hooks.help(help);
        hooks.noop(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.plain().vrfy(|_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.quit(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.disconnect(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.post_connection(async |_: &Parts, cx: &mut Cx<'_>| quietly(cx));
        hooks.config(config);
        hooks.user_config(user_config);
        hooks.ok(verdict);
        hooks.deny(verdict);
    }
}

fn quietly(cx: &Cx<'_>) -> HookResult {
    cx.log(6, format!("seen in {}", cx.hook().name()));
    declined()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn opt(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_owned(), text)
}

async fn pre_connection(_: &Parts, cx: &mut PreConnectionCx<'_>) -> HookResult {
    let here = cx.client().ip().unwrap();
    let same = cx.child_addrs().into_iter().all(|ip| ip == here);
    cx.log(
        6,
        format!("limit {}, all from here: {same}", cx.max_conn_ip()),
    );
    declined()
}

async fn connect(_: &Parts, cx: &mut Cx<'_>) -> HookResult {
    let client = cx.client();
    let text = format!(
        "{} {} to {}",
        client.ip_text(),
        client.host(),
        client.local_ip().unwrap()
    );
    cx.log(6, text);
    declined()
}

/// `HELO parsed HOST MORE`.
fn hello(rest: &[u8]) -> Result<Parsed, Vec<u8>> {
    let rest = text(rest);
    let mut words = rest.split_ascii_whitespace();
    match words.next() {
        Some("panics") => panic!("in a parser"),
        Some("parsed") => {}
        first => return first.map(Parsed::host).ok_or_else(Vec::new),
    }
    let host = Parsed::host(words.next().unwrap_or_default());
    Ok(words.fold(host, Parsed::with))
}

async fn hello_seen(_: &Parts, cx: &mut HelloCx<'_>) -> HookResult {
    let extras: Vec<String> = cx.extras().into_iter().map(text).collect();
    cx.log(6, format!("hello of {} with {extras:?}", text(cx.host())));
    declined()
}

async fn auth_parse(_: &Parts, cx: &mut ParseCx<'_>) -> HookResult {
    cx.log(6, format!("auth line {}", text(cx.line())));
    parse_with(|rest| {
        let rest = text(rest);
        let mut words = rest.split_ascii_whitespace();
        let mechanism = words.next().ok_or("no mechanism")?;
        if mechanism == "refuse" {
            return Err(b"not that one".to_vec());
        }
        Ok(words.fold(Parsed::mechanism(mechanism), Parsed::with))
    })
}

async fn auth(_: &Parts, cx: &mut AuthCx<'_>) -> HookResult {
    let text = format!(
        "{} as {} with {}, {}, {}",
        text(cx.mechanism()),
        text(cx.user()),
        opt(cx.password()),
        cx.digest().is_some(),
        cx.ticket().is_some()
    );
    cx.log(6, text);
    match cx.password() {
        _ if cx.knows(b"secret") => ok_with("welcome"),
        Some(b"wrong") => deny("no such password"),
        _ => declined(),
    }
}

async fn path_parse(_: &Parts, cx: &mut ParseCx<'_>) -> HookResult {
    cx.log(6, format!("line {}", text(cx.line())));
    parse_with(|rest| {
        let rest = text(rest);
        if rest.contains("refuse") {
            return Err(b"not that one".to_vec());
        }
        if rest.contains("panics") {
            panic!("in a parser");
        }
        let (_, rest) = rest.split_once(':').ok_or(b"no colon".to_vec())?;
        let mut words = rest.split_ascii_whitespace();
        let path = words.next().unwrap_or_default();
        Ok(words.fold(Parsed::path(path), Parsed::with))
    })
}

async fn pre(_: &Parts, cx: &mut PathCx<'_>) -> HookResult {
    cx.log(
        6,
        format!("path {} size {}", text(cx.path()), opt(cx.param("SIZE"))),
    );
    match cx.path() {
        b"<short>" => ok_with("<long@example.com>"),
        _ => declined(),
    }
}

#[derive(Default, Clone)]
struct Count(u32);

async fn mail(_: &Parts, cx: &mut MailCx<'_>) -> HookResult {
    let (all, own) = (cx.local::<Count>(), cx.transaction_local::<Count>());
    all.with(|count| count.0 += 1);
    own.with(|count| count.0 += 1);
    let (all, own) = (all.get().0, own.get().0);
    let auth = cx.auth();
    let sender = text(&cx.sender().format());
    let size = opt(cx.param("size"));
    let user = opt(auth.proved_user());
    cx.log(6, format!("{sender} size {size} by {user}, {own} of {all}"));
    if let Some(notes) = cx.sender_notes() {
        notes.set("seen_by", "parts");
    }
    cx.client().set_note("last_sender", sender);
    declined()
}

async fn rcpt(_: &Parts, cx: &mut RcptCx<'_>) -> HookResult {
    let envelope = cx.envelope();
    let seen = envelope
        .sender_notes()
        .and_then(|notes| notes.text("seen_by"));
    let before = envelope.recipients().len();
    let recipient = cx.recipient();
    let text = format!(
        "{} after {before}, sender of {seen:?}, notify {}, relay {}",
        text(&recipient.format()),
        opt(cx.param("NOTIFY")),
        cx.client().may_relay()
    );
    cx.log(6, text);
    match recipient.user() {
        Some(b"relay") => cx.client().set_may_relay(true),
        Some(b"both") => {
            let mut other = recipient.clone();
            other.set_user(b"other".to_vec());
            envelope.add_recipient(other);
        }
        Some(b"one") => envelope.set_recipients([]),
        _ => {}
    }
    ok()
}

async fn headers_end(_: &Parts, cx: &mut Cx<'_>) -> HookResult {
    let subject = cx.message().header().first("Subject").await?;
    cx.log(6, format!("subject at its end {subject:?}"));
    let sender = cx.envelope().sender().unwrap_or_default();
    match sender.user() {
        Some(b"long") => deny_disconnect("too long a header"),
        _ => declined(),
    }
}

async fn data_post(_: &Parts, cx: &mut Cx<'_>) -> HookResult {
    let message = cx.message();
    let subject = message.header().first("subject").await?.unwrap_or_default();
    let (mut lines, mut count, mut last) = (message.lines(), 0, Vec::new());
    while let Some(line) = lines.next().await? {
        (count, last) = (count + 1, line);
    }
    let (mut chunks, mut bytes) = (message.chunks(), 0);
    while let Some(chunk) = chunks.next().await? {
        bytes += chunk.len();
    }
    let text = format!(
        "{}: {count} lines, {bytes} of {} bytes, last {:?}, in a file: {}",
        text(&subject),
        message.body_size(),
        text(&last),
        message.spool_file().is_some_and(|file| file.exists())
    );
    cx.log(6, text);
    declined()
}

async fn received_line(_: &Parts, cx: &mut ReceivedLineCx<'_>) -> HookResult {
    let (auth, cipher) = (text(cx.auth_comment()), text(cx.cipher_comment()));
    cx.log(
        6,
        format!("received by {}{auth}{cipher}", text(cx.protocol())),
    );
    match cx.client().hello_host().as_deref() {
        Some(b"mine") => ok_with("from mine\n by me; today"),
        _ => declined(),
    }
}

async fn command(_: &Parts, cx: &mut CommandCx<'_>) -> HookResult {
    cx.log(6, format!("{} and {}", text(cx.verb()), text(cx.rest())));
    match cx.verb() {
        b"config" => {
            let values = cx.config_lines(&text(cx.rest())).await;
            deny(values.join(&b' '))
        }
        _ => declined(),
    }
}

async fn help(_: &Parts, cx: &mut HelpCx<'_>) -> HookResult {
    let words: Vec<String> = cx.words().into_iter().map(text).collect();
    ok_with(format!("help for {words:?}"))
}

async fn config(_: &Parts, cx: &mut ConfigCx<'_>) -> HookResult {
    match cx.name() {
        b"databytes" => values(["5432100"]),
        // What the file has, and one more.
        b"of_both" => {
            let mut all = cx.config_lines("of_both").await;
            all.push(b"from the hook".to_vec());
            values(all)
        }
        b"fails" => Err("x".parse::<u8>().unwrap_err())?,
        _ => declined(),
    }
}

async fn user_config(_: &Parts, cx: &mut UserConfigCx<'_>) -> HookResult {
    let user = cx.user().map(|user| text(&user.format()));
    values([format!("{} of {user:?}", text(cx.name()))])
}

fn verdict(_: &Parts, cx: &mut VerdictCx<'_>) -> HookResult {
    let (by, said) = (text(cx.given_by()), text(cx.text()));
    cx.log(
        6,
        format!("{by} said {} {said}", cx.code().name().unwrap_or("?")),
    );
    match cx.code() {
        Code::Deny if said.contains("panic") => panic!("after a verdict"),
        _ => declined(),
    }
}

/// `native/keeper FILE [LEVEL]`: keeps lines up to a level in a file, and takes care of those that have
/// `secret` in them.
pub struct Keeper {
    file: PathBuf,
    level: u8,
}

impl Plugin for Keeper {
    const NAME: &'static str = "keeper";

    type Args = Words;

    fn load(Words(words): Words, _: &LoadEnv<'_>) -> Result<Keeper, PluginError> {
        let [file, level] = &words[..] else {
            return Err(PluginError::new("wants a file and a level"));
        };
        let level = text(level);
        let level = level.parse().map_err(|_| {
            PluginError::argument(
                "LEVEL",
                format!("takes a number from 0 to 7, not '{level}'"),
            )
        })?;
        Ok(Keeper {
            file: text(file).into(),
            level,
        })
    }

    fn hooks(hooks: &mut Hooks<Keeper>) {
        hooks.logging(Keeper::keep);
    }
}

impl Keeper {
    fn keep(&self, cx: &mut LoggingCx<'_>) -> HookResult {
        cx.log(0, "this goes nowhere");
        if cx.level() > self.level {
            return declined();
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.file)?;
        let (hook, plugin) = (opt(cx.said_in()), opt(cx.said_by()));
        let line = format!("{} {hook} {plugin} {}\n", cx.level(), text(&cx.text()));
        file.write_all(line.as_bytes())?;
        match line.contains("panics in a logger") {
            true => panic!("as it was told"),
            false => ok(),
        }
    }
}
