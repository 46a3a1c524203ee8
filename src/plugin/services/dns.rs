//! DNS for native plugins: asked without blocking, kept as long as the answers hold, by TCP where an answer
//! is too long. A zone given by a test stands in for the network.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::proto::xfer::Protocol;
use hickory_resolver::{ResolveError, TokioResolver};

use crate::base::{PerProcess, dns_servers};
use crate::plugin::failure::Failure;

/// How long one server is waited for before the next is asked, or the same again.
const PATIENCE: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 2;
/// How many answers are kept.
const KEPT: usize = 4096;

thread_local! {
    static RESOLVER: PerProcess<TokioResolver> = const { PerProcess::new() };
    static ZONE: RefCell<Option<Rc<Zone>>> = const { RefCell::new(None) };
}

/// A mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// The less, the better.
    pub preference: u16,
    /// Its name, without the dot at its end.
    pub exchange: String,
}

/// Questions to the DNS. What does not exist is an empty answer; only a question without any answer is
/// an error. A hook's time limit holds here as everywhere. The servers are those that Net::DNS asks for a
/// Perl plugin: RES_NAMESERVERS and `port:N` in RES_OPTIONS, else resolv.conf's.
#[derive(Debug)]
pub struct Dns(pub(in crate::plugin) ());

impl Dns {
    /// The IPv4 addresses of a name.
    pub async fn a(&self, name: &str) -> Result<Vec<Ipv4Addr>, Failure> {
        let found = ask(name, RecordType::A).await?;
        let address = |data| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        };
        Ok(found.into_iter().filter_map(address).collect())
    }

    /// The IPv6 addresses of a name.
    pub async fn aaaa(&self, name: &str) -> Result<Vec<Ipv6Addr>, Failure> {
        let found = ask(name, RecordType::AAAA).await?;
        let address = |data| match data {
            RData::AAAA(address) => Some(address.0),
            _ => None,
        };
        Ok(found.into_iter().filter_map(address).collect())
    }

    /// The addresses of a name, IPv4 first.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let four = self.a(name).await?.into_iter().map(IpAddr::from);
        let six = self.aaaa(name).await?.into_iter().map(IpAddr::from);
        Ok(four.chain(six).collect())
    }

    /// The mail exchangers of a domain, the best one first.
    pub async fn mx(&self, domain: &str) -> Result<Vec<Mx>, Failure> {
        let found = ask(domain, RecordType::MX).await?;
        let exchanger = |data| match data {
            RData::MX(mx) => Some(Mx {
                preference: mx.preference(),
                exchange: shown(mx.exchange()),
            }),
            _ => None,
        };
        let mut found: Vec<Mx> = found.into_iter().filter_map(exchanger).collect();
        found.sort_by_key(|mx| mx.preference);
        Ok(found)
    }

    /// The texts of a name, the pieces of each put together.
    pub async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let found = ask(name, RecordType::TXT).await?;
        let text = |data| match data {
            RData::TXT(txt) => Some(txt.iter().flat_map(|piece| piece.to_vec()).collect()),
            _ => None,
        };
        Ok(found.into_iter().filter_map(text).collect())
    }

    /// The names of an address, without the dot at their end.
    pub async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, Failure> {
        let name = Name::from(address).to_ascii();
        let found = ask(&name, RecordType::PTR).await?;
        let name = |data| match data {
            RData::PTR(name) => Some(shown(&name.0)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(name).collect())
    }
}

