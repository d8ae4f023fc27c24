//! `Failures`: how often an address has shown wrong credentials of late. It must not know credentials.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After this many failures …
const MAX_FAILURES: u32 = 5;

/// … within this time, an address waits until the time is over.
const WINDOW: Duration = Duration::from_secs(30);

/// Addresses remembered; beyond, the one that failed first is forgotten.
const MAX_ADDRESSES: usize = 4096;

/// Failures by address.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<IpAddr, Failed>>);

struct Failed {
    first: Instant,
    times: u32,
}

impl Failures {
    /// How long `address` must wait before its next attempt.
    pub(crate) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = table.get(&network(address))?;
        let left = WINDOW.checked_sub(now.duration_since(failed.first))?;
        (failed.times >= MAX_FAILURES && !left.is_zero()).then_some(left)
    }

    /// `address` has failed again.
    pub(crate) fn add(&self, address: IpAddr, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        if table.len() >= MAX_ADDRESSES && !table.contains_key(&address) {
            table.retain(|_, failed| now.duration_since(failed.first) < WINDOW);
            let oldest = table.iter().min_by_key(|(_, failed)| failed.first).map(|(address, _)| *address);
            if let Some(oldest) = oldest.filter(|_| table.len() >= MAX_ADDRESSES) {
                table.remove(&oldest);
            }
        }
        let failed = table.entry(address).or_insert(Failed { first: now, times: 0 });
        if now.duration_since(failed.first) >= WINDOW {
            *failed = Failed { first: now, times: 0 };
        }
        failed.times += 1;
    }
}

/// Whoever has one IPv6 address has a whole /64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_attempt_waits_until_the_window_is_over() {
        let failures = Failures::default();
        let start = Instant::now();
        let address: IpAddr = "192.0.2.1".parse().expect("an address");
        for _ in 0..MAX_FAILURES {
            assert_eq!(failures.wait(address, start), None);
            failures.add(address, start);
        }
        assert_eq!(failures.wait(address, start), Some(WINDOW));
        assert_eq!(failures.wait("192.0.2.2".parse().expect("an address"), start), None);
        assert_eq!(failures.wait(address, start + WINDOW), None);
        failures.add(address, start + WINDOW);
        assert_eq!(failures.wait(address, start + WINDOW), None, "a new window");
    }

    #[test]
    fn neighbours_in_a_v6_network_count_together_and_the_table_is_bounded() {
        let failures = Failures::default();
        let now = Instant::now();
        for i in 0..MAX_FAILURES {
            failures.add(IpAddr::V6((0x2001_0db8_u128 << 96 | u128::from(i)).into()), now);
        }
        assert!(failures.wait("2001:db8::ffff".parse().expect("an address"), now).is_some());
        for i in 0..10_000_u32 {
            failures.add(IpAddr::V4(i.into()), now);
        }
        assert!(failures.0.lock().expect("no panic").len() <= MAX_ADDRESSES);
    }
}
