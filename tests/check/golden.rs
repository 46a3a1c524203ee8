//! What the check has to say of whole directories, held against files: Debian's package's as it is, one with a fault of
//! each kind, and those of a site with lists of plugins for each address and two daemons. UPDATE_EXPECTED=1 writes them
//! anew.

use std::fs;

use camelpost_support::debian::conffiles;
use camelpost_support::golden::assert_golden;
use camelpost_support::{Site, repository};

use crate::found_with;

fn same_as(name: &str, site: &Site, options: &[&str]) {
    let (lines, status) = found_with(site, options);
    let mut text = lines.join("\n");
    text += &format!("\nexit status {}\n", status.unwrap());
    assert_golden("check", &format!("{name}.txt"), &text);
}

/// /etc/qpsmtpd as Debian's package brings it, where nobody chose a queue plugin; its absolute paths in the site.
fn debian() -> Site {
    let site = Site::empty();
    for name in ["", "config"] {
        site.allow(name, 0o755);
    }
    fs::create_dir(site.path("log")).unwrap();
    for (file, text) in conffiles() {
        let Some(name) = file.strip_prefix("/etc/qpsmtpd/") else {
            continue;
        };
        let text = text
            .replace("/etc/qpsmtpd/", "@ROOT@/config/")
            .replace("/var/log/qpsmtpd/", "@ROOT@/log/")
            .replace("/var/spool/qpsmtpd", "@ROOT@/spool");
        site.config(name, text);
    }
    site.config("debian-queue-method", "# none\n");
    site.config("debian-rcpthosts", "unset\n");
    site
}

#[test]
fn debian_s_directory_as_it_is() {
    let site = debian();
    same_as("debian", &site, &[]);
    same_as("debian_verbose", &site, &["--verbose"]);
    site.config("compat", "0.94-5\n");
    site.config("debian-queue-method", "queue/maildir @ROOT@/Maildir\n");
    let plugins = site.read("config/plugins").replace("check_loop", "loop");
    site.config("plugins", plugins);
    same_as("debian_mended", &site, &[]);
}

#[test]
fn a_directory_with_a_fault_of_each_kind() {
    let site = debian();
    site.put("plugins/broken", "sub hook_mail {\n    my $x = ;\n}\n");
    site.put("plugins/needs", "use Mail::SPF::Missing;\n");
    site.put("plugins/slip", "sub hook_rcptt { return DENY }\n");
    site.put(
        "plugins/method",
        "sub register { $_[0]->register_hook('data_post', 'chekc') }\n",
    );
    site.put("plugins/idle", "sub helper { 1 }\n");
    site.put(
        "plugins/old",
        "sub hook_mail {\n    my ($self) = @_;\n    $self->qp->get_qmail_config('me');\n    return DECLINED;\n}\n",
    );
    site.put(
        "plugins/tied",
        "my %seen;\ntie %seen, 'Tied';\nsub hook_mail { $seen{1}; return DECLINED }\n\
         package Tied;\nsub TIEHASH { bless {} }\nsub FETCH { 1 }\n",
    );
    site.config("compat", "1.00\n");
    site.config(
        "plugin_dirs",
        "/usr/share/qpsmtpd/plugins\n@ROOT@/plugins\n@ROOT@/plugin\n",
    );
    site.config(
        "plugins",
        "dnsbl rejekt naughty\nearlytalker wiat 1 reject 0\nuribl checkip no\nrelay colour red\ncheck_loop\nnowhere\n\
         broken\nneeds\nslip\nmethod\nidle\nold\ntied\nnative/none\n$include more\n$include lost\n",
    );
    site.config("more", "$include more2\n");
    site.config("more2", "$include more\n");
    site.config("rcpthotss", "example.org\n");
    site.config("databytes", "lots\n");
    site.config("me", "\u{feff}mx.example.org\n");
    site.config("badhelo", "a\0b\n");
    site.config("flat_auth_pw", "user@example.org:secret\n");
    site.allow("config/flat_auth_pw", 0o644);
    // The cycle takes the file's lines away: one without it.
    same_as("broken_cycle", &site, &[]);
    let plugins = site.read("config/plugins").replace("$include more\n", "");
    site.config("plugins", plugins);
    same_as("broken", &site, &[]);
}

#[test]
fn a_site_with_lists_for_addresses_and_two_daemons() {
    let site = Site::new("");
    let peers = fs::read_to_string(repository().join("tests/fixtures/plugins/peers")).unwrap();
    site.put("plugins/peers", &peers);
    site.config("plugins", "peers\n");
    site.config("peers/0", "# everybody\nrcpt_ko\ntaker\nnative/tsl\n");
    site.config("peers/local", "taker\nnative/loop\n");
    site.config("peers/192.0.2.1", "taker\n");
    same_as("peers", &site, &[]);
    // The second daemon, whose lines somebody has put into a directory.
    fs::remove_file(site.path("config/plugins")).unwrap();
    site.config("plugins/0", "taker\n");
    same_as("plugins_directory", &site, &[]);
}
