//! docs/tables/hooks.md: the matrix as people read it. Verdicts with the same outcome share a row.

use super::Compared;
use super::cells::Cells;
use super::differences::Entry;
use std::fmt::Write;

const HEAD: &str = "# Hooks and verdicts

What a plugin's return value becomes: the reply, what happens to the session, and the hooks that run
from there on. Each row was seen in a session with `qpsmtpd-forkserver` 0.94 and in one with Camelpost
(`compat` 0.94), and those of 1.00 beside what upstream's daemon came to. The test suite writes this file (`UPDATE_EXPECTED=1 cargo test --test compare
every_verdict`), and fails where it no longer says what both do.

* Verdict: the constant; `+text` with a text, `+0`, `+empty`, `+lines` (`\"one\\ntwo\\n\\nthree\\n\"`), `+list`
  (two texts), `+code` (a CODE reference as the second value). `nothing` is a bare `return`; `number-42`
  and `string` are codes that no constant has. DENYHARD is DENY_DISCONNECT, CONTINUATION is YIELD.
* Reply: all that the client is sent before the next command. CODE is perl's text for such a reference.
* Session: `goes on` with what it knows then, or `closed`; and a later command's reply where it is not
  the usual one.
* Hooks: from the hook itself on. `next`: the next plugin of the same hook ran. `ok` and `deny`: that
  hook ran for the verdict.
* **≠** marks what Camelpost does otherwise than the original, whose row is the one below. The number is
  that of the reason, at the end.
";

/// Verdicts of a hook that show the same.
struct Group<'a> {
    hook: &'a str,
    reason: Option<usize>,
    verdicts: Vec<&'a str>,
    camelpost: Cells,
    original: Cells,
}

/// The whole page.
pub fn page(all: &[Compared], entries: &[Entry]) -> String {
    let mut page = HEAD.to_owned();
    let reasons = reasons(entries);
    let of = |setting: &'static str| all.iter().filter(move |one| one.setting == setting);
    page.push_str("\n## Without a logging plugin\n");
    write_hooks(&mut page, &groups(of("plain"), entries, &reasons));
    page.push_str("\n## Hooks that answer the server itself\n");
    write_hooks(&mut page, &groups(of("sources"), entries, &reasons));
    page.push_str(
        "\n## With a logging plugin\n\nConfig file `logging` has `logging/warn LOGWARN`. Camelpost does \
         what stands above, verdict by verdict. The original changes in these:\n",
    );
    let changed = of("logging").filter(|one| {
        let mut plain = of("plain");
        plain.all(|other| other.row.name() != one.row.name() || other.original != one.original)
    });
    write_changes(&mut page, &groups(changed, entries, &reasons));
    page.push_str(
        "\n## Under `compat` 1.00\n\nThe original is upstream's daemon of 1.00 here. The test holds every row \
         of the first section again, and these come to something else than there:\n",
    );
    let changed = of("1.00").filter(|one| {
        let hook = one.row.place.hook;
        let shown = |one: &Compared| {
            (
                Cells::of(hook, &one.original),
                Cells::of(hook, &one.camelpost),
            )
        };
        let mut plain = of("plain");
        plain.all(|other| other.row.name() != one.row.name() || shown(other) != shown(one))
    });
    write_hooks(&mut page, &groups(changed, entries, &reasons));
    page.push_str("\nHooks that 1.00 added:\n");
    write_hooks(&mut page, &groups(of("added"), entries, &reasons));
    page.push_str("\n## Why Camelpost differs\n\n");
    for (number, reason) in (1..).zip(reasons) {
        let _ = writeln!(page, "{number}. {reason}");
    }
    page
}

/// The reasons, each once.
fn reasons(entries: &[Entry]) -> Vec<&str> {
    let mut reasons = Vec::new();
    for entry in entries {
        if !reasons.contains(&entry.reason.as_str()) {
            reasons.push(entry.reason.as_str());
        }
    }
    reasons
}

fn groups<'a>(
    rows: impl Iterator<Item = &'a Compared>,
    entries: &[Entry],
    reasons: &[&str],
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for one in rows {
        let hook = one.row.place.hook;
        let number = |entry: &Entry| {
            let place = reasons.iter().position(|reason| *reason == entry.reason);
            place.map(|index| index + 1)
        };
        let named = entries.iter().find(|e| e.names(one.setting, &one.row));
        let reason = match one.original == one.camelpost {
            true => None,
            false => named.and_then(number),
        };
        let (camelpost, original) = (
            Cells::of(hook, &one.camelpost),
            Cells::of(hook, &one.original),
        );
        let same = groups.iter_mut().find(|group| {
            group.hook == hook
                && group.reason == reason
                && group.camelpost == camelpost
                && group.original == original
        });
        match same {
            Some(group) => group.verdicts.push(one.row.verdict),
            None => groups.push(Group {
                hook,
                reason,
                verdicts: vec![one.row.verdict],
                camelpost,
                original,
            }),
        }
    }
    groups
}

fn write_hooks(page: &mut String, groups: &[Group<'_>]) {
    let mut last = "";
    for group in groups {
        if group.hook != last {
            last = group.hook;
            let _ = writeln!(
                page,
                "\n### {last}\n\n{}\n\n{}\n\n| verdict | reply | session | hooks |\n|---|---|---|---|",
                occasion(last),
                super::facts::row(last)
            );
        }
        let verdicts = group.verdicts.join(", ");
        match group.reason {
            None => write_row(page, &verdicts, &group.camelpost),
            Some(number) => {
                write_row(
                    page,
                    &format!("**≠ {number}** {verdicts}"),
                    &group.camelpost,
                );
                write_row(page, "*the original*", &group.original);
            }
        }
    }
}

fn write_changes(page: &mut String, groups: &[Group<'_>]) {
    page.push_str("\n| hook | verdict | reply | session | hooks |\n|---|---|---|---|---|\n");
    for group in groups {
        let verdicts = group.verdicts.join(", ");
        let mark = group
            .reason
            .map(|n| format!("**≠ {n}** "))
            .unwrap_or_default();
        write_row(
            page,
            &format!("{} | {mark}{verdicts}", group.hook),
            &group.original,
        );
    }
}

fn write_row(page: &mut String, first: &str, cells: &Cells) {
    let Cells {
        reply,
        session,
        hooks,
    } = cells;
    let _ = writeln!(page, "| {first} | {reply} | {session} | {hooks} |");
}

/// What makes a hook run in its rows.
fn occasion(hook: &str) -> String {
    use super::rows::{LATER, PLACES, SOURCES};
    let mut places = [PLACES, SOURCES, LATER].into_iter().flatten();
    match places
        .find(|place| place.hook == hook)
        .and_then(|place| place.step)
    {
        None => "When a client connects.".to_owned(),
        Some("XCONFIG") => {
            "`$qp->config('matrix_value')`, in list and in scalar context.".to_owned()
        }
        Some("XUSER") => "`$transaction->sender->config('matrix_value')`.".to_owned(),
        Some("XLOG") => "A plugin logs a line at LOGWARN.".to_owned(),
        Some(step) => {
            let about = match hook {
                "deny" => ", where a mail hook has returned (DENY, 'no')",
                "ok" => ", where a mail hook has returned (OK, 'fine')",
                "received_line" => {
                    "; after `header:` the fields of the message that is queued. `[Received]`: with \
                     revision 6 of Debian's package and later ones (`compat` 0.94-6), not before"
                }
                _ => "",
            };
            format!("`{step}`{about}.")
        }
    }
}
