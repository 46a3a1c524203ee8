//! The life of an installed package in a clean root: a first message, an upgrade and a downgrade under load, one
//! to a configuration that does not load, removal, purge.

use std::fs::{self, File};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use camelpost_support::{Client, Port, until};

use crate::deb::{NEW, OLD, debs};
use crate::root::{Root, hindrance};
use crate::unit::Unit;

const MAIL: &str = "/var/lib/camelpost/Maildir/new";

/// A session with one message, which is acknowledged.
fn send(port: u16, text: &str) {
    let message = format!("Subject: test\r\n\r\n{text}\r\n");
    Client::connect(([127, 0, 0, 1], port)).deliver("test@localhost", &message);
}

/// The texts that are in the Maildir, in order.
fn delivered(root: &Root) -> Vec<String> {
    let files = fs::read_dir(root.path(MAIL)).unwrap().flatten();
    let text = |entry: fs::DirEntry| {
        let mail = fs::read_to_string(entry.path()).unwrap();
        mail.lines().last().unwrap().to_owned()
    };
    let mut all: Vec<String> = files.map(text).collect();
    all.sort();
    all
}

/// The daemons that answer, by their control sockets in the root; no two have one port.
fn daemons(root: &Root) -> Vec<String> {
    let names = root.run("find /run/camelpost -name '*.sock' | sort");
    let mut sockets: Vec<String> = names.lines().map(str::to_owned).collect();
    sockets.retain(|socket| {
        let ping = format!("camelpost ping --control {socket}");
        root.try_run(&ping).status.success()
    });
    sockets
}

/// Installs a version while clients of both ports come without a pause: what dpkg says. All texts that were
/// acknowledged are added.
fn installed_under_load(
    root: &Root,
    version: &str,
    ports: &[u16],
    accepted: &mut Vec<String>,
) -> String {
    let (over, sessions) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = |name: usize| {
        let mut texts = Vec::new();
        // After the change, too.
        let mut last = 5;
        while last > 0 {
            last -= usize::from(over.load(Ordering::Relaxed));
            let text = format!("{version} client {name} message {}", texts.len());
            send(ports[name % ports.len()], &text);
            texts.push(text);
            sessions.fetch_add(1, Ordering::Relaxed);
        }
        texts
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|name| scope.spawn(move || client(name)))
            .collect();
        until("the first sessions", || {
            sessions.load(Ordering::Relaxed) > 4
        });
        let said = root.try_run(&format!("dpkg -i /{version}.deb 2>&1"));
        over.store(true, Ordering::Relaxed);
        for client in clients {
            accepted.extend(client.join().unwrap());
        }
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success(), "{text}");
        text
    })
}

