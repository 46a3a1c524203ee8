//! What a zygote loads at present: the engine says it, the supervisor hears it and tells the log when
//! something takes long. Without that, a plugin that never returns is a start without a word.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::time::Duration;

use crate::server::ipc::channel::{Channel, Wait};
use crate::server::ipc::message::FromZygote;

/// How long a thing may take to load before the log names it.
pub(in crate::server) const LONG: Duration = Duration::from_secs(5);

thread_local! {
    static SUPERVISOR: RefCell<Option<Channel>> = const { RefCell::new(None) };
}

/// For the engine: this is being loaded from now on (`FILE:LINE: plugin NAME`).
pub fn loading(what: &str) {
    SUPERVISOR.with_borrow(|supervisor| {
        if let Some(supervisor) = supervisor {
            let message = FromZygote::Loading {
                what: what.to_owned(),
            };
            // Where nobody listens, there is nobody to be told.
            let _ = supervisor.send(&message.encode(), None, Wait::Yes);
        }
    });
}

/// Runs `load`, during which `loading` reaches the supervisor.
pub(in crate::server) fn told_by<T>(control: &Channel, load: impl FnOnce() -> T) -> T {
    let second = rustix::io::fcntl_dupfd_cloexec(control.as_fd(), 3).ok();
    SUPERVISOR.set(second.and_then(Channel::from_descriptor));
    let loaded = load();
    SUPERVISOR.set(None);
    loaded
}
