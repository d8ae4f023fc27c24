//! `Scan`: the batches of a file, one after the other, each checked. It must not decide what damage means.

use bytes::Bytes;
use thalweg_disk::{Disk, Result};

use crate::batch::{Batch, BatchError, batch_bytes, topic_mark};
use crate::topic::topic_of;

/// Bytes at the beginning of a batch that say how long it is.
const LENGTH_BYTES: u64 = 12;

/// A walk over the batches of a file.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    disk: &'a dyn Disk,
    path: &'a str,
    /// Where the next batch begins.
    at: u64,
    /// Where the file ends, for this walk.
    end: u64,
    /// The offset that the next batch must have.
    next: u64,
    /// What its batches must say of their topic.
    topic: i32,
    /// What has been read from `at` on.
    read: Bytes,
    read_bytes: usize,
}

/// What comes next in a file.
#[derive(Debug)]
pub(crate) enum Found {
    /// A whole batch, and where it begins.
    Batch(u64, Batch),
    /// The end of the file.
    End,
    /// Something else.
    Broken(Broken),
}

/// Where the batches of a file end before the file does.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub at: u64,
    pub what: String,
}

impl<'a> Scan<'a> {
    /// From the batch at byte `at`, whose offset is `next`, to byte `end`; reads `read_bytes` at a time.
    pub fn new(disk: &'a dyn Disk, path: &'a str, (at, next): (u64, u64), end: u64, read_bytes: usize) -> Self {
        let topic = topic_of(path).map_or(0, topic_mark);
        Self { disk, path, at, end, next, topic, read: Bytes::new(), read_bytes }
    }

    /// The next batch.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn step(&mut self) -> Result<Found> {
        let left = self.end.saturating_sub(self.at);
        if left == 0 {
            return Ok(Found::End);
        }
        self.fill(left.min(LENGTH_BYTES), left)?;
        let need = match batch_bytes(&self.read) {
            Ok(need) => need,
            Err(e) => return Ok(self.broken(e.to_string())),
        };
        if need as u64 > left {
            return Ok(self.broken(BatchError::Short { have: left as usize, need }.to_string()));
        }
        self.fill(need as u64, left)?;
        let batch = match Batch::parse(&self.read) {
            Ok(batch) => batch,
            Err(e) => return Ok(self.broken(e.to_string())),
        };
        // The checksum covers neither of these.
        if batch.base_offset() != self.next {
            return Ok(self.broken(format!("expected offset {}, found {}", self.next, batch.base_offset())));
        }
        // An older version said nothing.
        let topic = batch.header().leader_epoch;
        if topic != self.topic && topic != 0 {
            return Ok(self.broken(format!("expected a batch of topic {}, found one of topic {topic}", self.topic)));
        }
        let at = self.at;
        self.at += need as u64;
        self.next = batch.end_offset();
        self.read = self.read.slice(need..);
        Ok(Found::Batch(at, batch))
    }

    /// Reads until `need` bytes are there, if the file has them.
    fn fill(&mut self, need: u64, left: u64) -> Result<()> {
        if (self.read.len() as u64) < need {
            let length = need.max(self.read_bytes as u64).min(left);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            self.read = self.disk.read_range(self.path, self.at, length)?.into();
        }
        Ok(())
    }

    fn broken(&self, what: String) -> Found {
        Found::Broken(Broken { at: self.at, what })
    }
}
