//! The native plugins that ship with Camelpost, one file each, and what several of them need (cdb, list,
//! pattern).

#![forbid(unsafe_code)]

mod badmailfrom;
mod badrcptto;
mod cdb;
mod count_recipients;
mod count_unrecognized_commands;
mod list;
mod loop_;
mod pattern;
mod rcpt_ok;
mod tls;

#[cfg(test)]
mod tests;

use crate::plugin::Registry;

/// Makes all of them known.
pub fn register(registry: &mut Registry) {
    registry.add::<count_recipients::CountRecipients>();
    registry.add_port::<badmailfrom::BadMailFrom>();
    registry.add_port::<badrcptto::BadRcptTo>();
    registry.add_port::<count_unrecognized_commands::CountUnrecognized>();
    registry.add_port::<loop_::Loop>();
    registry.add_port::<rcpt_ok::RcptOk>();
    registry.add_twin::<tls::Tls>();
}
