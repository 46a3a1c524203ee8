//! How often one network may connect: a number of connections at once, and as many again in each
//! period. Its table forgets, and is bounded whoever connects.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::clients::Network;

/// Networks in one half of the table, which is about 2 MB then.
const HALF: usize = 1 << 15;

/// `N/SECONDS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    connections: u32,
    seconds: u32,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let parsed = text.split_once('/').and_then(|(connections, seconds)| {
            Some(Rate {
                connections: connections.parse().ok().filter(|n| *n > 0)?,
                seconds: seconds.parse().ok().filter(|n| *n > 0)?,
            })
        });
        parsed.ok_or_else(|| {
            format!("`{text}` is not CONNECTIONS/SECONDS with two numbers above 0, such as 30/60")
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connections, self.seconds)
    }
}

/// Who has connected lately. For each network: when all of its connections will be forgotten, if
/// each takes its share of the period to be.
#[derive(Debug)]
pub(in crate::server) struct Rates {
    rate: Rate,
    new: HashMap<Network, Instant>,
    old: HashMap<Network, Instant>,
    turned: Instant,
}

impl Rates {
    pub(in crate::server) fn new(rate: Rate) -> Rates {
        Rates {
            rate,
            new: HashMap::new(),
            old: HashMap::new(),
            turned: Instant::now(),
        }
    }

    pub(in crate::server) fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts a connection, unless there have been too many.
    pub(in crate::server) fn allow(&mut self, ip: IpAddr) -> bool {
        self.allow_at(ip, Instant::now())
    }

    fn allow_at(&mut self, ip: IpAddr, now: Instant) -> bool {
        let period = Duration::from_secs(self.rate.seconds.into());
        let share = period / self.rate.connections;
        self.forget(period, now);
        let network = Network::of(ip);
        let known = self.new.get(&network).or_else(|| self.old.get(&network));
        let next = known.copied().unwrap_or(now).max(now) + share;
        if next > now + period {
            return false;
        }
        self.new.insert(network, next);
        true
    }

    /// What is older than a period has no effect any more; where too many networks come within one,
    /// those that did not come again are forgotten earlier.
    fn forget(&mut self, period: Duration, now: Instant) {
        if now.duration_since(self.turned) >= period || self.new.len() >= HALF {
            self.old = std::mem::take(&mut self.new);
            self.turned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(text: &str) -> Rates {
        Rates::new(text.parse().unwrap())
    }

    #[test]
    fn as_many_as_the_rate_says_at_once_and_again_as_time_goes_by() {
        let mut rates = rates("3/60");
        let ip = "192.0.2.1".parse().unwrap();
        let begin = Instant::now();
        let mut at = |seconds| rates.allow_at(ip, begin + Duration::from_secs(seconds));
        assert_eq!([0, 0, 0, 0].map(&mut at), [true, true, true, false]);
        // One share of the period later there is place for one.
        assert_eq!([10, 21, 22].map(&mut at), [false, true, false]);
        assert_eq!([500, 500, 500, 500].map(&mut at), [true, true, true, false]);
    }

    #[test]
    fn one_network_does_not_count_for_another_and_a_slash_64_is_one() {
        let mut rates = rates("1/60");
        let mut come = |ip: &str| rates.allow(ip.parse().unwrap());
        assert!(come("192.0.2.1") && come("192.0.2.2"));
        assert!(!come("192.0.2.1"));
        assert!(come("2001:db8::1"));
        assert!(!come("2001:db8::2"));
        assert!(come("2001:db8:0:1::1"));
    }

    #[test]
    fn the_table_stays_bounded_and_forgets_after_a_period() {
        let mut rates = rates("1/60");
        let begin = Instant::now();
        for n in 0..200_000u32 {
            assert!(rates.allow_at(IpAddr::V4(n.into()), begin));
        }
        assert!(rates.new.len() + rates.old.len() <= 2 * HALF);
        for periods in [1, 2] {
            let later = begin + periods * Duration::from_secs(60);
            assert!(rates.allow_at(IpAddr::V4(periods.into()), later));
        }
        assert!(rates.new.len() + rates.old.len() <= 2);
    }

    #[test]
    fn the_latest_are_remembered_while_many_others_come() {
        let mut rates = rates("1/60");
        let begin = Instant::now();
        for n in 0..100_000u32 {
            rates.allow_at(IpAddr::V4(n.into()), begin);
        }
        assert!(!rates.allow_at(IpAddr::V4(99_999.into()), begin));
    }

    #[test]
    fn what_is_no_rate_is_explained() {
        for wrong in ["5", "0/60", "5/0", "5/", "a/b", "-1/5", "5/1.5"] {
            assert!(
                wrong.parse::<Rate>().unwrap_err().contains("30/60"),
                "{wrong}"
            );
        }
        assert_eq!("30/60".parse::<Rate>().unwrap().to_string(), "30/60");
    }
}