#[test]
fn installed_started_upgraded_under_load_downgraded_removed_and_purged() {
    if let Some(why) = hindrance() {
        println!("{why}");
        return;
    }
    let (root, debs) = thread::scope(|scope| {
        let root = scope.spawn(Root::new);
        let debs = debs();
        (root.join().unwrap(), debs)
    });
    for version in [OLD, NEW] {
        fs::copy(debs.file(version), root.path(&format!("/{version}.deb"))).unwrap();
    }
    let before = root.run("find / -xdev -name '*camelpost*'");
    assert_eq!(before, "");

    // Its dependencies are found by apt in a system that has perl and nothing else.
    root.run(&format!(
        "apt-get update -q && apt-get install -y -q --no-install-recommends /{OLD}.deb"
    ));
    assert_eq!(root.run("dpkg -V camelpost"), "", "files as they came");
    let owner = |path: &str| root.run(&format!("stat -c '%U:%G %a' {path}"));
    for (dir, expected) in [
        (
            "/var/spool/camelpost",
            "camelpost-plugins:camelpost-plugins 700",
        ),
        ("/var/lib/camelpost", "camelpost-plugins:camelpost 750"),
        ("/var/log/camelpost", "camelpost:adm 2750"),
        ("/var/log/camelpost-plugins", "camelpost-plugins:adm 2750"),
        ("/etc/camelpost/plugins", "root:root 644"),
    ] {
        assert_eq!(owner(dir).trim(), expected, "{dir}");
    }
    root.run("test -L /etc/systemd/system/multi-user.target.wants/camelpost.service");
    // Nobody who has port 25 is in its way.
    let options = root.read("/etc/default/camelpost");
    assert!(options.contains("\nOPTIONS=\"--listen-address 127.0.0.1 --port 2525\"\n"));
    // Its units are what systemd takes; it comes with the package's dependencies.
    root.run(
        "systemd-analyze verify --man=no camelpost.service camelpost@465.service camelpost.socket",
    );

    // The service, and an instance for another port with a list of plugins of its own.
    let (port, other) = (Port::free().unwrap(), Port::free().unwrap());
    let ports = [port.number, other.number];
    let log = "/var/log/camelpost/camelpost.log";
    let listen = |port: u16| format!("--listen-address 127.0.0.1 --port {port} --max-from-ip 0");
    root.run(&format!(
        "echo 'OPTIONS=\"{} --log-file {log}\"' > /etc/default/camelpost
        mkdir -p /etc/camelpost/instances/second
        find /etc/camelpost -maxdepth 1 -type f -exec cp -t /etc/camelpost/instances/second {{}} +
        echo /var/spool/camelpost/second > /etc/camelpost/instances/second/spool_dir
        echo 'OPTIONS=\"{}\"' > /etc/default/camelpost-second",
        listen(ports[0]),
        listen(ports[1]),
    ));
    let units = [
        Unit::new(&root, "camelpost.service", ""),
        Unit::new(&root, "camelpost@.service", "second"),
    ];
    let errors = tempfile::NamedTempFile::new().unwrap();
    let err = || Stdio::from(File::options().append(true).open(errors.path()).unwrap());
    let errors = || fs::read_to_string(errors.path()).unwrap();
    let mut services = Vec::new();
    for (unit, port) in units.iter().zip(ports) {
        assert!(unit.is_checked(&root, err()), "{}", errors());
        services.push(unit.serve(&root, err()));
        until("the service", || {
            for service in &mut services {
                assert!(service.try_wait().unwrap().is_none(), "{}", errors());
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }
    let first = daemons(&root);
    assert_eq!(first.len(), 2, "{first:?}");
    // What package scripts go by: a socket that somebody else has named by one of these processes is none.
    root.run(&format!(
        "install -d -o nobody /run/camelpost/65534
        perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => shift, Listen => 1) or die' /run/camelpost/65534/{}",
        first[0].rsplit('/').next().unwrap()
    ));
    let listed = root.run("/usr/share/camelpost/daemons /usr/bin/camelpost");
    let listed: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    assert_eq!(listed, first);
    root.run("rm -r /run/camelpost/65534");

    let mut accepted = vec!["the first message".to_owned()];
    send(ports[0], &accepted[0]);
    assert_eq!(delivered(&root), accepted);
    // The group adm may read it.
    assert_eq!(owner(log).trim(), "camelpost:adm 640");

    // Up and down again: neither a refused connection nor a lost message.
    let mut running = first;
    for version in [NEW, OLD] {
        let said = installed_under_load(&root, version, &ports, &mut accepted);
        let handed = said.matches("upgraded: process ").count();
        assert_eq!(handed, 2, "{said}");
        let now = root.run("dpkg-query -W -f '${Version}' camelpost");
        assert_eq!(now, version);
        let after = daemons(&root);
        assert_eq!(after.len(), 2, "{after:?}");
        assert!(
            after.iter().all(|socket| !running.contains(socket)),
            "{running:?} {after:?}"
        );
        running = after;
    }
    accepted.sort();
    assert_eq!(delivered(&root), accepted);

    // A library of the program's is replaced, as by a security update: the new one counts at once.
    let said = root.run(
        "library=$(dpkg -S '*/libssl.so.3' | cut -d : -f 1)
        apt-get install -y -q --reinstall $library",
    );
    assert_eq!(said.matches("upgraded: process ").count(), 2, "{said}");

    // One that cannot be found is named.
    let third = Port::free().unwrap();
    root.run(&format!(
        "cd /var/lib/camelpost && camelpost serve --config /etc/camelpost --user camelpost --worker-user camelpost-plugins \
         --control none --detach --pid-file /run/third.pid {}",
        listen(third.number)
    ));
    let goes_on = |said: &str| {
        let pid = root.read("/run/third.pid");
        said.contains(&format!("camelpost: process {} ", pid.trim()))
            && said.contains("no control socket")
    };

    // A configuration that does not load: the old program goes on, and the installation says so.
    root.run("cp -p /etc/camelpost/plugins /plugins && echo nonsuch >> /etc/camelpost/plugins");
    let said = root.run(&format!("dpkg -i /{NEW}.deb"));
    assert!(
        said.contains("/etc/camelpost/plugins:") && said.contains("plugin nonsuch"),
        "{said}"
    );
    assert!(
        said.contains("the old program goes on") && goes_on(&said),
        "{said}"
    );
    assert_eq!(said.matches("upgraded: process ").count(), 1, "{said}");
    accepted.push("under the old program".to_owned());
    send(ports[0], &accepted[accepted.len() - 1]);
    root.run("mv /plugins /etc/camelpost/plugins");

    // What systemd would run to reload and to stop, after all these upgrades: one of the two has a port still.
    let socket_of = |port: u16| {
        let listening = format!("127.0.0.1:{port}");
        let status = |socket: &String| root.run(&format!("camelpost status --control {socket}"));
        let found = daemons(&root)
            .into_iter()
            .find(|socket| status(socket).contains(&listening));
        found.expect("a daemon with that port")
    };
    for (name, port, unit) in [
        ("ExecReload", ports[0], &units[0]),
        ("ExecStop", ports[1], &units[1]),
    ] {
        let socket = socket_of(port);
        let pid = socket.rsplit(['/', '.']).nth(1).unwrap();
        let output = unit.control(&root, name, pid);
        assert!(output.status.success(), "{name}: {output:?}");
    }
    assert_eq!(daemons(&root), [socket_of(ports[0])]);

    // The service ends with the package; its config stays until the purge.
    let said = root.run("apt-get remove -y -q camelpost");
    assert!(goes_on(&said), "{said}");
    root.run("kill $(cat /run/third.pid)");
    for port in ports {
        let refused = std::net::TcpStream::connect(("127.0.0.1", port));
        assert!(refused.is_err(), "something listens still");
    }
    root.run("test -e /etc/camelpost/plugins && ! test -e /usr/bin/camelpost");
    // Plugins, which have that directory, may have put a link there.
    root.run(
        "mkdir -p /srv/other/store && touch /srv/other/store/kept
        setpriv --reuid camelpost-plugins --clear-groups ln -s /srv/other /var/spool/camelpost/link
        mkdir /srv/drop-ins && rm -rf /etc/systemd/system/camelpost.service.d
        ln -s /srv/drop-ins /etc/systemd/system/camelpost.service.d",
    );
    root.run("dpkg --purge camelpost");
    root.run("test -e /srv/other/store/kept && rm /var/spool/camelpost/link /etc/systemd/system/camelpost.service.d");
    root.run("rmdir /var/spool/camelpost");
    let left = root.run("find / -xdev -name '*camelpost*'");
    assert_eq!(left, "/var/lib/camelpost\n", "nothing but mail");
    accepted.sort();
    assert_eq!(delivered(&root), accepted);
}
