//! What 1.00 does otherwise: the outcome of a row, told from that under 0.94 by the rules of
//! COMPAT.md section 5. There is no oracle for it.

use super::play::Outcome;
use super::rows::Row;

/// A rule, for people.
pub const RULES: &str = "
* A code that no constant has (`number-42`, `string`) does not end the chain: the next plugin runs, and
  the outcome is that of DECLINED without a text. It is logged, and the hook `ok` does not run. Digits that
  stand in a code (`implicit-1`) end the chain, as under 0.94.
* `disconnect` does not end the transaction: no reset_transaction runs between disconnect and
  post-connection.
* data with DENYSOFT_DISCONNECT is 451.
* The reply 535 names the client's address, and 504 says \"authentication\".
* Received stands below Authentication-Results, and a text that received_line returns with OK is it.
";

/// What a row should come to under 1.00; `declined` is the outcome of DECLINED at its hook.
pub fn expected(row: &Row, under_094: &Outcome, declined: &Outcome) -> Outcome {
    // The verdicts of the hooks deny and ok count for nothing.
    let unknown = match row.verdict {
        "number-42" | "string" => !matches!(row.place.hook, "deny" | "ok"),
        _ => false,
    };
    let mut outcome = match unknown {
        true => declined.clone(),
        false => under_094.clone(),
    };
    for hooks in &mut outcome.hooks {
        if unknown {
            hooks.retain(|hook| hook != "ok(909,)");
        }
        without_reset_after_disconnect(hooks);
        for hook in hooks.iter_mut().filter(|h| h.starts_with("header: ")) {
            "header: Authentication-Results Received Subject".clone_into(hook);
        }
    }
    let softly = row.place.hook == "data" && row.verdict.starts_with("DENYSOFT_DISCONNECT");
    for reply in &mut outcome.said.replies {
        if softly && let Some(text) = reply.strip_prefix("421 ") {
            *reply = format!("451 {text}");
        }
        if reply.starts_with("535 ") {
            *reply = reply.replace("failed for user", "failed for user from ADDRESS");
        }
        *reply = reply.replace("authentification", "authentication");
    }
    outcome
}

fn without_reset_after_disconnect(hooks: &mut Vec<String>) {
    let Some(disconnect) = hooks.iter().position(|hook| hook == "disconnect") else {
        return;
    };
    let after = hooks.iter().skip(disconnect);
    if let Some(reset) = after.clone().position(|hook| hook == "reset_transaction") {
        hooks.remove(disconnect + reset);
    }
}
