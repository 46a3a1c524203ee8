//! What a copy makes of links, databases, sockets and rights.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use camelpost_support::process::is_root;

use crate::machines::Machine;
use crate::{is_as_before, migrate, said, state};

#[test]
fn links_lead_where_they_led_and_never_back_into_the_old_directory() {
    let machine = Machine::elsewhere();
    machine.tcpserver("0 smtp");
    let site = &machine.site;
    let own = |name: &str| site.path("home/smtpd/qpsmtpd/config").join(name);
    machine.put("home/smtpd/domains", "example.org\n");
    machine.put("home/smtpd/spool_dir", "/var/spool/qpsmtpd\n");
    for (says, name) in [
        ("rcpthosts", "within"),
        ("/home/smtpd/qpsmtpd/config/rcpthosts", "absolute"),
        ("../../domains", "relative_out"),
        ("/home/smtpd/domains", "out"),
        ("nowhere", "dangling"),
        ("/home/smtpd/spool_dir", "spool_dir"),
    ] {
        symlink(says, own(name)).unwrap();
    }
    let _socket = UnixListener::bind(own("socket")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(own("fifo"))
            .status()
            .unwrap()
            .success()
    );
    machine.put("home/smtpd/qpsmtpd/config/grey.dbm", "\0\0");
    machine.put("home/smtpd/qpsmtpd/config/flat_auth_pw", "a:b\n");
    machine.allow("home/smtpd/qpsmtpd/config/flat_auth_pw", 0o640);
    machine.allow("home/smtpd/qpsmtpd/config", 0o2750);
    if is_root() {
        chown(own("flat_auth_pw"), Some(400), Some(12)).unwrap();
        chown(own(""), Some(0), Some(12)).unwrap();
        // Whoever changes the owner loses the bit.
        machine.allow("home/smtpd/qpsmtpd/config", 0o2750);
    }
    let before = state(site.root(), &["etc", "var/spool"]);
    let words = ["--root", "@ROOT@", "--from", "/home/smtpd/qpsmtpd/config"];
    let (text, status) = said(&migrate(site, &words));
    assert_eq!(status, Some(0), "{text}");
    is_as_before(&before, &state(site.root(), &["etc", "var/spool"]));
    let new = |name: &str| site.path("etc/camelpost").join(name);
    for (name, says) in [
        ("within", "rcpthosts"),
        ("absolute", "/etc/camelpost/rcpthosts"),
        ("relative_out", "/home/smtpd/domains"),
        ("out", "/home/smtpd/domains"),
        ("dangling", "nowhere"),
    ] {
        assert_eq!(
            fs::read_link(new(name)).unwrap().to_str(),
            Some(says),
            "{name}"
        );
    }
    for line in [
        "/etc/camelpost/absolute: a link to /home/smtpd/qpsmtpd/config/rcpthosts, now to /etc/camelpost/rcpthosts",
        "/etc/camelpost/out: a link to /home/smtpd/domains: both servers read the same",
        "/etc/camelpost/fifo: a FIFO, which is not copied",
        "/etc/camelpost/socket: a socket, which is not copied",
        "/etc/camelpost/grey.dbm: a database by its name, as it was at this moment",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // A link to another one would be the old server's, too.
    assert_eq!(
        site.read("etc/camelpost/spool_dir"),
        "/var/spool/qpsmtpd-camelpost\n"
    );
    assert!(!new("spool_dir").is_symlink());
    assert!(!new("fifo").exists() && !new("socket").exists());
    for name in ["flat_auth_pw", "", "grey.dbm", "plugins"] {
        let (old, new) = (
            fs::metadata(own(name)).unwrap(),
            fs::metadata(new(name)).unwrap(),
        );
        assert_eq!(old.permissions().mode(), new.permissions().mode(), "{name}");
        assert_eq!((old.uid(), old.gid()), (new.uid(), new.gid()), "{name}");
        assert_eq!(old.modified().unwrap(), new.modified().unwrap(), "{name}");
    }
}
