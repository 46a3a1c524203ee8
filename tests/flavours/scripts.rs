//! Start scripts as they are in use: daemontools run scripts and Debian's init script.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use camelpost_support::{Client, Daemon, Site, free_port, me, wait, wait_for};

use super::site::{CAMELPOST, new_site};

const INIT_SCRIPT: &str = "/etc/init.d/qpsmtpd";
const WRAPPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/qpsmtpd-by-perl");

/// A directory as an installation from the source has it: the programs, config and plugins in
/// one place, and a run script. No variable names the config directory.
fn run_script(script: &str, put: impl Fn(&Site)) {
    let site = new_site("taker\n");
    // The defaults of both: config and plugins beside the program.
    fs::remove_file(site.path("config/plugin_dirs")).unwrap();
    put(&site);
    let port = free_port();
    let script = script.replace("PORT", &port.to_string());
    site.put("run/run", &script.replace("ME", &me()));
    fs::set_permissions(site.path("run/run"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = site.command(site.path("run/run"));
    command
        .env_remove("QPSMTPD_CONFIG")
        .env("CAMELPOST", CAMELPOST);
    let mut daemon = Daemon::logging_to(&site, command);
    let mut client = Client::when_ready(port);
    let greeting = client.reply();
    let log = site.read("run/log");
    assert!(
        greeting.starts_with("220 mx.example.org"),
        "{greeting} {log}"
    );
    assert!(client.say("VRFY x").starts_with("250 127.0.0.1"), "{log}");
    assert!(client.say("QUIT").starts_with("221"));
    daemon.stop();
}

fn link(site: &Site, name: &str) {
    symlink(CAMELPOST, site.path(name)).unwrap();
}

#[test]
fn a_tcpserver_run_script_with_softlimit_runs() {
    // Only root may change to another user, even if it is the same.
    let user = match rustix::process::geteuid().is_root() {
        true => "-u `id -u ME` -g `id -g ME`",
        false => "",
    };
    let script = format!(
        "#!/bin/sh\nexec 2>&1 softlimit -m 150000000 \\\n    tcpserver -c 10 -v -H -R -p {user} \
         127.0.0.1 PORT ./qpsmtpd\n"
    );
    run_script(&script, |site| link(site, "qpsmtpd"));
}

#[test]
fn a_forkserver_run_script_runs() {
    run_script(
        "#!/bin/sh\nexec 2>&1 softlimit -m 150000000 ./qpsmtpd-forkserver --listen-address \
         127.0.0.1 --port PORT --limit-connections 15 --max-from-ip 5 --user ME\n",
        |site| link(site, "qpsmtpd-forkserver"),
    );
}

#[test]
fn a_run_script_that_calls_perl_runs_through_the_wrapper() {
    run_script(
        "#!/bin/sh\nexec 2>&1 /usr/bin/perl -T ./qpsmtpd-forkserver --listen-address 127.0.0.1 \
         --port PORT --user ME\n",
        |site| {
            fs::copy(WRAPPER, site.path("qpsmtpd-forkserver")).unwrap();
        },
    );
}

/// Debian's script with its absolute paths replaced by the site's, started, asked and stopped.
#[test]
fn debian_s_init_script_starts_and_stops_the_service() {
    let script = fs::read_to_string(INIT_SCRIPT).unwrap_or_else(|error| {
        panic!("{INIT_SCRIPT}: {error}: packaging/install-deps test installs the package")
    });
    for server in ["forkserver", "prefork"] {
        let site = new_site("taker\n");
        // start-stop-daemon knows a service by its file, which other tests run, too.
        let program = site.path("bin").join(format!("qpsmtpd-{server}"));
        fs::remove_file(&program).unwrap();
        fs::copy(CAMELPOST, &program).unwrap();
        let port = free_port();
        let settings = format!(
            "ENABLED=1\nSERVER={server}\nRUNAS={}\nPORT={port}\nINTERFACES='127.0.0.1 \
             127.0.0.2:{}'\n",
            me(),
            free_port()
        );
        site.put("config/debconf-settings", &settings);
        let script = script
            .replace("/usr/bin/qpsmtpd-", "@ROOT@/bin/qpsmtpd-")
            .replace("/etc/qpsmtpd", "@ROOT@/config")
            .replace("/var/run/qpsmtpd", "@ROOT@/run");
        site.put("run/init", &script);
        let init = |action: &str| {
            let mut command = site.command("/bin/sh");
            command.arg(site.path("run/init")).arg(action);
            finished(&mut command, &site.path("run/said"))
        };
        assert_eq!(init("start"), 0, "{server}: {}", site.read("run/said"));
        let pid = site.read("run/qpsmtpd.pid").trim().to_owned();
        assert_eq!(init("status"), 0, "{server}: {}", site.read("run/said"));
        let mut client = Client::when_ready(port);
        assert!(client.reply().starts_with("220"), "{server}");
        assert!(client.say("QUIT").starts_with("221"), "{server}");
        drop(client);
        assert_eq!(init("stop"), 0, "{server}: {}", site.read("run/said"));
        let is_gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
        wait_for("the end of the service", is_gone);
        assert_ne!(init("status"), 0, "{server}");
    }
}

/// Its exit status; its words are kept in a file, which a daemon that goes to the background may
/// keep open.
fn finished(command: &mut Command, said: &Path) -> i32 {
    let file = fs::File::create(said).unwrap();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    wait(&mut child).code().unwrap_or(-1)
}

/// mod_perl has a perl of its own; whoever loads its handler into Camelpost's learns what to do.
#[test]
fn the_handler_for_apache_is_refused_with_the_reason() {
    let site = new_site("apache\n");
    site.put("plugins/apache", "use Apache::Qpsmtpd;\n");
    let mut command = site.command(CAMELPOST);
    command.arg("inetd").env("TCPREMOTEIP", "192.0.2.7");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("does not run inside Apache"), "{said}");
    assert!(said.contains("camelpost serve"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
