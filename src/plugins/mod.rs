//! The native plugins that ship with Camelpost, one file each.

#![forbid(unsafe_code)]

mod count_recipients;
mod tls;

use crate::plugin::Registry;

/// Makes all of them known.
pub fn register(registry: &mut Registry) {
    registry.add::<count_recipients::CountRecipients>();
    registry.add_twin::<tls::Tls>();
}
