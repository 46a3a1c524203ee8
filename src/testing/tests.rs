use std::net::IpAddr;

use super::*;
use crate::plugin::{
    Cx, Failure, HookResult, Hooks, LoadEnv, LoggingCx, PluginError, PreConnectionCx, RcptCx,
    declined, deny, deny_disconnect, ok,
};

/// Refuses whom the DNS or the configuration names; tells who is there.
struct Gate {
    text: String,
}

#[derive(serde::Deserialize)]
struct Args {
    text: String,
}

impl Plugin for Gate {
    const NAME: &'static str = "gate";

    type Args = Args;

    fn load(args: Args, env: &LoadEnv<'_>) -> Result<Gate, PluginError> {
        // To be right from the start.
        env.value::<Option<u32>>("limit")?;
        match args.text.as_str() {
            "panics" => panic!("while it was loaded"),
            _ => Ok(Gate { text: args.text }),
        }
    }

    fn hooks(hooks: &mut Hooks<Gate>) {
        hooks.pre_connection(async |_: &Gate, cx: &mut PreConnectionCx<'_>| {
            cx.notes().set("others", cx.child_addrs().len() as i64);
            declined()
        });
        hooks.connect(Gate::connect);
        hooks.rcpt(Gate::rcpt);
        hooks.data_post(async |_: &Gate, cx: &mut Cx<'_>| {
            cx.envelope().notes().set("seen", "by gate");
            cx.message().header().add_on_top("X-Gate", "passed").await?;
            declined()
        });
    }
}

impl Gate {
    async fn connect(&self, cx: &mut Cx<'_>) -> HookResult {
        let ip = cx.client().ip().ok_or_else(|| Failure::new("no address"))?;
        match cx.dns().ptr(ip).await?.first() {
            Some(name) if name.starts_with("bad") => deny_disconnect(&*self.text),
            Some(_) => ok(),
            None => declined(),
        }
    }

    async fn rcpt(&self, cx: &mut RcptCx<'_>) -> HookResult {
        let refused = cx.config::<Vec<String>>("refused").await?;
        let user = String::from_utf8_lossy(cx.recipient().user().unwrap_or_default()).into_owned();
        match &*user {
            "panics" => panic!("as it was told"),
            user if refused.iter().any(|known| known == user) => deny(&*self.text),
            _ => declined(),
        }
    }
}

/// Takes every line for itself.
struct Quiet;

impl Plugin for Quiet {
    const NAME: &'static str = "quiet";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Quiet, PluginError> {
        Ok(Quiet)
    }

    fn hooks(hooks: &mut Hooks<Quiet>) {
        hooks.logging(|_: &Quiet, _: &mut LoggingCx<'_>| ok());
    }
}

fn site() -> Site {
    Site::new()
        .plugin::<Gate>("text no")
        .taking_messages()
        .config("refused", "root\npostmaster\n")
}

#[test]
fn a_message_goes_through_the_plugins_and_is_there_to_be_seen() {
    let mut client = site().connect().unwrap();
    assert!(client.greeting().text().starts_with("mx.example.org ESMTP"));
    assert_eq!(client.greet("x").code(), 250);
    client.say("MAIL FROM:<a@example.net>");
    assert_eq!(client.say("RCPT TO:<root@example.com>").0, ["550 no"]);
    assert_eq!(client.say("RCPT TO:<panics@example.com>").code(), 250);
    assert_eq!(client.say("RCPT TO:<b@example.com>").code(), 250);
    let sent = client.send_message("Subject: x\n\n.dot\nlast\n");
    assert_eq!(sent.0, ["250 taken"]);
    let ended = client.quit();
    let taken = &ended.messages[0];
    assert_eq!(taken.sender, "<a@example.net>");
    assert_eq!(
        taken.recipients,
        ["<panics@example.com>", "<b@example.com>"]
    );
    assert!(
        taken.header.starts_with("X-Gate: passed\n"),
        "{}",
        taken.header
    );
    assert_eq!(taken.body, ".dot\nlast\n");
    assert_eq!(taken.notes["seen"], "by gate");
    assert_eq!(ended.notes["others"], "0");
    assert!(ended.has_logged("FATAL PLUGIN ERROR [gate]:  panicked: as it was told"));
    assert_eq!(ended.messages.len(), 1);
}

#[test]
fn the_zone_is_all_that_the_dns_knows() {
    let ip: IpAddr = "2001:db8::5".parse().unwrap();
    let zone = Zone::new().ptr(ip, "bad.example");
    let client = site()
        .client(ip, "bad.example")
        .dns(zone)
        .connect()
        .unwrap();
    assert_eq!(client.greeting().0, ["550 no"]);
    let ended = client.hang_up();
    assert!(ended.has_logged("Connection from bad.example [2001:db8::5]"));
    // Another session's zone is another.
    let client = site().client(ip, "bad.example").connect().unwrap();
    assert_eq!(client.greeting().code(), 220);
    client.quit();
}

#[test]
fn other_clients_are_there_for_pre_connection() {
    let others: [IpAddr; 2] = [[192, 0, 2, 7].into(), [192, 0, 2, 7].into()];
    let client = site().others(&others).connect().unwrap();
    assert_eq!(client.quit().notes["others"], "2");
}

#[test]
fn what_an_administrator_would_read_is_the_error() {
    let told = |site: Site| site.connect().err().unwrap();
    let missing = told(Site::new().line("# first").plugin::<Gate>(""));
    assert_eq!(
        missing,
        "camelpost: plugins:2: native/gate: argument 'text' is missing"
    );
    let unknown = told(site().line("native/gat"));
    assert!(
        unknown.starts_with("camelpost: plugins:3: native/gat: there is no such"),
        "{unknown}"
    );
    let wrong = told(site().config("limit", "# of what?\nmany\n"));
    let expected =
        "camelpost: plugins:1: native/gate: limit:2: 'many' cannot be used: invalid digit";
    assert!(wrong.starts_with(expected), "{wrong}");
    let panicked = told(Site::new().plugin::<Gate>("text panics"));
    assert_eq!(panicked, "a plugin has panicked while it was loaded");
}

#[test]
fn lines_go_to_the_logger_that_takes_them() {
    let client = site().logger::<Quiet>("").connect().unwrap();
    let ended = client.quit();
    assert!(ended.log.is_empty(), "{:?}", ended.log);
}
