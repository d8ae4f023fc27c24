//! Every limit of the hub, by name and unit. It must not hold logic. Unit tests reach those that are not public with
//! smaller values.

/// Bytes of a topic's name at most, as in Kafka.
pub const MAX_TOPIC_NAME_BYTES: usize = 249;

/// Topics at most: each costs an open file and two fsyncs at a start.
pub const MAX_TOPICS: usize = 10_000;

/// Bytes of a batch at most, compressed and not (64 MiB).
pub const MAX_BATCH_BYTES: usize = 64 << 20;

/// Batches of one [`append`](crate::Hub::append) at most.
pub const MAX_APPENDS: usize = 1_024;

/// Bytes appended and not yet durable at most (256 MiB): then an append waits.
pub const MAX_PENDING_BYTES: u64 = 256 << 20;

/// Appends not yet durable at most: then an append waits.
pub const MAX_PENDING_APPENDS: u64 = 65_536;

/// Bytes of a segment, unless a topic says otherwise (64 MiB).
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Bytes of a segment between two entries of its index (32 KiB).
pub(crate) const INDEX_STEP_BYTES: u64 = if cfg!(test) { 512 } else { 32 << 10 };

/// Indexes of closed segments kept in memory at most: about 32 KiB each for segments of 64 MiB.
pub(crate) const MAX_INDEXES: usize = if cfg!(test) { 3 } else { 4_096 };

/// Bytes read from a file at a time (256 KiB), more where a batch is larger.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Bytes of a file of marks at which a new manifest takes its place (1 MiB).
pub(crate) const MARKS_BYTES: u64 = if cfg!(test) { 1_500 } else { 1 << 20 };

/// Bytes kept free for the manifest that frees others on a full disk (1 MiB).
pub(crate) const RESERVE_BYTES: usize = if cfg!(test) { 4 << 10 } else { 1 << 20 };
