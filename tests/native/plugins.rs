//! A native plugin that does what its client asks for: a word of the command (`deny` in
//! `RCPT TO:<deny@x>`) is its verdict in that hook, or what it does there.

use std::time::Duration;

use camelpost::hook::{Arg, Code, Verdict};
use camelpost::plugin::{
    Cx, Failure, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined, ok_with,
};

pub struct Tester;

impl Plugin for Tester {
    const NAME: &'static str = "tester";

    type Args = ();

    fn load(_: (), _: &LoadEnv<'_>) -> Result<Tester, PluginError> {
        Ok(Tester)
    }

    fn hooks(hooks: &mut Hooks<Tester>) {
        hooks.connect(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "connect"));
        hooks.helo(async |_: &Tester, cx| obey(cx).await);
        hooks.ehlo(async |_: &Tester, cx| obey(cx).await);
        hooks.mail(async |_: &Tester, cx| obey(cx).await);
        hooks.rcpt(async |_: &Tester, cx| obey(cx).await);
        hooks.data(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "data"));
        hooks.data_post(async |_: &Tester, cx| in_header(cx).await);
        hooks.queue_pre(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "queue_pre"));
        hooks.queue(async |_: &Tester, _| ok_with("taken"));
        hooks.queue_post(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "queue_post"));
        hooks.reset_transaction(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "reset"));
        hooks.unrecognized_command(async |_: &Tester, cx| obey(cx).await);
        hooks.noop(async |_: &Tester, cx| obey(cx).await);
        hooks.help(async |_: &Tester, cx| obey(cx).await);
        hooks.vrfy(async |_: &Tester, _| ok_with(std::process::id().to_string()));
        hooks.quit(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "quit"));
        hooks.disconnect(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "disconnect"));
        hooks.post_connection(async |_: &Tester, cx: &mut Cx<'_>| quietly(cx, "post"));
    }
}

fn quietly(cx: &Cx<'_>, hook: &str) -> HookResult {
    cx.log(6, format!("seen in {hook}"));
    declined()
}

/// Does what the first of its words says that means anything, in the hook's arguments.
async fn obey(cx: &Cx<'_>) -> HookResult {
    let said: Vec<String> = cx.args().iter().map(text).collect();
    let said = said.join(" ");
    let count = cx.notes().int("count").unwrap_or_default() + 1;
    cx.notes().set("count", count);
    cx.log(6, format!("call {count}"));
    for word in said.split(|c: char| !c.is_ascii_alphanumeric()) {
        let code = match word {
            "ok" => Code::Ok,
            "deny" => Code::Deny,
            "denysoft" => Code::DenySoft,
            "denydisconnect" => Code::DenyDisconnect,
            "denysoftdisconnect" => Code::DenySoftDisconnect,
            "done" => Code::Done,
            "yield" => Code::Yield,
            "odd" => Code::Other(b"17".to_vec()),
            "panics" => panic!("as {} was told", "it"),
            "fails" => return Err(Failure::new("as it was told")),
            "blocks" => {
                std::thread::sleep(Duration::from_millis(900));
                Code::Declined
            }
            "waits" => {
                tokio::time::sleep(Duration::from_millis(30)).await;
                Code::Declined
            }
            _ => continue,
        };
        return Ok(Verdict::with_text(code, "as you say\nin two lines"));
    }
    Ok(Verdict::with_text(Code::Declined, "not mine"))
}

/// The same with a message's Subject; what sleeps here keeps its session waiting and no other.
async fn in_header(cx: &Cx<'_>) -> HookResult {
    let header = cx.message().header().text().await?;
    let header = String::from_utf8_lossy(&header).into_owned();
    let fields: Vec<&str> = header
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    cx.log(6, format!("fields {}", fields.join(" ")));
    if header.contains("Subject: sleeps") {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    if header.contains("Subject: panics") {
        panic!("in the middle of a message");
    }
    let me = cx.config_lines("me").await;
    cx.log(
        6,
        format!("me {}", String::from_utf8_lossy(&me.join(&b' '))),
    );
    declined()
}

fn text(arg: &Arg) -> String {
    match arg {
        Arg::Address(address) => {
            String::from_utf8_lossy(&address.address.borrow().format()).into_owned()
        }
        arg => String::from_utf8_lossy(arg.text().unwrap_or_default()).into_owned(),
    }
}
