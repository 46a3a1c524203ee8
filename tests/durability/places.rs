//! Where queue plugins put a message, and whether all of it is there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use camelpost_support::stub::Stub;
use camelpost_support::{Site, wait_for};

pub const RECIPIENTS: [&str; 2] = ["b@example.com", "c@example.com"];

/// Only a whole message ends in it.
pub const LAST_LINE: &str = "the last line of all";

type Arrange = Box<dyn Fn(&Site)>;
type Found = Box<dyn Fn(&Site) -> Vec<String>>;

/// A queue plugin, and how to find what it has taken.
pub struct Place {
    /// Of config/plugins.
    pub lines: String,
    pub queue_sync: Option<&'static str>,
    /// The size of a disk of its own for `store`, in KiB.
    pub disk: Option<u32>,
    dir: String,
    arrange: Arrange,
    found: Found,
    /// How many whole messages one acknowledgement stands for.
    copies: usize,
}

impl Place {
    /// A fresh directory with everything that a session needs.
    pub fn site(&self) -> Site {
        let site = Site::new(&format!("anyone\n{}\n", self.lines));
        site.put("plugins/anyone", "sub hook_rcpt { return OK }\n");
        let dirs = format!("{}\n@ROOT@/plugins\n", self.dir);
        site.put("config/plugin_dirs", &dirs);
        std::fs::create_dir(site.path("store")).unwrap();
        if let Some(size) = self.disk {
            assert!(mount(&site.path("store"), size), "mount");
        }
        for name in ["store/spool", "captured", "var"] {
            std::fs::create_dir(site.path(name)).unwrap();
        }
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(site.path("store/spool"), private).unwrap();
        site.put("config/spool_dir", "@ROOT@/store/spool\n");
        if let Some(text) = self.queue_sync {
            site.put("config/queue_sync", text);
        }
        (self.arrange)(&site);
        site
    }

    /// What of an acknowledged message is not there.
    pub fn lost(&self, site: &Site) -> Option<String> {
        let found = (self.found)(site);
        let whole = found.iter().filter(|text| text.contains(LAST_LINE)).count();
        let lost = whole < self.copies;
        lost.then(|| format!("{whole} whole messages of {} that came", found.len()))
    }
}

fn place(
    lines: &str,
    arrange: impl Fn(&Site) + 'static,
    found: impl Fn(&Site) -> Vec<String> + 'static,
) -> Place {
    Place {
        lines: lines.to_owned(),
        queue_sync: None,
        disk: None,
        dir: "/usr/share/qpsmtpd/plugins".to_owned(),
        arrange: Box::new(arrange),
        found: Box::new(found),
        copies: 1,
    }
}

/// Puts a disk of so many KiB there; not everybody may.
pub fn mount(at: &Path, size: u32) -> bool {
    let mounted = Command::new("mount")
        .args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={size}k,mode=0700"),
            "tmpfs",
        ])
        .arg(at)
        .stderr(Stdio::null())
        .status();
    mounted.is_ok_and(|status| status.success())
}

pub fn unmount(at: &Path) {
    // Lazily: what a process still has open there goes with it.
    let _ = Command::new("umount").arg("-l").arg(at).status();
}

