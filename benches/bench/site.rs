//! The site that all servers run: one config directory that lets mail in, one
//! that refuses the client, plugins, spool and log, in a temporary directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Result;
use crate::kind::Kind;
use crate::options::Options;

const PACKAGE_PLUGINS: &str = "/usr/share/qpsmtpd/plugins";

/// A queue plugin that takes every message and keeps none.
const DISCARD_PLUGIN: &str = "sub hook_queue { return (OK, 'Queued!') }\n";

/// Refuses every client at connect: where the forkserver has forked for it already.
const REFUSE_PLUGIN: &str = "sub hook_connect { return (DENY_DISCONNECT, 'Not from there') }\n";

/// The lines of `plugins`, for those who take mail.
const PLUGINS: &str = "\
hosts_allow
relay
count_unrecognized_commands 4
badmailfrom
badrcptto
helo policy lenient
rcpt_ok
headers reject 0
loop
bench_discard
";

/// The same as native plugins.
const NATIVE_PLUGINS: &str = "\
native/hosts_allow
native/relay
native/count_unrecognized_commands 4
native/badmailfrom
native/badrcptto
native/helo policy lenient
native/rcpt_ok
native/headers reject 0
native/loop
native/bench_discard
";

/// How long clients wait in native/earlytalker: longer than it takes to connect them all.
pub const EARLY_SECONDS: u64 = 40;

/// As Debian's package has it at the head of its list; waits a second before the greeting.
const EARLYTALKER: &str = "check_earlytalker action log\n";

/// Takes the reverse lookup out of the original, which ignores -H: the cost of
/// DNS packets and of waiting for them is not what is compared.
const NO_REVERSE: &str = "\
package NoReverse;
use strict;
use warnings;
use Net::DNS::Resolver;
no warnings 'redefine';
*Net::DNS::Resolver::query = sub { return };
1;
";

pub struct Site {
    pub root: TempDir,
    /// The config directory that accepts mail.
    pub open: PathBuf,
    /// The same with 127.0.0.1 refused by hosts_allow.
    pub refusing: PathBuf,
    /// The same with a plugin that refuses each client in the connect hook.
    pub refusing_in_hook: PathBuf,
    /// The one that accepts mail, behind Debian's earlytalker.
    pub early: PathBuf,
    /// The one with native plugins alone.
    native: PathBuf,
    /// The same behind native/earlytalker.
    pub waiting: PathBuf,
    /// The one that accepts mail, with Debian's tls.
    tls: PathBuf,
    /// Certificate and key.
    certificate: [PathBuf; 2],
    /// The directory of NoReverse.pm.
    pub shim: PathBuf,
    pub user: String,
}

/// Where the messages of the bench go; rcpt_ok finds it in the middle of its list.
pub const RECIPIENT: &str = "user@host15.example";
pub const SENDER: &str = "sender@mail.example";

