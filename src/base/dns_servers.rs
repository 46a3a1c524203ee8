//! The machine's DNS servers, as Net::DNS finds them: those of the environment (RES_NAMESERVERS, and
//! `port:N` in RES_OPTIONS) before those of resolv.conf. Asks none of them.

use std::net::SocketAddr;

use hickory_resolver::system_conf::read_system_conf;

/// The servers that this process is to ask.
pub(crate) fn dns_servers() -> Vec<SocketAddr> {
    let environment = |name| std::env::var(name).unwrap_or_default();
    named(&environment("RES_NAMESERVERS"), &environment("RES_OPTIONS"))
}

/// The environment's servers before the machine's, as Net::DNS has it.
fn named(nameservers: &str, options: &str) -> Vec<SocketAddr> {
    let port = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("port:")?.parse().ok())
        .unwrap_or(53);
    let named: Vec<SocketAddr> = nameservers
        .split_whitespace()
        .filter_map(|name| Some(SocketAddr::new(name.parse().ok()?, port)))
        .collect();
    if !named.is_empty() {
        return named;
    }
    let mut found = Vec::new();
    if let Ok((config, _)) = read_system_conf() {
        for server in config.name_servers() {
            let address = SocketAddr::new(server.socket_addr.ip(), port);
            // There is one entry for each protocol.
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_environment_names_servers_and_their_port() {
        let found = named("192.0.2.1 nonsense 2001:db8::1", "ndots:2 port:5353");
        assert_eq!(
            found,
            [address("192.0.2.1:5353"), address("[2001:db8::1]:5353")]
        );
    }

    #[test]
    fn servers_of_the_environment_have_the_usual_port() {
        assert_eq!(named("192.0.2.1", "port:x"), [address("192.0.2.1:53")]);
    }
}
