//! Where a config set is played: its directory and everything that its plugins talk to, and one
//! daemon after the other in it.

use crate::client;
use crate::daemon::{Daemon, Which};
use crate::dialogue::ConfigSet;
use crate::ground::Ground;
use crate::normal::Normal;
use crate::qmqp::{self, Qmqp};
use crate::service::Services;
use crate::sink::Sink;
use camelpost_support::dns;
use std::time::Duration;

/// How long the text may take that ends a dialogue, where it is known to come, and where it is not.
const LIKELY: Duration = Duration::from_secs(20);
const MAYBE: Duration = Duration::from_secs(4);

/// What one daemon said and delivered, for each dialogue of a set.
pub type Half = Vec<Vec<String>>;

pub struct Stage {
    pub set: ConfigSet,
    pub normal: Normal,
    sink: Option<Sink>,
    qmqp: Option<Qmqp>,
    // Before the directory in which they are.
    _services: Services,
    ground: Ground,
}

impl Stage {
    pub fn new(mut set: ConfigSet) -> Result<Self, String> {
        let name = set.name.clone();
        let io = |e: std::io::Error| format!("{name}: {e}");
        let qmqp = qmqp::for_set(&mut set).map_err(io)?;
        let needs_sink = set.files.iter().any(|(_, text)| text.contains("@SINK@"));
        let sink = if needs_sink {
            Some(Sink::start().map_err(io)?)
        } else {
            None
        };
        let port = sink.as_ref().map(|s| s.port);
        let ground = Ground::new(&set, port).map_err(io)?;
        let normal = Normal::new(ground.root(), port, &ground.stub_ports());
        let services = Services::start(&set.services, &set.daemons, &ground)
            .map_err(|e| format!("{name}: {e}"))?;
        Ok(Self {
            set,
            normal,
            sink,
            qmqp,
            _services: services,
            ground,
        })
    }

    /// All dialogues with one daemon. `other` is what another one has said.
    pub fn half(&self, which: Which, other: Option<&Half>) -> Result<Half, String> {
        let Self {
            set,
            ground,
            normal,
            ..
        } = self;
        let named = |e: String| format!("{}: {e}", set.name);
        ground.sweep().map_err(|e| named(e.to_string()))?;
        let zone = dns::Zone::parse(set.dns.iter().map(String::as_str)).map_err(named)?;
        let dns = dns::serve(zone).map_err(|e| named(format!("resolver: {e}")))?;
        let logged = |line: String| format!("L: {line}");
        if set.never_starts {
            let said = Daemon::refusal(which, set, ground, dns).map_err(named)?;
            let said: Vec<String> = said.into_iter().map(logged).collect();
            return Ok(vec![normal.lines(&said)]);
        }
        let mut daemon = Daemon::start(which, set, ground, dns).map_err(named)?;
        // The readiness check was a session, too.
        daemon.settle().map_err(named)?;
        ground.harvest();
        // Without the readiness check's own session.
        let said = daemon.log().into_iter().map(logged);
        let said: Vec<String> = said
            .take_while(|line| !line.contains("Accepted connection"))
            .filter(|line| !set.ignore.iter().any(|text| line.contains(text)))
            .collect();
        let mut half = Vec::new();
        for dialogue in &set.dialogues {
            if set.log_of_start && half.is_empty() {
                half.push(normal.lines(&said));
                continue;
            }
            let other = other.and_then(|other| other.get(half.len()));
            let other = other.map_or(&[][..], Vec::as_slice);
            let mut lines = client::converse(dialogue, daemon.port, ground.root(), other);
            daemon
                .settle()
                .map_err(|e| format!("{}/{}: {e}", set.name, dialogue.name))?;
            if let Some(text) = &set.until {
                // It comes here, too, where it has come from the other.
                let comes = other.iter().any(|line| line.contains(text));
                ground.wait_for(text, if comes { LIKELY } else { MAYBE });
            }
            lines.extend(ground.harvest());
            lines.extend(self.sink.as_ref().map(Sink::harvest).unwrap_or_default());
            lines.extend(self.qmqp.as_ref().map(Qmqp::harvest).unwrap_or_default());
            let log = daemon.log();
            if set.log {
                lines.extend(log.into_iter().map(logged));
            } else {
                // Shown where the test fails: why a worker went, for instance.
                let (which, name) = (which.name(), &dialogue.name);
                println!("-- log of {which} in {name}\n{}", log.join("\n"));
            }
            lines.retain(|line| !set.ignore.iter().any(|text| line.contains(text)));
            half.push(normal.lines(&lines));
        }
        Ok(half)
    }
}