impl Site {
    pub fn build(options: &Options) -> Result<Self> {
        if !Path::new(PACKAGE_PLUGINS).is_dir() {
            return Err(format!(
                "{PACKAGE_PLUGINS} is missing: the bench runs the plugins of Debian's package \
                 qpsmtpd (apt-get install qpsmtpd)"
            )
            .into());
        }
        let owner = Owner::find(options)?;
        let root = tempfile::Builder::new()
            .prefix("camelpost-bench.")
            .tempdir()?;
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;

        let plugins = root.path().join("plugins");
        fs::create_dir(&plugins)?;
        fs::write(plugins.join("bench_discard"), DISCARD_PLUGIN)?;
        fs::write(plugins.join("bench_refuse"), REFUSE_PLUGIN)?;
        let shim = root.path().join("shim");
        fs::create_dir(&shim)?;
        fs::write(shim.join("NoReverse.pm"), NO_REVERSE)?;
        for name in ["spool", "log"] {
            let directory = root.path().join(name);
            fs::create_dir(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
            owner.take(&directory)?;
        }

        let config = |name: &str, lines: &str| -> Result<PathBuf> {
            let directory = root.path().join(name);
            write_config(&directory, root.path(), &plugins, lines)?;
            Ok(directory)
        };
        let open = config("config", PLUGINS)?;
        let refusing = config("config-refusing", PLUGINS)?;
        fs::write(
            refusing.join("hosts_allow"),
            "127.0.0.0/8 DENY Not from there\n",
        )?;
        let in_hook = PLUGINS.replace("relay\n", "bench_refuse\nrelay\n");
        let refusing_in_hook = config("config-refusing-in-hook", &in_hook)?;
        let early = config("config-early", &format!("{EARLYTALKER}{PLUGINS}"))?;
        let native = config("config-native", NATIVE_PLUGINS)?;
        let log = format!(
            "native/logging/file loglevel LOGWARN {}/log/native.log\n",
            root.path().display()
        );
        fs::write(native.join("logging"), &log)?;
        let line = format!("native/earlytalker wait {EARLY_SECONDS}\n{NATIVE_PLUGINS}");
        let waiting = config("config-waiting", &line)?;
        fs::write(waiting.join("logging"), &log)?;
        let certificate = make_certificate(root.path(), &owner)?;
        let [file, key] = certificate.each_ref().map(|path| path.display());
        let tls = config("config-tls", &format!("tls {file} {key} {file}\n{PLUGINS}"))?;

        Ok(Self {
            root,
            open,
            refusing,
            refusing_in_hook,
            early,
            native,
            waiting,
            tls,
            certificate,
            shim,
            user: owner.name,
        })
    }

    /// The one that accepts mail, for this server.
    pub fn of(&self, kind: Kind) -> PathBuf {
        match kind {
            Kind::Native => self.native.clone(),
            Kind::Haraka => self.root.path().join("haraka"),
            _ => self.open.clone(),
        }
    }

    /// The one that accepts mail and offers TLS, for this server.
    pub fn tls(&self, kind: Kind) -> PathBuf {
        match kind {
            Kind::Haraka => self.of(kind),
            _ => self.tls.clone(),
        }
    }

    pub fn configure_haraka(&self, directory: &Path, port: u16) -> Result<()> {
        crate::haraka::configure(directory, port, &hosts(), &self.certificate)
    }
}

fn write_config(directory: &Path, root: &Path, plugins: &Path, lines: &str) -> Result<()> {
    fs::create_dir(directory)?;
    let put = |name: &str, text: &str| fs::write(directory.join(name), text);

    put("plugins", lines)?;
    put(
        "plugin_dirs",
        &format!("{}\n{PACKAGE_PLUGINS}\n", plugins.display()),
    )?;
    put(
        "logging",
        &format!(
            "logging/file loglevel LOGWARN {}/log/smtpd.log\n",
            root.display()
        ),
    )?;
    put("loglevel", "4\n")?;
    put("me", "bench.example\n")?;
    put("spool_dir", &format!("{}/spool\n", root.display()))?;
    put("size_threshold", "1000000\n")?;
    put("compat", "0.94\n")?;
    put(
        "hosts_allow",
        "192.0.2.66 DENY Not from there\n198.51.100.0/24 DENYSOFT Later\n",
    )?;
    put(
        "relayclients",
        "192.0.2.0/24\n198.51.100.7\n203.0.113.0/25\n10.20.30.\n",
    )?;
    put(
        "badmailfrom",
        &twenty("@spam{}.example\n", "bulk{}@lists.example\n"),
    )?;
    put(
        "badrcptto",
        &twenty("trap{}@host01.example\n", "@closed{}.example\n"),
    )?;
    put("rcpthosts", &hosts())?;
    Ok(())
}

fn hosts() -> String {
    let all = (1..=30).map(|number| format!("host{number:02}.example\n"));
    all.collect()
}

/// A certificate for this host and its key, made by the program openssl.
fn make_certificate(directory: &Path, owner: &Owner) -> Result<[PathBuf; 2]> {
    let files = ["cert.pem", "key.pem"].map(|name| directory.join(name));
    let [certificate, key] = &files;
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7",
        ])
        .args(["-subj", "/CN=bench.example", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .map_err(|error| format!("openssl (Debian package openssl): {error}"))?;
    if !made.status.success() {
        return Err(format!("openssl: {}", String::from_utf8_lossy(&made.stderr)).into());
    }
    for file in &files {
        owner.take(file)?;
    }
    Ok(files)
}

fn twenty(even: &str, odd: &str) -> String {
    (0..20)
        .map(|number| {
            let form = if number % 2 == 0 { even } else { odd };
            form.replace("{}", &number.to_string())
        })
        .collect()
}

/// The user that the servers run as. The original refuses to stay root.
struct Owner {
    name: String,
    /// User and group, where files have to be given to them.
    ids: Option<(u32, u32)>,
}

impl Owner {
    fn find(options: &Options) -> Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd")?;
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            let name = lookup(&passwd, |_, id| id == uid.as_raw());
            let (name, ..) = name.ok_or("the user that started the bench has no name")?;
            return Ok(Self { name, ids: None });
        }
        let wanted: Vec<&str> = match &options.user {
            Some(name) => vec![name],
            None => vec!["qpsmtpd", "nobody"],
        };
        for name in &wanted {
            if let Some((name, uid, gid)) = lookup(&passwd, |entry, _| entry == *name) {
                return Ok(Self {
                    name,
                    ids: Some((uid, gid)),
                });
            }
        }
        Err(format!(
            "no such user: {} (choose one with --user)",
            wanted.join(", ")
        )
        .into())
    }

    fn take(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.ids {
            chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

fn lookup(passwd: &str, wanted: impl Fn(&str, u32) -> bool) -> Option<(String, u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        wanted(name, uid).then(|| (name.to_owned(), uid, gid))
    })
}
