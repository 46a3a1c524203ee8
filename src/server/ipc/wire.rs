//! The fields of which the messages between the processes are made: integers little-endian, an
//! address, a text. Does not know the messages.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::channel::MAX_MESSAGE;

/// A message that is being put together.
pub(in crate::server) struct Writer(pub(in crate::server) Vec<u8>);

impl Writer {
    pub(in crate::server) fn new(tag: u8) -> Writer {
        Writer(vec![tag])
    }
    pub(in crate::server) fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }
    pub(in crate::server) fn u32(mut self, value: u32) -> Writer {
        self.0.extend(value.to_le_bytes());
        self
    }
    pub(in crate::server) fn i32(mut self, value: i32) -> Writer {
        self.0.extend(value.to_le_bytes());
        self
    }
    pub(in crate::server) fn u64(mut self, value: u64) -> Writer {
        self.0.extend(value.to_le_bytes());
        self
    }
    pub(in crate::server) fn ip(mut self, value: IpAddr) -> Writer {
        match value {
            IpAddr::V4(ip) => {
                self.0.push(4);
                self.0.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                self.0.push(6);
                self.0.extend(ip.octets());
            }
        }
        self
    }
    /// The last field: as much of a text as fits.
    pub(in crate::server) fn text(mut self, value: &str) -> Vec<u8> {
        let mut end = value.len().min(MAX_MESSAGE - self.0.len());
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        self.0.extend(&value.as_bytes()[..end]);
        self.0
    }
    pub(in crate::server) fn address(self, value: SocketAddr) -> Writer {
        let mut writer = self.ip(value.ip());
        writer.0.extend(value.port().to_le_bytes());
        writer
    }
}

/// What is left of a message that is being read: each field is `None` where it is not there.
pub(in crate::server) struct Reader<'a>(pub(in crate::server) &'a [u8]);

impl Reader<'_> {
    pub(in crate::server) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    pub(in crate::server) fn u8(&mut self) -> Option<u8> {
        Some(u8::from_le_bytes(self.bytes()?))
    }
    pub(in crate::server) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes()?))
    }
    pub(in crate::server) fn i32(&mut self) -> Option<i32> {
        Some(i32::from_le_bytes(self.bytes()?))
    }
    pub(in crate::server) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes()?))
    }
    pub(in crate::server) fn bool(&mut self) -> Option<bool> {
        Some(self.u8()? != 0)
    }
    pub(in crate::server) fn ip(&mut self) -> Option<IpAddr> {
        match self.u8()? {
            4 => Some(Ipv4Addr::from(self.bytes::<4>()?).into()),
            6 => Some(Ipv6Addr::from(self.bytes::<16>()?).into()),
            _ => None,
        }
    }
    pub(in crate::server) fn address(&mut self) -> Option<SocketAddr> {
        let ip = self.ip()?;
        Some(SocketAddr::new(ip, u16::from_le_bytes(self.bytes()?)))
    }
}
