//! A Unix SOCK_SEQPACKET socket: whole messages, each with at most one descriptor. Knows
//! nothing of what the messages say.

#![forbid(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
    recvmsg, sendmsg, shutdown, socketpair, sockopt,
};

/// No message is longer.
pub(in crate::server) const MAX_MESSAGE: usize = 36 * 1024;

/// Whether a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Wait {
    Yes,
    No,
}

/// What was received.
pub(in crate::server) enum Received {
    Message {
        len: usize,
        descriptor: Option<OwnedFd>,
    },
    Closed,
}

/// One end of a connected pair.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// A connected pair, closed on exec on both sides.
    pub(in crate::server) fn pair() -> io::Result<(Channel, Channel)> {
        let (a, b) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Channel(a), Channel(b)))
    }

    /// Takes over a descriptor if it is a socket of this kind.
    pub(in crate::server) fn from_descriptor(descriptor: OwnedFd) -> Option<Channel> {
        let kind = sockopt::socket_type(&descriptor).ok()?;
        (kind == SocketType::SEQPACKET).then_some(Channel(descriptor))
    }

    pub(in crate::server) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// Sends one message whole or not at all.
    pub(in crate::server) fn send(
        &self,
        message: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
        wait: Wait,
    ) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = descriptor.as_slice();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other(
                "no room for a descriptor in the control buffer",
            ));
        }
        let mut flags = SendFlags::NOSIGNAL;
        if wait == Wait::No {
            flags |= SendFlags::DONTWAIT;
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(message)], &mut control, flags) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives one message into `buffer`.
    pub(in crate::server) fn receive(&self, buffer: &mut [u8], wait: Wait) -> io::Result<Received> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = RecvFlags::CMSG_CLOEXEC;
        if wait == Wait::No {
            flags |= RecvFlags::DONTWAIT;
        }
        let got = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                Ok(got) => break got,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(Received::Closed),
                Err(error) => return Err(error.into()),
            }
        };
        if got.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "message too long",
            ));
        }
        let mut descriptor = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                descriptor = descriptors.last().map(above_standard);
            }
        }
        if got.bytes == 0 {
            return Ok(Received::Closed);
        }
        Ok(Received::Message {
            len: got.bytes,
            descriptor,
        })
    }

    /// Says no more; the other end sees it at once, and may still say its last.
    pub(in crate::server) fn say_no_more(&self) {
        // An error means that it has ended already.
        let _ = shutdown(&self.0, Shutdown::Write);
    }

    /// Ends both directions; the other end sees it at once, whoever else holds a copy.
    pub(in crate::server) fn shut(&self) {
        // An error means that it has ended already.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

/// Where a plugin has closed one of the descriptors 0 to 2, what is received gets its number, and is
/// then taken for another client's stream, or for the log.
fn above_standard(descriptor: OwnedFd) -> OwnedFd {
    match descriptor.as_raw_fd() {
        0..3 => rustix::io::fcntl_dupfd_cloexec(&descriptor, 3).unwrap_or(descriptor),
        _ => descriptor,
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_with_its_descriptor() {
        let (a, b) = Channel::pair().unwrap();
        let (mine, theirs) = Channel::pair().unwrap();
        a.send(b"hello", Some(theirs.as_fd()), Wait::No).unwrap();
        drop(theirs);
        let mut buffer = [0; 64];
        let Received::Message {
            len,
            descriptor: Some(passed),
        } = b.receive(&mut buffer, Wait::No).unwrap()
        else {
            panic!("no message with a descriptor")
        };
        assert_eq!(&buffer[..len], b"hello");
        let passed = Channel::from_descriptor(passed).unwrap();
        passed.send(b"through it", None, Wait::No).unwrap();
        assert!(matches!(
            mine.receive(&mut buffer, Wait::No).unwrap(),
            Received::Message {
                len: 10,
                descriptor: None
            }
        ));
    }

    #[test]
    fn an_empty_channel_would_block_and_a_closed_one_says_so() {
        let (a, b) = Channel::pair().unwrap();
        let mut buffer = [0; 64];
        let error = b.receive(&mut buffer, Wait::No).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(matches!(
            b.receive(&mut buffer, Wait::No).unwrap(),
            Received::Closed
        ));
    }

    #[test]
    fn a_file_is_not_taken_for_a_channel() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(Channel::from_descriptor(null.into()).is_none());
    }
}
