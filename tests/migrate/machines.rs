//! Machines with a qpsmtpd, each in the directory of a site: its own paths begin with what `prefix` says, which is nothing where the
//! site is another machine's root, and the site's directory where it is a part of this one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use camelpost_support::debian::conffiles;
use camelpost_support::{Site, me};

/// Where qpsmtpd's plugins are on this machine.
const PLUGINS: &str = "/usr/share/qpsmtpd/plugins";

/// A machine that is being made.
pub struct Machine {
    pub site: Site,
    prefix: String,
    /// Who runs the service.
    user: String,
}

impl Machine {
    /// Another machine's root.
    pub fn elsewhere() -> Machine {
        Machine::new("", "smtpd")
    }

    /// Files of this machine.
    pub fn here() -> Machine {
        Machine::new("@ROOT@", &me())
    }

    fn new(prefix: &str, user: &str) -> Machine {
        // Its directories would only be in the way.
        let site = Site::empty();
        for name in ["config", "plugins", "spool"] {
            fs::remove_dir(site.path(name)).unwrap();
        }
        site.allow("", 0o755);
        let machine = Machine {
            site,
            prefix: prefix.to_owned(),
            user: user.to_owned(),
        };
        machine.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nqpsmtpd:x:64055:64055::/var/spool/qpsmtpd:/bin/false\nsmtpd:x:400:400::/home/smtpd:/bin/false\n");
        machine
    }

    /// Writes a file; `@@` in it is the prefix, `@ME@` the service's user.
    pub fn put(&self, name: &str, text: &str) {
        self.site.put(
            name,
            &text.replace("@@", &self.prefix).replace("@ME@", &self.user),
        );
    }

    pub fn dir(&self, name: &str) {
        fs::create_dir_all(self.site.path(name)).unwrap();
    }

    /// Debian's package with its configuration as it brings it, where somebody chose a queue.
    pub fn debian(&self, port: u16) {
        for dir in [
            "var/log/qpsmtpd",
            "var/spool/qpsmtpd",
            "var/lib/qpsmtpd/greylisting",
            "usr/share/qpsmtpd/plugins",
        ] {
            self.dir(dir);
        }
        self.put("usr/lib/systemd/systemd", "");
        self.put(
            "var/lib/dpkg/status",
            "Package: qpsmtpd\nStatus: install ok installed\nArchitecture: all\nMaintainer: nobody\nVersion: 0.94-5\nDescription: x\n",
        );
        let wanted = ["/etc/qpsmtpd/", "/etc/logrotate.d/", "/etc/init.d/"];
        for (file, mut text) in conffiles() {
            if !wanted.iter().any(|dir| file.starts_with(dir)) {
                continue;
            }
            for dir in [
                "/etc/qpsmtpd",
                "/var/log/qpsmtpd",
                "/var/spool/qpsmtpd",
                "/var/run/qpsmtpd",
            ] {
                text = text.replace(dir, &format!("@@{dir}"));
            }
            self.put(&file[1..], &text);
        }
        self.put(
            "etc/qpsmtpd/debian-queue-method",
            "# chosen\nqueue/maildir @@/var/spool/Maildir\n",
        );
        self.put("etc/qpsmtpd/debian-rcpthosts", "example.org\n");
        self.put(
            "etc/qpsmtpd/debconf-settings",
            &format!(
                "ENABLED=\"true\"\nSERVER=\"forkserver\"\nINTERFACES=\"127.0.0.1\"\nPORT={port}\n"
            ),
        );
        // As the package brings it, it refuses every message.
        let plugins = self
            .site
            .read("etc/qpsmtpd/plugins")
            .replace("check_loop", "loop");
        self.site.put("etc/qpsmtpd/plugins", &plugins);
    }

