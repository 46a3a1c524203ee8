//! The interpreter under test: a host with a few plugins, and short ways to run Perl in it.

use std::rc::Rc;

use camelpost::config::{ConfigDir, Profile};
use camelpost::hook::{Hook, HookCall, Verdict};
use camelpost::mail::Spool;
use camelpost::perl::ffi::call::{Unwind, Want, call, eval};
use camelpost::perl::host::{Host, HostSettings};
use camelpost::perl::{Chain, Progress, Sv, release_dropped};
use tempfile::TempDir;

/// What every case finds in Perl: `$qp`, `@log` (lines of the log while `$keep` is true), `hook`,
/// which adds to the table of hooks, and `forget`, which puts everything back.
const PRELUDE: &str = r#"
    package main;
    use strict; use warnings;
    our ($qp, $keep, @log, %table);
    use Qpsmtpd::Constants;
    require Qpsmtpd::Address;
    require Scalar::Util;
    require B;
    $table{$_} = [@{$Qpsmtpd::hooks->{$_}}] for keys %$Qpsmtpd::hooks;
    sub hook {
        my ($hook, $code, $name) = @_;
        push @{$Qpsmtpd::hooks->{$hook}}, {name => $name || 'a_test', code => $code};
    }
    sub forget {
        %$Qpsmtpd::hooks = map { $_ => [@{$table{$_}}] } keys %table;
        @log = ();
        $keep = 1;
        $qp->transaction(Qpsmtpd::Transaction->new);
        $qp->connection(Qpsmtpd::Connection->new);
    }
    our $touch;
    sub run_touch { $touch->(@_) }
    sub address { Qpsmtpd::Address->new($_[0]) }
    1;
"#;

/// Plugins that are loaded at the start: their objects have contents.
const PLUGINS: &[(&str, &str)] = &[
    ("keep_log", include_str!("plugins/keep_log")),
    ("has_contents", include_str!("plugins/has_contents")),
];

pub struct Bridge {
    pub host: Rc<Host>,
    _dir: TempDir,
}

impl Bridge {
    pub fn start() -> Bridge {
        let dir = tempfile::tempdir().unwrap();
        let plugins = dir.path().join("plugins");
        std::fs::create_dir_all(&plugins).unwrap();
        for (name, text) in PLUGINS {
            std::fs::write(plugins.join(name), text).unwrap();
        }
        let settings = HostSettings {
            taint: true,
            config: Rc::new(ConfigDir::locate(Some(dir.path().to_path_buf())).unwrap()),
            search: None,
            trace_level: 4,
            profile: Profile::V094,
            defaults: Rc::new(vec![("me", b"test.example".to_vec())]),
            version: "0".to_owned(),
            plugin_dirs: vec![plugins.to_str().unwrap().as_bytes().to_vec()],
            module_dirs: Vec::new(),
            named_config: None,
            size_threshold: 10_000,
            queue_sync: true,
        };
        let spool = Rc::new(Spool {
            dir: dir.path().to_path_buf(),
            threshold: 10_000,
            ..Spool::default()
        });
        let host = camelpost::perl::start(settings, spool).unwrap();
        for (name, _) in PLUGINS {
            host.load_plugin(name.as_bytes()).unwrap();
        }
        let bridge = Bridge { host, _dir: dir };
        let take = eval("sub { $main::qp = shift }", Want::Scalar).unwrap();
        call(
            &take[0],
            std::slice::from_ref(&bridge.host.present.qp),
            Want::Void,
        )
        .unwrap();
        assert_eq!(bridge.perl(PRELUDE), "1");
        bridge.host.note_site();
        bridge
    }

    /// Everything as at the start, for the next case.
    pub fn forget(&self) {
        self.perl("forget(); 1");
        release_dropped().unwrap();
    }

    /// What a text evaluates to, in scalar context; what ends it otherwise is said.
    pub fn perl(&self, text: &str) -> String {
        let text = format!("package main; no strict; use warnings; use Qpsmtpd::Constants; {text}");
        match eval(&text, Want::Scalar) {
            Ok(values) => {
                let bytes = values.first().map(Sv::to_bytes).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Err(unwind) => said(unwind),
        }
    }

    /// Runs a hook's chain as a session does.
    pub fn run(&self, hook: Hook) -> Result<Verdict, Unwind> {
        match self.host.advance(Chain::new(HookCall::new(hook)), None)? {
            Progress::Finished(verdict) => Ok(verdict),
            Progress::Native { .. } => panic!("no native plugin is loaded"),
        }
    }

    /// A session around some work.
    pub fn session<T>(&self, work: impl FnOnce() -> T) -> T {
        let environment = [("TCPREMOTEIP", b"192.0.2.1".to_vec())];
        let idle = self
            .host
            .begin_session(self.host.present.port(), &environment)
            .unwrap();
        let made = work();
        self.host.end_session(idle).unwrap();
        release_dropped().unwrap();
        made
    }
}

/// How a call ended that did not return.
pub fn said(unwind: Unwind) -> String {
    match unwind {
        Unwind::Died(error) => format!("died: {}", String::from_utf8_lossy(&error.to_bytes())),
        Unwind::Exited(status) => format!("exited: {status}"),
    }
}
