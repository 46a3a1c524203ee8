//! The service as this suite starts it, and what it takes of the tests' library.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use camelpost_support::{Setup, Site};

pub use camelpost_support::plugins::{RUNNER, TAKER, line};
pub use camelpost_support::process::{peak_memory, uid};
pub use camelpost_support::{Client, until};

pub const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// What RUNNER says is of any length, and is to be in one line.
const LONG_LINES: &[(&str, &str)] = &[("reply_text", "original\n")];

pub struct Server(camelpost_support::Server);

impl Server {
    pub fn start(plugins: &[(&str, &str)]) -> Server {
        Server::start_with(plugins, &[], &[])
    }

    /// One worker that serves one client after the other.
    pub fn start_with_one_worker(plugins: &[(&str, &str)]) -> Server {
        Server::start_with(plugins, &["--workers", "1", "--spare-workers", "0"], &[])
    }

    pub fn start_with(
        plugins: &[(&str, &str)],
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Server {
        Server::start_configured(plugins, args, environment, LONG_LINES)
    }

    /// The same with further config files, or others in the place of the usual ones.
    pub fn start_configured(
        plugins: &[(&str, &str)],
        args: &[&str],
        environment: &[(&str, &str)],
        config: &[(&str, &str)],
    ) -> Server {
        Server::of(&Setup {
            plugins,
            args,
            environment,
            config,
            users: None,
        })
    }

    /// The same with something done in the directory before.
    pub fn start_prepared(plugins: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Server {
        Server::prepared(
            &Setup {
                plugins,
                ..Setup::default()
            },
            prepare,
        )
    }

    /// The same with a user for the service and another one for its plugins; needs root.
    pub fn start_as(
        users: [&str; 2],
        plugins: &[(&str, &str)],
        args: &[&str],
        config: &[(&str, &str)],
    ) -> Server {
        Server::of(&Setup {
            plugins,
            args,
            config,
            users: Some(users),
            ..Setup::default()
        })
    }

    /// The same with something done in the directory before.
    pub fn start_as_prepared(
        users: [&str; 2],
        plugins: &[(&str, &str)],
        args: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Server {
        let setup = Setup {
            plugins,
            args,
            users: Some(users),
            ..Setup::default()
        };
        Server::prepared(&setup, prepare)
    }

    fn of(setup: &Setup) -> Server {
        Server::prepared(setup, |_| {})
    }

    fn prepared(setup: &Setup, prepare: impl FnOnce(&Path)) -> Server {
        let site = Site::empty();
        prepare(site.root());
        Server(camelpost_support::Server::start_in(site, CAMELPOST, setup))
    }
}

impl Deref for Server {
    type Target = camelpost_support::Server;

    fn deref(&self) -> &camelpost_support::Server {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut camelpost_support::Server {
        &mut self.0
    }
}

/// Sends a request for metrics or the page, gives the whole response.
pub fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}
