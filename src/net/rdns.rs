//! The client's name by reverse lookup, asked before the connect hook without holding the
//! interpreter. The name is not checked forward (plugins do that: fcrdns).

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;

/// How long the lookup may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The PTR name of an address, without the dot at its end; `None` where there is none in time.
pub async fn name_of(address: IpAddr) -> Option<Vec<u8>> {
    let resolver = TokioResolver::builder_tokio().ok()?.build();
    let lookup = tokio::time::timeout(TIMEOUT, resolver.reverse_lookup(address)).await;
    let names = lookup.ok()?.ok()?;
    let name = names.iter().next()?.0.to_ascii();
    Some(name.trim_end_matches('.').as_bytes().to_vec())
}
