//! A native plugin that does with the store what its client asks for.

use std::time::Duration;

use camelpost::plugin::{
    Change, CommandCx, Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, RcptCx, declined, done,
    ok_with,
};

pub struct Keeper;

impl Plugin for Keeper {
    const NAME: &'static str = "keeper";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Keeper, PluginError> {
        Ok(Keeper)
    }

    fn hooks(hooks: &mut Hooks<Keeper>) {
        hooks.unrecognized_command(command);
        hooks.rcpt(rcpt);
    }
}

/// Counts in the plugin's own name space.
async fn rcpt(_: &Keeper, cx: &mut RcptCx<'_>) -> HookResult {
    let count = cx.own_store().increment("rcpt", 1, None).await?;
    cx.log(6, format!("recipient {count}"));
    declined()
}

/// `PUT KEY VALUE MS` and its like, in the name space `shared`.
async fn command(_: &Keeper, cx: &mut CommandCx<'_>) -> HookResult {
    let rest = cx.rest().to_vec();
    let words: Vec<&[u8]> = rest.split(|byte| *byte == b' ').collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let number = |at: usize| String::from_utf8_lossy(word(at)).parse::<i64>().ok();
    let lives = |at| number(at).map(|ms| Duration::from_millis(ms.unsigned_abs()));
    let store = cx.store("shared");
    let shown = |value: Option<Vec<u8>>| match value {
        Some(value) => format!("'{}'", value.escape_ascii()),
        None => "none".to_owned(),
    };
    let said = match cx.verb() {
        b"fetch" => shown(store.get(word(0)).await?),
        b"put" => {
            store.set(word(0), word(1), lives(2)).await?;
            "stored".to_owned()
        }
        b"del" => store.remove(word(0)).await?.to_string(),
        b"add" => {
            let by = number(1).unwrap_or(1);
            store.increment(word(0), by, lives(2)).await?.to_string()
        }
        b"twice" => {
            let twice = |old: Option<&[u8]>| match old {
                Some(old) => Change::Set(old.repeat(2), None),
                None => Change::Keep,
            };
            shown(store.update(word(0), twice).await?)
        }
        b"drop" => shown(store.update(word(0), |_| Change::Remove).await?),
        b"break" => shown(store.update(word(0), |_| panic!("as told")).await?),
        b"long" => {
            store.set(vec![b'k'; 5000], "long", None).await?;
            shown(store.get(vec![b'k'; 5000]).await?)
        }
        b"nameless" => shown(cx.store("").get("x").await?),
        _ => return declined(),
    };
    cx.respond(250, said).await?;
    done()
}

/// Says in which process it is.
pub struct Teller;

impl Plugin for Teller {
    const NAME: &'static str = "teller";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Teller, PluginError> {
        Ok(Teller)
    }

    fn hooks(hooks: &mut Hooks<Teller>) {
        hooks.vrfy(async |_: &Teller, _: &mut Cx<'_>| ok_with(std::process::id().to_string()));
    }
}