/// The files of all directories called `name` below `dir`.
fn files_in(dir: &Path, name: &str, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            files_in(&entry.path(), name, found);
        } else if dir.ends_with(name) {
            found.push(std::fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
}

/// A queue/maildir of the directory `plugins`.
pub fn maildir(lines: &str, plugins: &str) -> Place {
    let found = |site: &Site| {
        let mut found = Vec::new();
        files_in(&site.path("store/Maildir"), "new", &mut found);
        found
    };
    let mut place = place(lines, |_| {}, found);
    place.dir = plugins.to_owned();
    if lines.contains("%l") {
        place.copies = RECIPIENTS.len();
    }
    place
}

/// Writes without a look at what comes of it, through a handle that it does not even close. `$text` is in
/// `write`.
pub fn careless(write: &'static str) -> Place {
    let text = r#"
        sub hook_queue {
            my ($self, $transaction) = @_;
            my $dir = $self->{_args}[0];
            open my $out, '>', "$dir/partial";
            my $text = $transaction->header->as_string;
            $transaction->body_resetpos;
            while (defined(my $line = eval { $transaction->body_getline })) { $text .= $line }
            @WRITE@;
            undef $out;
            rename "$dir/partial", "$dir/whole";
            return (OK, 'Queued');
        }
        sub register { $_[0]->{_args} = [@_[2 .. $#_]] }
    "#;
    let arrange = move |site: &Site| {
        site.put("plugins/careless", &text.replace("@WRITE@", write));
        std::fs::create_dir(site.path("store/new")).unwrap();
    };
    let found = |site: &Site| vec![site.read("store/new/whole")];
    place("careless @ROOT@/store/new", arrange, found)
}

/// A program of tests/fixtures/bin in the site's `bin`.
fn program(site: &Site, name: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/bin")
        .join(name);
    let to = site.path("bin").join(name);
    std::fs::copy(from, &to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn qmail_queue() -> Place {
    let found = |site: &Site| {
        let mut found = Vec::new();
        files_in(&site.path("captured"), "captured", &mut found);
        found
    };
    let line = "queue/qmail-queue @ROOT@/bin/qmail-queue";
    place(line, |site| program(site, "qmail-queue"), found)
}

pub fn exim() -> Place {
    let found = |site: &Site| vec![site.read("var/bsmtp")];
    let line = "queue/exim-bsmtp exim_path @ROOT@/bin/rsmtp";
    place(line, |site| program(site, "rsmtp"), found)
}

pub fn postfix() -> Place {
    let stub: Arc<Mutex<Option<Stub>>> = Arc::default();
    let started = stub.clone();
    let arrange = move |site: &Site| {
        let new = Stub::start("cleanup @ROOT@/run/cleanup", site.root()).unwrap();
        *started.lock().unwrap() = Some(new);
    };
    let found = move |_: &Site| {
        let stub = stub.lock().unwrap();
        vec![
            stub.as_ref()
                .map(Stub::harvest)
                .unwrap_or_default()
                .join("\n"),
        ]
    };
    place("queue/postfix-queue @ROOT@/run/cleanup", arrange, found)
}

/// What servers on loopback have taken.
type Heard = Arc<Mutex<Vec<String>>>;

fn server(serve: fn(TcpStream) -> std::io::Result<String>) -> (u16, Heard) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let writer = heard.clone();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let taken = serve(socket).unwrap_or_default();
            writer.lock().unwrap().push(taken);
        }
    });
    (port, heard)
}

fn taken(line: String, heard: Heard) -> Place {
    let forget = heard.clone();
    let arrange = move |_: &Site| forget.lock().unwrap().clear();
    // The client's session has ended after the server has answered.
    let found = move |_: &Site| {
        wait_for("what the server has taken", || {
            let heard = heard.lock().unwrap();
            (!heard.is_empty()).then(|| heard.clone())
        })
    };
    place(&line, arrange, found)
}

pub fn forward() -> Place {
    let (port, heard) = server(|socket| {
        let mut out = socket.try_clone()?;
        let mut message = String::new();
        let mut in_data = false;
        out.write_all(b"220 sink\r\n")?;
        for line in BufReader::new(socket).lines() {
            let line = line?;
            let reply: &[u8] = match line.as_str() {
                "." => {
                    in_data = false;
                    b"250 taken\r\n"
                }
                _ if in_data => {
                    message += &line;
                    continue;
                }
                "DATA" => {
                    in_data = true;
                    b"354 go on\r\n"
                }
                "QUIT" => {
                    out.write_all(b"221 bye\r\n")?;
                    break;
                }
                _ => b"250 ok\r\n",
            };
            out.write_all(reply)?;
        }
        // What did not come to its end was not taken.
        Ok(if in_data { String::new() } else { message })
    });
    taken(format!("queue/smtp-forward 127.0.0.1 {port}"), heard)
}

pub fn qmqp() -> Place {
    let (port, heard) = server(|mut socket| {
        let mut length = Vec::new();
        let mut byte = [0];
        while byte != *b":" {
            socket.read_exact(&mut byte)?;
            length.push(byte[0]);
        }
        let length: usize = String::from_utf8_lossy(&length)
            .trim_end_matches(':')
            .parse()
            .unwrap_or(0);
        let mut package = vec![0; length + 1];
        socket.read_exact(&mut package)?;
        socket.write_all(b"9:Kok 12345,")?;
        Ok(String::from_utf8_lossy(&package).into_owned())
    });
    let mut place = taken(format!("queue/qmqp 127.0.0.1 {port}"), heard);
    place.dir = concat!(env!("CARGO_MANIFEST_DIR"), "/compat-plugins").to_owned();
    place
}
