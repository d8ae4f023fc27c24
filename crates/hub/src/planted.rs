//! Defects that a test plants on its own thread, to see that they are found. There are none outside of tests.

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Who waits is told before the fsyncs.
    EarlyAcknowledgement,
    /// The mark that all is durable comes before the fsyncs.
    EarlyMark,
    /// An opening keeps appends of which a batch is missing.
    HalfAppends,
}

#[cfg(test)]
thread_local! {
    /// What is planted on this thread.
    pub(crate) static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// A test has planted `defect`.
#[cfg(test)]
pub(crate) fn is_planted(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// Never.
#[cfg(not(test))]
pub(crate) fn is_planted(_: Defect) -> bool {
    false
}
