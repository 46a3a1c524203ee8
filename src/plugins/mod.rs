//! The native plugins that ship with Camelpost, one file or folder each, and what several of them need (cdb, date, list,
//! map, pairs, pattern).

#![forbid(unsafe_code)]

mod auth;
mod badmailfrom;
mod badrcptto;
mod cdb;
mod count_recipients;
mod count_unrecognized_commands;
mod date;
mod dnsbl;
mod earlytalker;
mod greylisting;
mod headers;
mod helo;
mod hosts_allow;
mod list;
mod logging;
mod loop_;
mod map;
mod pairs;
mod pattern;
mod queue;
mod rcpt_ok;
mod relay;
mod spamassassin;
mod tls;

#[cfg(test)]
mod tests;

use crate::plugin::Registry;

/// Makes all of them known.
pub fn register(registry: &mut Registry) {
    registry.add::<count_recipients::CountRecipients>();
    registry.add_port::<auth::AuthFlatFile>();
    registry.add_port::<badmailfrom::BadMailFrom>();
    registry.add_port::<badrcptto::BadRcptTo>();
    registry.add_port::<count_unrecognized_commands::CountUnrecognized>();
    registry.add_port::<dnsbl::DnsBl>();
    registry.add_port::<earlytalker::EarlyTalker>();
    registry.add_port::<greylisting::Greylisting>();
    registry.add_port::<headers::Headers>();
    registry.add_port::<helo::Helo>();
    registry.add_port::<hosts_allow::HostsAllow>();
    registry.add_port::<logging::LoggingFile>();
    registry.add_port::<loop_::Loop>();
    registry.add_port::<queue::Maildir>();
    registry.add_port::<rcpt_ok::RcptOk>();
    registry.add_port::<relay::Relay>();
    registry.add_port::<spamassassin::SpamAssassin>();
    registry.add_twin::<tls::Tls>();
}
