//! DNS for native plugins: asked without blocking, kept as long as the answers hold, by TCP where an answer
//! is too long. A zone given by a test stands in for the network.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    NameServerConfig, NameServerConfigGroup, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::name_server::{GenericNameServerPool, TokioConnectionProvider};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::proto::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::xfer::{DnsHandle, DnsRequestOptions, FirstAnswer, Protocol};
use hickory_resolver::proto::{ProtoError, ProtoErrorKind};

use super::dns_answer::{DnsAnswer, DnsKind, DnsRecord, code_name, data, shown};
use crate::base::{PerProcess, dns_servers};
use crate::plugin::failure::Failure;

/// How long one server is waited for before the next is asked, or the same again.
const PATIENCE: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 2;
/// What Net::DNS says where nobody has answered.
const UNANSWERED: &str = "query timed out";
/// How many answers are kept.
const KEPT: usize = 4096;

thread_local! {
    static SERVERS: PerProcess<Servers> = const { PerProcess::new() };
    static RESOLVER: PerProcess<TokioResolver> = const { PerProcess::new() };
    static ZONE: RefCell<Option<Rc<Zone>>> = const { RefCell::new(None) };
}

type Servers = GenericNameServerPool<TokioRuntimeProvider>;

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

    /// What a question has come to: for plugins that have to know why there is nothing, or whose a record is.
    pub async fn query(&self, name: &str, kind: DnsKind) -> DnsAnswer {
        let kind = kind.record_type();
        let zone = ZONE.with_borrow(Option::clone);
        if let Some(zone) = zone {
            return zone.whole_answer(name, kind);
        }
        match look_up(name, kind).await {
            Ok(found) => DnsAnswer::of(found.records().iter()),
            Err(NoAnswer::Said(code)) => DnsAnswer::nothing(code_name(code)),
            Err(NoAnswer::Other(_)) => DnsAnswer::nothing(UNANSWERED),
        }
    }

    /// The names of an address, without the dot at their end.
    pub async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, Failure> {
        let name = reversed(address);
        let found = ask(&name, RecordType::PTR).await?;
        let name = |data| match data {
            RData::PTR(name) => Some(shown(&name.0)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(name).collect())
    }
}

async fn ask(name: &str, kind: RecordType) -> Result<Vec<RData>, Failure> {
    let failed = |reason: String| Failure::new(format!("DNS: {kind} of {name}: {reason}"));
    let zone = ZONE.with_borrow(Option::clone);
    if let Some(zone) = zone {
        return zone
            .answer(name, kind)
            .map_err(|reason| failed(reason.to_owned()));
    }
    match look_up(name, kind).await {
        Ok(found) => Ok(found.into_iter().collect()),
        Err(NoAnswer::Said(ResponseCode::NoError | ResponseCode::NXDomain)) => Ok(Vec::new()),
        Err(NoAnswer::Said(code)) => Err(failed(format!("a server says {}", code_name(code)))),
        Err(NoAnswer::Other(reason)) => Err(failed(reason)),
    }
}

/// Why there are no records.
enum NoAnswer {
    /// A server says so.
    Said(ResponseCode),
    /// Whatever else there is.
    Other(String),
}

async fn look_up(name: &str, kind: RecordType) -> Result<Lookup, NoAnswer> {
    let mut asked = Name::from_ascii(name).map_err(|error| NoAnswer::Other(error.to_string()))?;
    // As it stands: no domain of this machine's is tried behind it.
    asked.set_fqdn(true);
    if is_own(&asked) {
        return ask_servers(asked, kind).await;
    }
    let resolver = RESOLVER.with(|own| own.get_or(resolver));
    let looked_up = resolver.lookup(asked, kind).await;
    looked_up.map_err(|error| NoAnswer::of(error.proto(), &error))
}

impl NoAnswer {
    fn of(error: Option<&ProtoError>, shown: &impl std::fmt::Display) -> NoAnswer {
        match error.map(ProtoError::kind) {
            Some(ProtoErrorKind::NoRecordsFound { response_code, .. }) => {
                NoAnswer::Said(*response_code)
            }
            _ => NoAnswer::Other(shown.to_string()),
        }
    }
}

