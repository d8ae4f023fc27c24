//! Failpoints: named places, before and after each step that a crash may separate. In a debug build with
//! `THALWEG_CRASH_AT=NAME:N` the process ends at the N-th time that it comes to one, as if it had been killed there: nothing
//! is flushed, no destructor runs. In a release build they are not there. It must not know what is done at them.
//!
//! The names are where they are used; `tests/server/kill_points.py` finds them there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names the place and the time.
const VARIABLE: &str = "THALWEG_CRASH_AT";

/// Where this process is to end.
struct Crash {
    name: String,
    /// How often it is still passed.
    left: AtomicU64,
}

impl Crash {
    /// `NAME` or `NAME:N`.
    fn parse(text: &str) -> Option<Self> {
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let nth: u64 = nth.parse().ok().filter(|n| *n > 0)?;
        Some(Self { name: name.to_owned(), left: AtomicU64::new(nth - 1) })
    }

    /// Whether this is the time.
    fn is_now(&self, name: &str) -> bool {
        name == self.name
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

/// The process has come to `name`. Called by [`failpoint!`](crate::failpoint!).
pub fn reached(name: &str) {
    static CRASH: OnceLock<Option<Crash>> = OnceLock::new();
    let crash = CRASH.get_or_init(|| std::env::var(VARIABLE).ok().as_deref().and_then(Crash::parse));
    if crash.as_ref().is_some_and(|crash| crash.is_now(name)) {
        std::process::abort();
    }
}

/// A place at which a debug build can be made to end; see [`failpoint`](crate::failpoint).
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::failpoint::reached($name)
    };
}

#[cfg(test)]
mod tests {
    use super::Crash;

    #[test]
    fn it_ends_at_the_nth_time_of_its_name_alone() {
        let crash = Crash::parse("log.synced:3").expect("a place and a time");
        assert!(!crash.is_now("log.synced") && !crash.is_now("log.appended") && !crash.is_now("log.synced"));
        assert!(crash.is_now("log.synced"));
        assert!(Crash::parse("log.synced").is_some_and(|crash| crash.is_now("log.synced")));
        assert!(Crash::parse("log.synced:0").is_none() && Crash::parse("log.synced:x").is_none());
    }
}