fn shown(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

async fn ask(name: &str, kind: RecordType) -> Result<Vec<RData>, Failure> {
    let failed = |reason: String| Failure::new(format!("DNS: {kind} of {name}: {reason}"));
    let zone = ZONE.with_borrow(Option::clone);
    if let Some(zone) = zone {
        return zone
            .answer(name, kind)
            .map_err(|reason| failed(reason.to_owned()));
    }
    let mut asked = Name::from_ascii(name).map_err(|error| failed(error.to_string()))?;
    // As it stands: no domain of this machine's is tried behind it.
    asked.set_fqdn(true);
    let resolver = RESOLVER.with(|own| own.get_or(resolver));
    match resolver.lookup(asked, kind).await {
        Ok(found) => Ok(found.into_iter().collect()),
        Err(error) if has_no_records(&error) => Ok(Vec::new()),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The name, or what was asked of it, does not exist; a server that could not say so is something else.
fn has_no_records(error: &ResolveError) -> bool {
    use hickory_resolver::proto::ProtoErrorKind;
    use hickory_resolver::proto::op::ResponseCode;
    match error.proto().map(|error| error.kind()) {
        Some(ProtoErrorKind::NoRecordsFound { response_code, .. }) => {
            matches!(
                *response_code,
                ResponseCode::NoError | ResponseCode::NXDomain
            )
        }
        _ => false,
    }
}

fn resolver() -> TokioResolver {
    let mut config = ResolverConfig::new();
    for server in dns_servers() {
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            config.add_name_server(NameServerConfig::new(server, protocol));
        }
    }
    let mut options = ResolverOpts::default();
    options.timeout = PATIENCE;
    options.attempts = ATTEMPTS;
    options.cache_size = KEPT;
    let provider = TokioConnectionProvider::default();
    let builder = TokioResolver::builder_with_config(config, provider);
    builder.with_options(options).build()
}

/// Names and what they have, for tests: nothing else exists.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    records: HashMap<(String, RecordType), Vec<RData>>,
    failing: Vec<String>,
}

impl Zone {
    /// Nothing exists.
    pub fn new() -> Zone {
        Zone::default()
    }

    /// The name has this address.
    pub fn address(self, name: &str, address: IpAddr) -> Zone {
        match address {
            IpAddr::V4(address) => self.with(name, RecordType::A, RData::A(address.into())),
            IpAddr::V6(address) => self.with(name, RecordType::AAAA, RData::AAAA(address.into())),
        }
    }

    /// The domain has this mail exchanger.
    pub fn mx(self, domain: &str, preference: u16, exchange: &str) -> Zone {
        use hickory_resolver::proto::rr::rdata::MX;
        let exchange = Name::from_ascii(exchange).unwrap_or_default();
        self.with(
            domain,
            RecordType::MX,
            RData::MX(MX::new(preference, exchange)),
        )
    }

    /// The name has this text.
    pub fn txt(self, name: &str, text: &str) -> Zone {
        use hickory_resolver::proto::rr::rdata::TXT;
        let txt = TXT::new(vec![text.to_owned()]);
        self.with(name, RecordType::TXT, RData::TXT(txt))
    }

    /// The address has this name.
    pub fn ptr(self, address: IpAddr, name: &str) -> Zone {
        use hickory_resolver::proto::rr::rdata::PTR;
        let name = Name::from_ascii(name).unwrap_or_default();
        let reverse = Name::from(address).to_ascii();
        self.with(&reverse, RecordType::PTR, RData::PTR(PTR(name)))
    }

    /// A question for this name has no answer.
    pub fn failing(mut self, name: &str) -> Zone {
        self.failing.push(key(name));
        self
    }

    fn with(mut self, name: &str, kind: RecordType, data: RData) -> Zone {
        self.records
            .entry((key(name), kind))
            .or_default()
            .push(data);
        self
    }

    fn answer(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, &'static str> {
        let name = key(name);
        if self.failing.contains(&name) {
            return Err("no server has answered");
        }
        Ok(self.records.get(&(name, kind)).cloned().unwrap_or_default())
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// From now on this thread asks the zone in the network's place, or the network again.
pub(crate) fn use_zone(zone: Option<Zone>) {
    ZONE.set(zone.map(Rc::new));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(asked: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(asked)
    }

    #[test]
    fn a_zone_answers_in_the_network_s_place() {
        let four: IpAddr = "192.0.2.1".parse().unwrap();
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let zone = Zone::new()
            .address("a.example", four)
            .address("a.example", six)
            .mx("a.example", 20, "later.example")
            .mx("a.example", 10, "first.example.")
            .txt("a.example", "v=spf1 -all")
            .ptr(four, "a.example.")
            .failing("broken.example");
        use_zone(Some(zone));
        let dns = Dns(());
        assert_eq!(now(dns.addresses("A.example.")).unwrap(), [four, six]);
        assert!(now(dns.a("b.example")).unwrap().is_empty());
        let names: Vec<String> = now(dns.mx("a.example"))
            .unwrap()
            .into_iter()
            .map(|mx| mx.exchange)
            .collect();
        assert_eq!(names, ["first.example", "later.example"]);
        assert_eq!(
            now(dns.txt("a.example")).unwrap(),
            [b"v=spf1 -all".to_vec()]
        );
        assert_eq!(now(dns.ptr(four)).unwrap(), ["a.example"]);
        let error = now(dns.a("broken.example")).unwrap_err().to_string();
        assert_eq!(error, "DNS: A of broken.example: no server has answered");
        use_zone(None);
    }
}