/// Whether a name is this host's own: of those the resolver has answers without asking anybody, which the servers
/// need not share.
fn is_own(name: &Name) -> bool {
    let name = shown(name).to_ascii_lowercase();
    let is_in = |zone: &str| {
        name.strip_suffix(zone)
            .is_some_and(|start| start.is_empty() || start.ends_with('.'))
    };
    is_in("localhost")
        || is_in("127.in-addr.arpa")
        || name == shown(&Name::from(Ipv6Addr::LOCALHOST))
}

/// What the servers say, each time anew.
async fn ask_servers(name: Name, kind: RecordType) -> Result<Lookup, NoAnswer> {
    let servers = SERVERS.with(|own| own.get_or(servers));
    let query = Query::query(name, kind);
    let asked = servers.lookup(query.clone(), DnsRequestOptions::default());
    match asked.first_answer().await {
        Ok(answer) if answer.answers().is_empty() => Err(NoAnswer::Said(answer.response_code())),
        Ok(answer) => Ok(Lookup::new_with_max_ttl(query, answer.answers().into())),
        Err(error) => Err(NoAnswer::of(Some(&error), &error)),
    }
}

fn servers() -> Servers {
    let servers = NameServerConfigGroup::from(name_servers());
    Servers::from_config(servers, options(), TokioConnectionProvider::default())
}

fn name_servers() -> Vec<NameServerConfig> {
    let both = |server| {
        let server = move |protocol| NameServerConfig::new(server, protocol);
        [Protocol::Udp, Protocol::Tcp].map(server)
    };
    dns_servers().into_iter().flat_map(both).collect()
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = PATIENCE;
    options.attempts = ATTEMPTS;
    options.cache_size = KEPT;
    options
}

fn resolver() -> TokioResolver {
    let mut config = ResolverConfig::new();
    name_servers()
        .into_iter()
        .for_each(|server| config.add_name_server(server));
    let provider = TokioConnectionProvider::default();
    let builder = TokioResolver::builder_with_config(config, provider);
    builder.with_options(options()).build()
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

    fn whole_answer(&self, name: &str, kind: RecordType) -> DnsAnswer {
        let shown = key(name);
        match self.answer(name, kind) {
            Err(_) => DnsAnswer::nothing(UNANSWERED),
            Ok(_) if !self.records.keys().any(|(known, _)| *known == shown) => {
                DnsAnswer::nothing("NXDOMAIN")
            }
            Ok(found) => {
                let record = |found: &RData| DnsRecord {
                    name: shown.clone(),
                    data: data(found),
                };
                DnsAnswer {
                    records: found.iter().map(record).collect(),
                    code: "NOERROR".to_owned(),
                }
            }
        }
    }

    fn answer(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, &'static str> {
        let name = key(name);
        if self.failing.contains(&name) {
            return Err("no server has answered");
        }
        Ok(self.records.get(&(name, kind)).cloned().unwrap_or_default())
    }
}

/// The name under which the DNS has an address, for PTR.
pub fn reversed(address: IpAddr) -> String {
    Name::from(address).to_ascii()
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
    use super::super::dns_answer::DnsData;
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
        let whole = |name, kind| now(dns.query(name, kind));
        let texts = whole("a.example", DnsKind::Txt);
        assert_eq!(texts.records[0].name, "a.example");
        assert_eq!(
            texts.records[0].data,
            DnsData::Text(vec![b"v=spf1 -all".to_vec()])
        );
        let codes =
            ["a.example", "b.example", "broken.example"].map(|name| whole(name, DnsKind::Ptr).code);
        assert_eq!(codes, ["NOERROR", "NXDOMAIN", "query timed out"]);
        let error = now(dns.a("broken.example")).unwrap_err().to_string();
        assert_eq!(error, "DNS: A of broken.example: no server has answered");
        use_zone(None);
    }
}
