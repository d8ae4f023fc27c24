//! `Pacer`: wakes at a moment, to some ten microseconds. It must not know schedules.
//!
//! The runtime's own timer has a step of a millisecond: at thousands of queries a second it would send them in bursts and
//! charge the server for the wait.

use std::time::Instant;

use anyhow::Result;

/// A timer. One task waits for it at a time.
pub(super) struct Pacer {
    #[cfg(target_os = "linux")]
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Pacer {
    pub(super) fn new() -> Result<Self> {
        use std::os::fd::{FromRawFd, OwnedFd};

        use anyhow::Context;

        // SAFETY: the call has no pointers; its result is checked.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error()).context("cannot make a timer");
        }
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: the descriptor is open and stays the same until the timer is dropped.
        let timer = unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) }?;
        Ok(Self { timer })
    }

    /// Returns at `due`, or at once when that is over. May be dropped and called again.
    pub(super) async fn until(&self, due: Instant) -> Result<()> {
        use std::os::fd::AsRawFd;

        while let Some(wait) = due.checked_duration_since(Instant::now()).filter(|w| !w.is_zero()) {
            let fd = self.timer.as_raw_fd();
            // SAFETY: all bytes zero is a value of this plain struct, whose fields differ between platforms.
            let mut time: libc::itimerspec = unsafe { std::mem::zeroed() };
            time.it_value.tv_sec = libc::time_t::try_from(wait.as_secs())?;
            time.it_value.tv_nsec = libc::c_long::from(wait.subsec_nanos());
            // SAFETY: `time` lives through the call; the old value is not asked for.
            if unsafe { libc::timerfd_settime(fd, 0, &raw const time, std::ptr::null_mut()) } < 0 {
                return Err(std::io::Error::last_os_error().into());
            }
            let mut guard = self.timer.readable().await?;
            let mut expirations = [0_u8; 8];
            // SAFETY: the buffer has the eight bytes that a timer writes.
            unsafe { libc::read(fd, expirations.as_mut_ptr().cast(), expirations.len()) };
            guard.clear_ready();
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Pacer {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {})
    }

    /// Returns at `due`, or at once when that is over.
    pub(super) async fn until(&self, due: Instant) -> Result<()> {
        tokio::time::sleep_until(due.into()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_never_wakes_early_and_may_be_dropped() {
        let pacer = Pacer::new().expect("a timer");
        let far = Instant::now() + Duration::from_secs(60);
        assert!(tokio::time::timeout(Duration::from_millis(5), pacer.until(far)).await.is_err());
        for micros in [0, 300, 2500] {
            let due = Instant::now() + Duration::from_micros(micros);
            pacer.until(due).await.expect("waits");
            assert!(Instant::now() >= due);
        }
    }
}
