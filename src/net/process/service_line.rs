//! A line of the service in a worker: its logging plugins have it as they have the lines of sessions, and
//! there is no session that they could reach.

use std::rc::Rc;

use super::load::loggers_take;
use super::worker::Worker;
use crate::net::perl_side::pump::Exited;
use crate::perl::release_dropped;
use crate::watch;

impl Worker {
    /// Hands it to the logging plugins. What they make of it, an exit too, ends nothing.
    pub(super) async fn log_for_service(self: &Rc<Self>, level: u8, text: String) {
        let worker = self.clone();
        let work = move || {
            let (Some(stage), Some(host)) = (&worker.stage, &worker.loaded.host) else {
                loggers_take(&worker.loaded.natives, level, &text);
                return Ok(());
            };
            stage.clear().map_err(|_| Exited)?;
            watch::set_session(0);
            let handed = host.logger().hand_on(level, text.as_bytes());
            handed.map_err(|_| Exited)?;
            release_dropped().map_err(|_| Exited)
        };
        let _ = self.pump.outside(0, work).await;
    }
}
