//! Maps of config names, as plugins ask them: Perl's config hooks where there are some, else NAME.cdb. Does not
//! know what the keys are.

use super::cdb;
use crate::config::reason;
use crate::log::LOGERROR;
use crate::plugin::{Cx, Failure};

/// Whether the map has the key. A file that cannot be read has none, and the log says why.
pub(super) async fn has(cx: &Cx<'_>, map: &str, key: &[u8]) -> Result<bool, Failure> {
    match cx.hooks_map_has(map, key).await? {
        Some(has) => Ok(has),
        None => is_in_file(cx, map, key),
    }
}

fn is_in_file(cx: &Cx<'_>, map: &str, key: &[u8]) -> Result<bool, Failure> {
    let Some(map) = cx.config_map(map) else {
        return Ok(false);
    };
    match cdb::value(&map, key) {
        Ok(found) => Ok(found.is_some()),
        Err(error) => {
            let map = map.display();
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                return Err(Failure::new(format!("{map} is torn or no cdb file")));
            }
            let text = format!("{map} cannot be read: {}", reason(&error));
            cx.log(LOGERROR, text);
            Ok(false)
        }
    }
}
