//! `Marks`: a note after each round of fsyncs of what is durable now. It must not be needed: a lost mark costs nothing
//! but the certainty that damage is damage.
//!
//! After a crash the end of a log may be torn, and what follows a hole may be whole. Only marks tell that from damage to
//! what was acknowledged: below a mark nothing may be missing. They are appended and not synced, and start anew with
//! each manifest, which holds the same in full. The file is a sequence of batches of one record each.

use bytes::Bytes;
use thalweg_disk::{Disk, DiskErrorKind, DiskFile};

use crate::batch::varint::{Cursor, put};
use crate::batch::{Encoding, encode, set_base_offset};
use crate::limits::{MARKS_BYTES, READ_BYTES};
use crate::manifest::{ClosedEntry, Manifest, marks_file};
use crate::scan::{Found, Scan};
use crate::{Record, Result};

/// What became certain in one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Topics, and the offset before which all is durable and complete.
    pub durable: Vec<(u64, u64)>,
    /// Topics, and the segment that takes no more.
    pub closed: Vec<(u64, ClosedEntry)>,
}

/// The file of marks that is written to.
#[derive(Debug)]
pub(crate) struct Marks {
    /// None after a write has failed: marks start again with the next manifest.
    file: Option<Box<dyn DiskFile>>,
    next: u64,
    bytes: u64,
    /// Bytes at which a manifest should take its place.
    full: u64,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.durable.len() as i64);
        for (topic, end) in &self.durable {
            put(&mut out, *topic as i64);
            put(&mut out, *end as i64);
        }
        put(&mut out, self.closed.len() as i64);
        for (topic, closed) in &self.closed {
            put(&mut out, *topic as i64);
            closed.encode(&mut out);
        }
        out
    }

    fn decode(bytes: Bytes) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut mark = Self::default();
        for _ in 0..cursor.unsigned()? {
            mark.durable.push((cursor.unsigned()?, cursor.unsigned()?));
        }
        for _ in 0..cursor.unsigned()? {
            mark.closed.push((cursor.unsigned()?, ClosedEntry::decode(&mut cursor)?));
        }
        Some(mark)
    }

    /// Notes it in a manifest.
    fn apply(self, manifest: &mut Manifest) {
        for topic in &mut manifest.topics {
            let durable = self.durable.iter().filter(|(id, _)| *id == topic.id).map(|(_, end)| *end);
            topic.durable = durable.max().unwrap_or(0).max(topic.durable);
            let last = topic.closed.last().map_or(topic.start, |c| c.end);
            let closed = self.closed.iter().filter(|(id, closed)| *id == topic.id && closed.base >= last);
            topic.closed.extend(closed.map(|(_, closed)| *closed));
        }
    }
}

impl Marks {
    /// The marks that follow manifest `number`. Where the file cannot be made there are none.
    pub fn start(disk: &dyn Disk, number: u64) -> Self {
        let path = marks_file(number);
        let file = match disk.create(&path) {
            Err(e) if e.kind == DiskErrorKind::AlreadyExists => disk.remove(&path).and_then(|()| disk.create(&path)),
            made => made,
        };
        Self { file: file.ok(), next: 0, bytes: 0, full: MARKS_BYTES }
    }

    /// Writes a mark. Where that fails marks end.
    pub fn write(&mut self, mark: &Mark) {
        let Some(file) = &self.file else { return };
        let record = Record { value: Some(mark.encode().into()), ..Record::default() };
        let batch = encode(&[record], &Encoding::default()).map(|mut batch| {
            set_base_offset(&mut batch, self.next);
            batch
        });
        match batch.ok().filter(|batch| file.append(batch).is_ok()) {
            Some(batch) => {
                self.next += 1;
                self.bytes += batch.len() as u64;
            }
            None => self.file = None,
        }
    }

    /// There are so many that a manifest should take their place. Says so once per doubling.
    pub fn is_full(&mut self) -> bool {
        let is_full = self.bytes >= self.full;
        if is_full {
            self.full *= 2;
        }
        is_full
    }

    /// Notes in `manifest` what the marks behind it say, as far as they are whole.
    pub fn read(disk: &dyn Disk, manifest: &mut Manifest) -> Result<()> {
        let path = marks_file(manifest.number);
        if !disk.exists(&path)? {
            return Ok(());
        }
        let mut scan = Scan::new(disk, &path, (0, 0), disk.size(&path)?, READ_BYTES);
        while let Found::Batch(_, batch) = scan.step()? {
            let records = batch.records().unwrap_or_default();
            let marks = records.into_iter().filter_map(|(_, record)| Mark::decode(record.value?));
            marks.for_each(|mark| mark.apply(manifest));
        }
        Ok(())
    }
}
