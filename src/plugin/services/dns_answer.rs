//! Answers of the DNS as they came, for plugins that have to know why there is nothing, or whose a record is.
//! Asks nobody.

use std::net::IpAddr;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// A name without the dot at its end.
pub(super) fn shown(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// What is asked of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Texts.
    Txt,
    /// Names, of what [`reversed`](crate::plugin::reversed) makes of an address.
    Ptr,
}

impl DnsKind {
    pub(super) fn record_type(self) -> RecordType {
        match self {
            DnsKind::A => RecordType::A,
            DnsKind::Aaaa => RecordType::AAAA,
            DnsKind::Txt => RecordType::TXT,
            DnsKind::Ptr => RecordType::PTR,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The records in the order in which they came, aliases on the way perhaps among them.
    pub records: Vec<DnsRecord>,
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED` or its like, as Net::DNS has it; `query timed out` where no
    /// server has answered.
    pub code: String,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// Whose it is, without the dot at its end.
    pub name: String,
    /// What it says.
    pub data: DnsData,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsData {
    /// A and AAAA.
    Address(IpAddr),
    /// TXT, in its pieces.
    Text(Vec<Vec<u8>>),
    /// PTR, without the dot at its end.
    Name(String),
    /// Anything else.
    Other,
}

impl DnsAnswer {
    pub(super) fn nothing(code: impl Into<String>) -> DnsAnswer {
        DnsAnswer {
            records: Vec::new(),
            code: code.into(),
        }
    }

    pub(super) fn of<'a>(records: impl Iterator<Item = &'a Record>) -> DnsAnswer {
        let records = records.map(|record| DnsRecord {
            name: shown(record.name()),
            data: data(record.data()),
        });
        DnsAnswer {
            records: records.collect(),
            code: "NOERROR".to_owned(),
        }
    }
}

pub(super) fn data(data: &RData) -> DnsData {
    match data {
        RData::A(address) => DnsData::Address(address.0.into()),
        RData::AAAA(address) => DnsData::Address(address.0.into()),
        RData::TXT(txt) => DnsData::Text(txt.iter().map(|piece| piece.to_vec()).collect()),
        RData::PTR(name) => DnsData::Name(shown(&name.0)),
        _ => DnsData::Other,
    }
}

/// The name that a response code has in the protocol's documents.
pub(super) fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        other => return format!("RCODE{}", u16::from(other)),
    }
    .to_owned()
}