    /// As SME Server has it: a directory of daemontools' with all of it, a list of plugins for each client, files that
    /// other services write.
    pub fn sme(&self, port: u16) {
        let own = "var/service/qpsmtpd";
        self.put(
            &format!("{own}/run"),
            &format!(
                "#!/bin/sh\n# from templates\nexport QPSMTPD_CONFIG=@@/var/service/qpsmtpd/config\nMEMLIMIT=${{MEMLIMIT:-90000000}}\n\
                 exec 2>&1\nexec softlimit -m $MEMLIMIT \\\n    tcpserver -c ${{INSTANCES:-40}} -v -H -R -p \\\n    \
                 -u `id -u @ME@` -g `id -g @ME@` `head -1 config/IP` {port} \\\n    ./qpsmtpd\n"
            ),
        );
        self.put(
            &format!("{own}/log/run"),
            "#!/bin/sh\nexec setuidgid @ME@ multilog t s5000000 @@/var/log/qpsmtpd\n",
        );
        self.dir("var/log/qpsmtpd");
        for (name, text) in [
            ("IP", "127.0.0.1\n"),
            ("me", "sme.example.org\n"),
            ("loglevel", "6\n"),
            ("spool_dir", "@@/var/spool/qpsmtpd\n"),
            (
                "plugin_dirs",
                "/usr/share/qpsmtpd/plugins\n@@/var/service/qpsmtpd/plugins\n",
            ),
            ("plugins", "peers\n"),
            (
                "peers/0",
                "$include goodrcptto_list\nrcpt_ok\nqueue/maildir @@/var/spool/Maildir\n",
            ),
            (
                "peers/127.0.0.1",
                "rcpt_ok\nqueue/maildir @@/var/spool/Maildir\n",
            ),
            (
                "goodrcptto_list",
                "$include @@/var/service/qpsmtpd/config/peers/local\n",
            ),
            ("peers/local", "badmailfrom\n"),
            ("rcpthosts", "example.org\n"),
        ] {
            self.put(&format!("{own}/config/{name}"), text);
        }
        let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/plugins/peers");
        self.put(
            &format!("{own}/plugins/peers"),
            &fs::read_to_string(peers).unwrap(),
        );
        self.dir("var/spool/qpsmtpd");
        self.dir("service");
        symlink("../var/service/qpsmtpd", self.site.path("service/qpsmtpd")).unwrap();
        self.put(
            "usr/share/perl5/vendor_perl/Qpsmtpd.pm",
            "package Qpsmtpd;\nuse vars qw($VERSION);\n$VERSION = \"0.84\";\n",
        );
    }

    /// As its sources are installed: all of it in one directory, started by tcpserver.
    pub fn tcpserver(&self, place: &str) {
        let own = "home/smtpd/qpsmtpd";
        self.put(
            &format!("{own}/run"),
            &format!(
                "#!/bin/sh\nQMAILDUID=`id -u @ME@`\nNOFILESGID=`id -g @ME@`\nexec /usr/local/bin/softlimit -m 25000000 \\\n  \
                 /usr/local/bin/tcpserver -c 10 -v -R -p \\\n  -u $QMAILDUID -g $NOFILESGID {place} ./qpsmtpd 2>&1\n"
            ),
        );
        self.put(
            &format!("{own}/lib/Qpsmtpd.pm"),
            "package Qpsmtpd;\n$VERSION = \"0.94\";\n",
        );
        for name in ["rcpt_ok", "queue/maildir"] {
            let text = fs::read_to_string(format!("{PLUGINS}/{name}")).unwrap();
            self.put(&format!("{own}/plugins/{name}"), &text);
        }
        for (name, text) in [
            ("me", "mx.example.org\n"),
            ("plugins", "rcpt_ok\nqueue/maildir @@/var/spool/Maildir\n"),
            ("rcpthosts", "example.org\n"),
        ] {
            self.put(&format!("{own}/config/{name}"), text);
        }
        self.dir("var/spool");
        self.dir("service");
        symlink("../home/smtpd/qpsmtpd", self.site.path("service/smtpd")).unwrap();
    }

    pub fn allow(&self, name: &str, mode: u32) {
        fs::set_permissions(self.site.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}
