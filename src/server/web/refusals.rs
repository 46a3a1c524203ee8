//! What was refused in the last hour: when, for which reason, and the last refusals with what each plugin said.

use maud::{Markup, html};

use super::page::clock_of;
use super::parts::bar;
use crate::server::figures::duration;
use crate::server::refusal::{Reason, Refusal, RefusalsShown};

/// Reasons that are shown.
const REASONS: usize = 30;

pub(super) fn last_hour(recent: &RefusalsShown) -> Markup {
    let all = recent.by_reason.iter();
    let all = all.fold(0_u64, |all, one| all.saturating_add(one.count));
    let most = recent.by_reason.first().map_or(0, |one| one.count);
    let hidden = recent.by_reason.len().saturating_sub(REASONS);
    html! {
        section #refusals {
            h2 { "Refusals of the last hour, by reason" }
            @if recent.by_reason.is_empty() {
                p { "None." }
            } @else {
                p { (all) " replies of 4xx and 5xx, by minute, the present one at the right:" }
                (by_minute(&recent.by_minute))
                table {
                    thead { tr { th { "who" } th { "where" } th { "code" } th.number { "count" } th {} } }
                    tbody {
                        @for one in recent.by_reason.iter().take(REASONS) {
                            tr {
                                td { (who(&one.reason)) }
                                td { (one.reason.stage) }
                                td { (one.reason.code) }
                                td.number { (one.count) }
                                td.bar { (bar(one.count, most)) }
                            }
                        }
                    }
                }
                @if hidden > 0 { p { "and " (hidden) " reasons more" } }
            }
        }
    }
}

fn who(reason: &Reason) -> Markup {
    html! {
        @match &reason.plugin {
            Some(plugin) => { code { (plugin) } }
            None => { "Camelpost" }
        }
    }
}

fn by_minute(minutes: &[u64]) -> Markup {
    let most = minutes.iter().copied().max().unwrap_or_default().max(1);
    html! {
        svg.minutes viewBox="0 0 600 60" preserveAspectRatio="none" role="img"
            aria-label=(format!("refusals in each minute, {most} at most")) {
            @for (place, count) in minutes.iter().enumerate() {
                @let height = count.saturating_mul(60).div_ceil(most);
                rect x=(place * 10) y=(60 - height) width="9" height=(height) {
                    title { (minutes.len() - 1 - place) " min ago: " (count) }
                }
            }
        }
    }
}

pub(super) fn last(recent: &RefusalsShown) -> Markup {
    html! {
        section #last {
            h2 { "Last refusals" }
            @if recent.last.is_empty() {
                p { "None since the start." }
            }
            @for one in &recent.last {
                details id=(format!("refusal-{}", one.serial)) {
                    summary {
                        time { (clock_of(one.at)) } " " code { (one.ip) } " " span.reply { (one.reply) }
                        " " span.who { (who(&one.reason)) }
                    }
                    (why(one))
                }
            }
        }
    }
}

fn why(one: &Refusal) -> Markup {
    html! {
        div.why {
            @match &one.command {
                Some(command) => { p { "To " code { (command) } } }
                None => { p { "Before the client had said anything that is a command" } }
            }
            @if one.said.is_empty() {
                p { "no plugin was asked: the session refused it by itself." }
            } @else {
                table {
                    thead { tr { th { "hook" } th { "plugin" } th { "verdict" } th.number { "took" } th { "text" } } }
                    tbody {
                        @for said in &one.said {
                            tr.denied[said.verdict.starts_with("DENY")] {
                                td { (said.hook) }
                                td { code { (said.plugin) } }
                                td { (said.verdict) }
                                td.number { (duration(said.microseconds as f64 * 1e3)) }
                                td { (said.text.as_deref().unwrap_or_default()) }
                            }
                        }
                    }
                }
            }
            p { "The rest of it, from the log in JSON: " code { "camelpost why " (one.id()) } }
        }
    }
}
