//! What each client has used of a rule: windows of one interval, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Allowance, Rule};
use crate::clock::Time;

/// Clients are spread over these, so that they seldom wait for each other.
const SHARDS: usize = 16;
/// Clients that a shard knows one by one. Those beyond share one window.
const CLIENTS: usize = 4096;

/// The clients of a rule.
pub(super) struct Windows {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    known: HashMap<IpAddr, Window>,
    others: Window,
}

/// What one client has used since its window began.
#[derive(Default, Clone, Copy)]
struct Window {
    ends: Time,
    used: u64,
    blocked: Time,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
        }
    }
}

impl Windows {
    /// Takes one request of a client.
    #[expect(
        clippy::indexing_slicing,
        reason = "a remainder by the array's own length"
    )]
    pub fn take(&self, rule: &Rule, client: Option<IpAddr>, now: Time) -> Allowance {
        let client = client.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), network);
        let shard = self.hasher.hash_one(client) % SHARDS as u64;
        // A window is whole after every operation.
        let mut shard = self.shards[shard as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shard.window(client, now).take(rule, now)
    }
}

impl Shard {
    fn window(&mut self, client: IpAddr, now: Time) -> &mut Window {
        if self.known.len() >= CLIENTS && !self.known.contains_key(&client) {
            self.known.retain(|_, window| !window.is_over(now));
            if self.known.len() >= CLIENTS {
                return &mut self.others;
            }
        }
        self.known.entry(client).or_default()
    }
}

impl Window {
    fn is_over(&self, now: Time) -> bool {
        now >= self.ends && now >= self.blocked
    }

    fn take(&mut self, rule: &Rule, now: Time) -> Allowance {
        let limit = rule.limit();
        if now >= self.ends {
            self.ends = now.plus(Duration::from_secs(rule.interval));
            self.used = 0;
        }
        let blocked = now < self.blocked;
        let refused = blocked || self.used >= limit;
        if refused && !blocked && rule.block_interval > 0 {
            self.blocked = now.plus(Duration::from_secs(rule.block_interval));
        }
        if !refused {
            self.used += 1;
        }
        let reset = self.ends.since(now);
        Allowance {
            limit,
            remaining: if blocked {
                0
            } else {
                limit.saturating_sub(self.used)
            },
            reset,
            retry: refused.then(|| match now < self.blocked {
                true => self.blocked.since(now),
                false => reset,
            }),
        }
    }
}

/// A client of IPv6 has a whole network of addresses.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rule(rate: f64, interval: u64, block_interval: u64) -> Rule {
        Rule {
            name: "q".to_owned(),
            path: String::new(),
            rate,
            interval,
            block_interval,
            inheritable: None,
        }
    }

    fn at(secs: u64) -> Time {
        Time((1_000_000 + secs) * SECOND)
    }

    fn client(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_window_ends_and_begins_anew() {
        let windows = Windows::default();
        let rule = rule(2.0, 60, 0);
        let take = |secs| windows.take(&rule, client(1), at(secs));
        assert_eq!((take(0).remaining, take(0).remaining), (1, 0));
        let refused = take(10);
        assert_eq!(refused.retry, Some(Duration::from_secs(50)));
        assert_eq!(refused.reset, Duration::from_secs(50));
        assert_eq!(windows.take(&rule, client(2), at(10)).retry, None);
        assert_eq!(take(60).retry, None);
        assert_eq!(take(61).remaining, 0);
    }

    #[test]
    fn who_goes_over_is_blocked() {
        let windows = Windows::default();
        let rule = rule(0.5, 1, 100);
        let take = |secs| windows.take(&rule, client(1), at(secs)).retry;
        assert_eq!(take(0), None);
        assert_eq!(take(0), Some(Duration::from_secs(100)));
        assert_eq!(take(99), Some(Duration::from_secs(1)));
        assert_eq!(take(100), None);
    }

    #[test]
    fn memory_is_bounded_and_strangers_share() {
        let windows = Windows::default();
        let rule = rule(1.0, 60, 0);
        for n in 0..200_000 {
            windows.take(&rule, client(n), at(0));
        }
        let known = |windows: &Windows| -> usize {
            let shards = windows.shards.iter();
            shards.map(|s| s.lock().unwrap().known.len()).sum()
        };
        assert_eq!(known(&windows), SHARDS * CLIENTS);
        assert!(windows.take(&rule, client(200_001), at(0)).retry.is_some());
        // Room comes back when windows have ended.
        assert!(windows.take(&rule, client(200_001), at(61)).retry.is_none());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let text = |a: &str| network(a.parse().unwrap());
        assert_eq!(text("2001:db8::1"), text("2001:db8::ffff:2"));
        assert_ne!(text("2001:db8::1"), text("2001:db8:0:1::1"));
        assert_eq!(text("::ffff:192.0.2.1"), text("192.0.2.1"));
    }
}
