//! The client's name by reverse lookup, asked before the connect hook without holding the
//! interpreter. The name is not checked forward (plugins do that: fcrdns).
//!
//! It asks the servers that Net::DNS would ask for a plugin: those of resolv.conf, or of the
//! environment (RES_NAMESERVERS, and `port:N` in RES_OPTIONS). It knows no hosts file, makes no
//! exception for loopback addresses, keeps nothing, and does not turn to TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::Name;
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::net::UdpSocket;

use crate::base::dns_servers;

/// How long the lookup may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long one server is waited for before the next is asked.
const PATIENCE: Duration = Duration::from_millis(1200);

/// The PTR name of an address, without the dot at its end; `None` where there is none in time.
pub(crate) async fn name_of(address: IpAddr) -> Option<Vec<u8>> {
    let servers = dns_servers();
    tokio::time::timeout(TIMEOUT, look_up(Name::from(address), &servers))
        .await
        .ok()?
}

async fn look_up(name: Name, servers: &[SocketAddr]) -> Option<Vec<u8>> {
    // The second round is for a packet that was lost.
    for server in servers.iter().chain(servers) {
        let asked = tokio::time::timeout(PATIENCE, ask(&name, *server)).await;
        match asked {
            Ok(Some(answer)) if answer.response_code() == ResponseCode::ServFail => {}
            Ok(Some(answer)) => return first_name(&answer),
            Ok(None) | Err(_) => {}
        }
    }
    None
}

/// One question to one server; an answer to anything else is not looked at.
async fn ask(name: &Name, server: SocketAddr) -> Option<Message> {
    let from: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((from, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    let query = Query::query(name.clone(), RecordType::PTR);
    let mut message = Message::new();
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).ok()?;
    message
        .set_id(u16::from_ne_bytes(id))
        .set_recursion_desired(true)
        .add_query(query.clone());
    socket.send(&message.to_vec().ok()?).await.ok()?;
    let mut bytes = [0; 4096];
    loop {
        let length = socket.recv(&mut bytes).await.ok()?;
        let Ok(answer) = Message::from_vec(&bytes[..length]) else {
            continue;
        };
        if answer.id() == message.id() && answer.queries().first() == Some(&query) {
            return Some(answer);
        }
    }
}

/// Of several names the first, behind an alias as well.
fn first_name(answer: &Message) -> Option<Vec<u8>> {
    answer
        .answers()
        .iter()
        .find_map(|record| match record.data() {
            RData::PTR(name) => {
                let name = name.0.to_ascii();
                Some(name.trim_end_matches('.').as_bytes().to_vec())
            }
            _ => None,
        })
}
