//! What the chain adds to each call of a Perl plugin, and what a log line costs that nobody wants
//! to see. In one process, without a client: nanoseconds of wall time, the best of several
//! rounds, so that the number is the code's and not the machine's. And what the call of a native plugin
//! costs in a session without Perl, with its guard and its account. Not here: sessions and servers
//! (benches/bench).

use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use camelpost::config::{ConfigDir, Profile};
use camelpost::hook::{Arg, Hook, HookCall};
use camelpost::mail::Spool;
use camelpost::perl::ffi::call::{Want, call, eval};
use camelpost::perl::host::{Host, HostSettings};
use camelpost::perl::{Chain, Progress, Sv, release_dropped};
use camelpost::plugin::{Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined};
use camelpost::testing::Site;

const PLUGINS: usize = 40;
const RUNS: usize = 500;
const ROUNDS: usize = 15;
/// Commands of a round: a session may have a thousand without a message.
const NOOPS: usize = 50;
/// Lines of a native plugin: so many that the client's way to the session and back is the smaller part.
const NATIVES: usize = 400;

const PLUGIN: &str = "sub hook_helo { my ($self, $transaction, $host) = @_; return DECLINED }\n";

/// The same methods, called as Perl code would: one after the other, each with `eval`.
const IN_PERL: &str = "
    sub {
        my ($objects, $transaction, $runs) = @_;
        for (1 .. $runs) {
            for my $plugin (@$objects) {
                my @returned = eval { $plugin->hook_helo($transaction, 'client.example') };
            }
        }
    }";

/// The plugin objects, which the closures of register_hook hold.
const OBJECTS: &str = "
    require B;
    [ map { my $code = $_->{code}; my ($names, $values) = B::svref_2object($code)->PADLIST->ARRAY;
        my @names = $names->ARRAY; my @values = $values->ARRAY;
        my ($at) = grep { $names[$_]->can('PV') && ($names[$_]->PV || '') eq '$plugin' } 0 .. $#names;
        ${$values[$at]->object_2svref} } @{$Qpsmtpd::hooks->{helo}} ]";

const LOG_LINES: &str = "
    sub {
        my ($plugin, $runs) = @_;
        $plugin->log(7, 'nobody wants to see this') for 1 .. $runs;
    }";

/// `native/nothing`: has no say at NOOP, and would wait if it had to.
struct Nothing;

impl Plugin for Nothing {
    const NAME: &'static str = "nothing";
    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Nothing, PluginError> {
        Ok(Nothing)
    }

    fn hooks(hooks: &mut Hooks<Nothing>) {
        hooks.noop(Nothing::noop);
    }
}

impl Nothing {
    async fn noop(&self, _: &mut Cx<'_>) -> HookResult {
        declined()
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let host = host(dir.path())?;
    let perl = |text: &str| eval(text, Want::Scalar).map_err(|error| text_of(&error));
    let in_perl = perl(IN_PERL)?;
    let objects = perl(OBJECTS)?;
    let log_lines = perl(LOG_LINES)?;
    let (Some(in_perl), Some(objects), Some(log_lines)) =
        (in_perl.first(), objects.first(), log_lines.first())
    else {
        return Err("no code to measure".into());
    };
    let one = objects.array_get(0).ok_or("no plugin object was found")?;
    let idle = host
        .begin_session(host.present.port(), &[])
        .map_err(|error| text_of(&error))?;
    let calls = (PLUGINS * RUNS) as f64;
    let ours = best(calls, || chains(&host))?;
    let perls_own = best(calls, || {
        let args = [objects.clone(), Sv::undef(), Sv::int(RUNS as i64)];
        call(in_perl, &args, Want::Void).map_err(|error| text_of(&error))?;
        Ok(())
    })?;
    let line = best(RUNS as f64, || {
        let args = [one.clone(), Sv::int(RUNS as i64)];
        call(log_lines, &args, Want::Void).map_err(|error| text_of(&error))?;
        Ok(())
    })?;
    host.end_session(idle).map_err(|error| text_of(&error))?;
    let native = noop(NATIVES)? - noop(0)?;
    println!("| nanoseconds | |\n|---|---:|");
    println!("| a plugin's call in a chain of {PLUGINS} | {ours:.0} |");
    println!("| the same method, called in a loop of Perl's | {perls_own:.0} |");
    println!("| what the chain adds | {:.0} |", ours - perls_own);
    let each = native / NATIVES as f64;
    println!("| a native plugin's call in a chain of {NATIVES}, without Perl | {each:.0} |");
    println!("| a plugin's log line below loglevel, no logging plugin | {line:.0} |");
    Ok(())
}

fn host(dir: &std::path::Path) -> Result<Rc<Host>, Box<dyn std::error::Error>> {
    let settings = HostSettings {
        taint: true,
        config: Rc::new(ConfigDir::locate(Some(dir.to_path_buf()))?),
        search: None,
        trace_level: 4,
        profile: Profile::V094,
        defaults: Default::default(),
        version: "0".to_owned(),
        plugin_dirs: vec![dir.as_os_str().as_encoded_bytes().to_vec()],
        module_dirs: Vec::new(),
        named_config: None,
        size_threshold: 10_000,
        queue_sync: true,
    };
    let spool = Rc::new(Spool {
        dir: dir.to_path_buf(),
        threshold: 10_000,
        ..Spool::default()
    });
    let host = camelpost::perl::start(settings, spool)?;
    for number in 0..PLUGINS {
        let name = format!("plugin_{number}");
        std::fs::write(dir.join(&name), PLUGIN)?;
        host.load_plugin(name.as_bytes())?;
    }
    Ok(host)
}

fn chains(host: &Host) -> Result<(), Box<dyn std::error::Error>> {
    for _ in 0..RUNS {
        let call = HookCall::with(Hook::Helo, vec![Arg::Bytes(b"client.example".to_vec())]);
        match host.advance(Chain::new(call), None) {
            Ok(Progress::Finished(_)) => {}
            Ok(Progress::Native { .. }) => return Err("a native plugin in the chain".into()),
            Err(error) => return Err(text_of(&error).into()),
        }
        release_dropped().map_err(|error| text_of(&error))?;
    }
    Ok(())
}

/// What NOOP takes where so many native plugins hook it, in nanoseconds.
fn noop(lines: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let mut site = Site::new();
    for line in 0..lines {
        site = match line {
            0 => site.plugin::<Nothing>(""),
            _ => site.line(&format!("native/nothing:{line}")),
        };
    }
    let mut client = site.connect()?;
    let took = best(NOOPS as f64, || {
        for _ in 0..NOOPS {
            let reply = client.say("NOOP");
            match reply.code() {
                250 => {}
                _ => return Err(format!("NOOP was answered with {}", reply.text()).into()),
            }
        }
        Ok(())
    })?;
    client.quit();
    Ok(took)
}

/// The least time of a unit, in nanoseconds.
fn best(
    units: f64,
    mut work: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_nanos() as f64 / units);
    }
    Ok(least)
}

fn text_of(error: &camelpost::perl::ffi::call::Unwind) -> String {
    String::from_utf8_lossy(&error.message()).into_owned()
}
