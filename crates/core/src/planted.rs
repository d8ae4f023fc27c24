//! Defects that a test plants, to see that it would find them. They belong to the thread that plants them and to those that
//! it hands them on to; a release has none. It must not know what a defect does: see where it is asked for.

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Defect {
    /// The hub tells who waits before the fsyncs.
    EarlyAcknowledgement,
    /// The hub notes that all is durable before the fsyncs.
    EarlyMark,
    /// The hub keeps appends of which a batch is missing.
    HalfAppends,
    /// The files that a manifest names are published without their fsync.
    UnsyncedFile,
    /// A manifest is published without the fsync of its folder.
    UnsyncedFolder,
    /// Rows go to the engine before they are durable in the hub.
    EarlyHandIn,
    /// After a start one push too few is handed in again.
    ReplayLate,
    /// After a start one push too many is handed in again.
    ReplayEarly,
    /// After a start the batches of one append are handed in one by one.
    ReplayApart,
    /// Checkpoints are taken while rows are still handed in again.
    EarlyCheckpoint,
    /// A start whose clock was set back begins with epochs that the one before it had.
    EpochAgain,
    /// An epoch ends with what happens to have been read.
    RaggedEpoch,
    /// An epoch is readable before it is complete.
    EarlyEpoch,
    /// The last worker's state is left out of checkpoints.
    WorkerLeftOut,
    /// Changes that could not be made durable are forgotten.
    OwedForgotten,
    /// A checkpoint that could not be made durable is tried again only when more rows come.
    OwedWaits,
    /// Two starts have the same number.
    IncarnationAgain,
    /// The outbox of a checkpoint is dropped with the next, delivered or not.
    OutboxDropped,
    /// An epoch counts as delivered before the target says so.
    EarlyDelivery,
    /// A delivery of which nothing is known is simply made again.
    BlindDelivery,
    /// A target keeps the progress apart from the rows.
    ProgressApart,
}

#[cfg(debug_assertions)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Plants `defect` on this thread, and nothing else.
#[cfg(debug_assertions)]
pub fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

/// Does nothing: a release has no defects to plant.
#[cfg(not(debug_assertions))]
pub fn plant(_: Option<Defect>) {}

/// What is planted on this thread, for threads that it starts.
#[cfg(debug_assertions)]
pub fn planted() -> Option<Defect> {
    PLANTED.get()
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub const fn planted() -> Option<Defect> {
    None
}

/// A test has planted `defect`.
pub fn is_planted(defect: Defect) -> bool {
    planted() == Some(defect)
}
