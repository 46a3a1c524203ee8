//! What holds of start scripts and units, whatever is in them (src/fuzz). Reads no file.

use std::path::Path;

use super::super::root::Root;
use super::command::{Started, started};
use super::shell::calls;
use super::unit;

/// A script or unit of any bytes is read without a panic and to an end, and what it asks for is such that `serve` takes it.
pub(crate) fn fuzz_start(bytes: &[u8]) {
    let root = Root::nowhere();
    let text = String::from_utf8_lossy(bytes).into_owned();
    let calls = calls(&root, Path::new("/srv/q/run"), &text, Path::new("/srv/q"));
    for call in &calls {
        assert!(!call.words.is_empty());
        if let Some(found) = started(&root, call) {
            check(&found);
        }
    }
    if let Some(found) = unit::of(&root, &[text]) {
        check(&found);
    }
}

fn check(found: &Started) {
    let options = &found.options;
    let mut addresses = options.listen.iter();
    assert!(addresses.all(|text| text.parse::<crate::server::ListenAddress>().is_ok()));
    // What nobody knows is said, and not passed on.
    let user = options.user.as_deref().unwrap_or_default();
    assert!(!user.contains(['`', ' ', '%']), "{user}");
    assert!(found.program.is_absolute(), "{:?}", found.program);
    assert!(found.working.is_absolute(), "{:?}", found.working);
}
