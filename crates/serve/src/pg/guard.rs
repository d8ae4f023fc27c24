//! Slows down whoever guesses passwords: failures are counted per address. It must not know users or passwords.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing.
const FREE_FAILURES: u32 = 5;

/// Failures are forgotten this long after the last one.
const MEMORY: Duration = Duration::from_secs(30);

/// Waiting times after the free failures; when they are used up, attempts are refused.
const DELAYS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(10),
];

/// Addresses that are remembered; the one that failed longest ago makes room.
const MAX_ADDRESSES: usize = 10_000;

/// What failures are counted by. Whoever has one IPv6 address has all of its /64.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

/// What to do with an attempt to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    Wait(Duration),
    Refuse,
}

/// The addresses that failed lately.
#[derive(Debug, Default)]
pub(crate) struct Guard(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Guard {
    /// Looks at an attempt before a password is asked for.
    pub(crate) fn judge(&self, address: IpAddr, now: Instant) -> Verdict {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = table.get(&origin(address)).filter(|f| now - f.last < MEMORY).map_or(0, |f| f.count);
        match count.checked_sub(FREE_FAILURES) {
            None => Verdict::Proceed,
            Some(more) => DELAYS.get(more as usize).map_or(Verdict::Refuse, |delay| Verdict::Wait(*delay)),
        }
    }

    /// Remembers a wrong password.
    pub(crate) fn failed(&self, address: IpAddr, now: Instant) {
        let address = origin(address);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MAX_ADDRESSES && !table.contains_key(&address) {
            table.retain(|_, failures| now - failures.last < MEMORY);
            if table.len() >= MAX_ADDRESSES
                && let Some(oldest) = table.iter().min_by_key(|(_, failures)| failures.last).map(|(a, _)| *a)
            {
                table.remove(&oldest);
            }
        }
        let failures = table.entry(address).or_insert(Failures { count: 0, last: now });
        if now - failures.last >= MEMORY {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
    }

    /// Forgets an address that knew a password.
    pub(crate) fn succeeded(&self, address: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&origin(address));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from(n).into()
    }

    #[test]
    fn after_five_failures_attempts_wait_longer_and_longer_and_are_then_refused() {
        let (guard, now) = (Guard::default(), Instant::now());
        let mut verdicts = Vec::new();
        for _ in 0..11 {
            verdicts.push(guard.judge(address(1), now));
            guard.failed(address(1), now);
        }
        let mut expected = vec![Verdict::Proceed; 5];
        expected.extend([1, 2, 4, 8, 10].map(|s| Verdict::Wait(Duration::from_secs(s))));
        expected.push(Verdict::Refuse);
        assert_eq!(verdicts, expected);
        assert_eq!(guard.judge(address(2), now), Verdict::Proceed);
        assert_eq!(guard.judge(address(1), now + MEMORY), Verdict::Proceed);
    }

    #[test]
    fn a_success_forgives() {
        let (guard, now) = (Guard::default(), Instant::now());
        (0..20).for_each(|_| guard.failed(address(1), now));
        guard.succeeded(address(1));
        assert_eq!(guard.judge(address(1), now), Verdict::Proceed);
    }

    #[test]
    fn a_network_counts_as_one_address() {
        let (guard, now) = (Guard::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        (0..5).for_each(|n| guard.failed(address(&format!("2001:db8::{n}")), now));
        assert_ne!(guard.judge(address("2001:db8::ffff"), now), Verdict::Proceed);
        assert_eq!(guard.judge(address("2001:db8:0:1::1"), now), Verdict::Proceed);
        (0..5).for_each(|_| guard.failed(address("::ffff:10.0.0.1"), now));
        assert_ne!(guard.judge(address("10.0.0.1"), now), Verdict::Proceed);
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_makes_room() {
        let (guard, now) = (Guard::default(), Instant::now());
        for n in 0..MAX_ADDRESSES as u32 + 10 {
            guard.failed(address(n), now + Duration::from_nanos(u64::from(n)));
        }
        let table = guard.0.lock().expect("not poisoned");
        assert_eq!(table.len(), MAX_ADDRESSES);
        assert!(!table.contains_key(&address(0)) && table.contains_key(&address(10)));
    }
}
