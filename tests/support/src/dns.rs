//! A resolver on loopback for the daemons and the plugins that look names up: it answers at once.
//!
//! It knows a few names of example.net and what a set says in its `dns` lines, and says NXDOMAIN to
//! all else. It knows no zones and speaks UDP only.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

const A: u16 = 1;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;

const DEFAULTS: [&str; 2] = [
    "here.example.net A 127.0.0.1",
    "elsewhere.example.net A 192.0.2.1",
];

/// What is said to a question about one name.
enum Entry {
    /// Type and data of each record; a question for another type gets an empty answer.
    Records(Vec<(u16, Vec<u8>)>),
    /// A response code and nothing else.
    Code(u8),
    /// No answer, ever.
    Silence,
}

/// All that the resolver knows, by names in lower case.
#[derive(Default)]
pub struct Zone(HashMap<String, Entry>);

impl Zone {
    /// Takes lines of the form `NAME TYPE DATA`, `NAME SERVFAIL`, `NAME REFUSED`, `NAME SILENT`.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut zone = Self::default();
        for line in DEFAULTS.into_iter().chain(lines) {
            let mut words = line.splitn(3, ' ');
            let name = words.next().unwrap_or_default().to_lowercase();
            let kind = words.next().unwrap_or_default();
            let data = words.next().unwrap_or_default();
            let entry = match kind {
                "SERVFAIL" => Entry::Code(2),
                "REFUSED" => Entry::Code(5),
                "SILENT" => Entry::Silence,
                _ => {
                    let record = record(kind, data).ok_or_else(|| {
                        format!("`dns NAME A|AAAA|PTR|MX|TXT|CNAME DATA` expected: dns {line}")
                    })?;
                    if let Some(Entry::Records(records)) = zone.0.get_mut(&name) {
                        records.push(record);
                        continue;
                    }
                    Entry::Records(vec![record])
                }
            };
            zone.0.insert(name, entry);
        }
        Ok(zone)
    }

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name_at(query, 12)?;
        let question = query.get(12..end + 4)?;
        let wanted = u16::from_be_bytes([*query.get(end)?, *query.get(end + 1)?]);
        let mut answers = Vec::new();
        let mut owner = name;
        let code = loop {
            match self.0.get(&owner) {
                None if answers.is_empty() => break 3,
                None => break 0,
                Some(Entry::Silence) => return None,
                Some(Entry::Code(code)) => break *code,
                Some(Entry::Records(records)) => {
                    let of = |kind| records.iter().filter(move |r| r.0 == kind);
                    answers.extend(of(wanted).map(|r| (owner.clone(), r)));
                    let alias = of(CNAME).next().filter(|_| wanted != CNAME);
                    let Some(alias) = alias.filter(|_| answers.len() < 8) else {
                        break 0;
                    };
                    answers.push((owner, alias));
                    owner = name_at(&alias.1, 0)?.0;
                }
            }
        };
        let mut message = query.get(..2)?.to_vec();
        message.extend([0x81, 0x80 | code, 0, 1]);
        message.extend((answers.len() as u16).to_be_bytes());
        message.extend([0, 0, 0, 0]);
        message.extend_from_slice(question);
        for (owner, (kind, data)) in answers {
            message.extend(encoded(&owner));
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend((data.len() as u16).to_be_bytes());
            message.extend_from_slice(data);
        }
        Some(message)
    }
}

/// Starts the resolver with what it knows of itself.
#[allow(dead_code, reason = "the comparison suite gives a zone of the set's")]
pub fn start() -> std::io::Result<SocketAddr> {
    serve(Zone::parse([]).map_err(std::io::Error::other)?)
}

/// Starts the resolver; it runs as long as the test process.
pub fn serve(zone: Zone) -> std::io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if let Some(answer) = zone.answer(&query[..length]) {
                socket.send_to(&answer, from).ok();
            }
        }
    });
    Ok(address)
}

fn record(kind: &str, data: &str) -> Option<(u16, Vec<u8>)> {
    Some(match kind {
        "A" => (A, data.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        "AAAA" => (AAAA, data.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        "PTR" => (PTR, encoded(data)),
        "CNAME" => (CNAME, encoded(data)),
        "MX" => {
            let (preference, host) = data.split_once(' ')?;
            let mut bytes = preference.parse::<u16>().ok()?.to_be_bytes().to_vec();
            bytes.extend(encoded(host));
            (MX, bytes)
        }
        "TXT" => {
            let mut bytes = Vec::new();
            for piece in data.as_bytes().chunks(255) {
                bytes.push(piece.len() as u8);
                bytes.extend_from_slice(piece);
            }
            (TXT, bytes)
        }
        _ => return None,
    })
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The name that begins at this place, in lower case, and where it ends.
fn name_at(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = bytes.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
}

/// A Perl module of this name that sends all lookups of Net::DNS to this resolver: in INIT, once the daemon has
/// loaded Net::DNS itself, and after a first new(), which reads the machine's own settings over anything that was
/// set before.
pub fn perl_module(name: &str, resolver: SocketAddr) -> String {
    format!(
        "package {name};\nINIT {{\n    require Net::DNS::Resolver;\n    \
         Net::DNS::Resolver->new;\n    Net::DNS::Resolver->nameservers('{}');\n    \
         Net::DNS::Resolver->port({});\n}}\n1;\n",
        resolver.ip(),
        resolver.port()
    )
}

/// The same for Camelpost's own lookups.
pub fn environment(resolver: SocketAddr) -> [(&'static str, String); 2] {
    [
        ("RES_NAMESERVERS", resolver.ip().to_string()),
        ("RES_OPTIONS", format!("port:{}", resolver.port())),
    ]
}
