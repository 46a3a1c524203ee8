//! A resolver on loopback for the plugins that look names up: it answers at once.
//!
//! It knows the addresses of a few names of example.net and says NXDOMAIN to all else. There is no
//! PTR record: Camelpost runs without reverse lookups, so the original has to find none.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// Starts the resolver; it runs as long as the test process.
pub fn start() -> std::io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..length]) {
                socket.send_to(&answer, from).ok();
            }
        }
    });
    Ok(address)
}

fn address_of(name: &str) -> Option<Ipv4Addr> {
    match name {
        "here.example.net" => Some(Ipv4Addr::LOCALHOST),
        "elsewhere.example.net" => Some(Ipv4Addr::new(192, 0, 2, 1)),
        _ => None,
    }
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let is_a = query.get(at..at + 2)? == [0, 1];
    let found = address_of(&name);
    let record = found.filter(|_| is_a);
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, if found.is_some() { 0x80 } else { 0x83 }, 0, 1, 0]);
    answer.extend([u8::from(record.is_some()), 0, 0, 0, 0]);
    answer.extend_from_slice(question);
    if let Some(address) = record {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
