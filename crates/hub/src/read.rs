//! Reading: batches from an offset on, and offsets by time. It must not change anything.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use thalweg_disk::{Disk, DiskErrorKind};

use crate::batch::Batch;
use crate::limits::{INDEX_STEP_BYTES, MAX_INDEXES, READ_BYTES};
use crate::log::Closed;
use crate::scan::{Broken, Found, Scan};
use crate::state::{Shared, Topic, lock};
use crate::{HubError, Result};

/// Which records a reader gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Those that no crash can take away.
    #[default]
    Durable,
    /// Also those that are appended and not yet durable.
    Appended,
}

/// A part of a topic to read from.
struct Piece {
    /// The topic's number.
    topic: u64,
    segment: Segment,
    /// Nothing from this offset on is visible.
    upto: u64,
}

enum Segment {
    Closed(Arc<Closed>),
    /// The file, where to begin (byte and offset), and where it ends.
    Active(Arc<str>, (u64, u64), u64),
}

impl Visibility {
    /// One past the last offset that is visible.
    fn end(self, topic: &Topic) -> u64 {
        match self {
            Self::Durable => topic.log.durable,
            Self::Appended => topic.log.end(),
        }
    }
}

impl Shared {
    pub fn read(&self, topic: &str, from: u64, max_bytes: usize, visibility: Visibility) -> Result<Vec<Batch>> {
        let mut batches = Vec::new();
        let (mut next, mut bytes) = (from, 0);
        let max_bytes = max_bytes.max(1);
        let mut id = None;
        while bytes < max_bytes {
            let Some(piece) = self.piece(topic, next, visibility)? else { break };
            // Deleted and made again meanwhile: what was read is all that there was.
            if *id.get_or_insert(piece.topic) != piece.topic && !batches.is_empty() {
                break;
            }
            let read = match self.read_piece(&piece, next, max_bytes - bytes, &mut batches) {
                Err(e) if self.is_gone(&e, piece.topic, next) && batches.is_empty() => continue,
                Err(e) if self.is_gone(&e, piece.topic, next) => break,
                read => read?,
            };
            let Some(last) = batches.last().filter(|_| read > 0) else { break };
            bytes += read;
            next = last.end_offset();
        }
        Ok(batches)
    }

    /// A file was missing because the topic no longer has that offset.
    fn is_gone(&self, error: &HubError, topic: u64, offset: u64) -> bool {
        let is_missing = matches!(error, HubError::Disk(e) if e.kind == DiskErrorKind::NotFound);
        is_missing && lock(&self.state).topics.get(&topic).is_none_or(|t| t.is_going || t.log.start() > offset)
    }

    /// Where `offset` is; `None` at the end.
    fn piece(&self, name: &str, offset: u64, visibility: Visibility) -> Result<Option<Piece>> {
        let state = lock(&self.state);
        let topic = state.topic(name)?;
        let id = state.names[name];
        let (log, start, upto) = (&topic.log, topic.log.start(), visibility.end(topic));
        if offset < start || offset > upto {
            return Err(HubError::OutOfRange { topic: name.to_owned(), offset, start, end: upto });
        }
        if offset == upto {
            return Ok(None);
        }
        let segment = if offset >= log.active.base {
            let active = &log.active;
            let place = active.index.place_of(offset).unwrap_or((0, active.base));
            Segment::Active(Arc::clone(&active.path), place, active.bytes)
        } else {
            let after = log.closed.partition_point(|c| c.entry.base <= offset);
            Segment::Closed(Arc::clone(&log.closed[after - 1]))
        };
        Ok(Some(Piece { topic: id, segment, upto }))
    }

    /// Reads batches from `from` on out of one segment, one at least; returns their bytes.
    fn read_piece(&self, piece: &Piece, from: u64, max_bytes: usize, batches: &mut Vec<Batch>) -> Result<usize> {
        let (path, place, end) = match &piece.segment {
            Segment::Active(path, place, end) => (&**path, *place, *end),
            Segment::Closed(closed) => {
                let place = self.index(closed)?.place_of(from).unwrap_or((0, closed.entry.base));
                (closed.path.as_str(), place, closed.entry.bytes)
            }
        };
        let chunk = max_bytes.saturating_add(INDEX_STEP_BYTES as usize).min(READ_BYTES);
        let mut scan = Scan::new(&*self.disk, path, place, end, chunk);
        let mut bytes = 0;
        while let Some(batch) = next_batch(&mut scan, &*self.disk, path)? {
            if batch.end_offset() <= from {
                continue;
            }
            let is_enough = bytes > 0 && bytes + batch.bytes().len() > max_bytes;
            if is_enough || batch.base_offset() >= piece.upto {
                break;
            }
            bytes += batch.bytes().len();
            batches.push(batch);
        }
        Ok(bytes)
    }

    pub fn offset_at(&self, topic: &str, timestamp_ms: i64) -> Result<Option<u64>> {
        let mut from = lock(&self.state).topic(topic)?.log.start();
        loop {
            let Some((piece, next)) = self.piece_at(topic, from, timestamp_ms)? else { return Ok(None) };
            match self.find_at(&piece, timestamp_ms) {
                Ok(None) => from = next,
                Err(e) if self.is_gone(&e, piece.topic, from) => from = lock(&self.state).topic(topic)?.log.start(),
                found => return found,
            }
        }
    }

    /// The first segment from offset `from` on that has a record at or after a time, and where the next one begins.
    fn piece_at(&self, name: &str, from: u64, timestamp_ms: i64) -> Result<Option<(Piece, u64)>> {
        let state = lock(&self.state);
        let log = &state.topic(name)?.log;
        let upto = log.durable;
        let closed = log.closed.iter().filter(|c| c.entry.base >= from);
        let segment = match closed.into_iter().find(|c| c.entry.max_timestamp_ms >= timestamp_ms) {
            Some(closed) => (Segment::Closed(Arc::clone(closed)), closed.entry.end),
            None if log.active.base < from || log.active.max_timestamp_ms < timestamp_ms => return Ok(None),
            None => {
                let active = &log.active;
                let place = active.index.place_at(timestamp_ms).unwrap_or((0, active.base));
                // No segment begins there.
                (Segment::Active(Arc::clone(&active.path), place, active.bytes), u64::MAX)
            }
        };
        Ok(Some((Piece { topic: state.names[name], segment: segment.0, upto }, segment.1)))
    }

    /// The first visible offset of a segment at or after a time.
    fn find_at(&self, piece: &Piece, timestamp_ms: i64) -> Result<Option<u64>> {
        let (path, place, end) = match &piece.segment {
            Segment::Active(path, place, end) => (&**path, *place, *end),
            Segment::Closed(closed) => {
                let Some(place) = self.index(closed)?.place_at(timestamp_ms) else { return Ok(None) };
                (closed.path.as_str(), place, closed.entry.bytes)
            }
        };
        let mut scan = Scan::new(&*self.disk, path, place, end, READ_BYTES);
        while let Some(batch) = next_batch(&mut scan, &*self.disk, path)? {
            if batch.base_offset() >= piece.upto {
                break;
            }
            if batch.header().max_timestamp_ms < timestamp_ms {
                continue;
            }
            let records = batch.records().map_err(|e| HubError::Invalid(e.to_string()))?;
            if let Some((offset, _)) = records.iter().find(|(_, record)| record.timestamp_ms >= timestamp_ms) {
                return Ok(Some(*offset));
            }
        }
        Ok(None)
    }

    /// The index of a closed segment; of those that had to be built, only so many are kept.
    fn index(&self, closed: &Arc<Closed>) -> Result<Arc<crate::index::Index>> {
        let (index, is_new) = closed.index(&*self.disk)?;
        if is_new {
            self.keep_index(Arc::downgrade(closed));
        }
        Ok(index)
    }

    /// Takes note of an index in memory; the oldest goes when there are too many.
    pub fn keep_index(&self, closed: Weak<Closed>) {
        let too_many = {
            let mut indexed: std::sync::MutexGuard<'_, VecDeque<Weak<Closed>>> = lock(&self.indexed);
            indexed.push_back(closed);
            if indexed.len() > MAX_INDEXES { indexed.pop_front() } else { None }
        };
        if let Some(oldest) = too_many.and_then(|c| c.upgrade()) {
            oldest.forget_index();
        }
    }
}

/// The next batch of a file that must be whole.
fn next_batch(scan: &mut Scan<'_>, disk: &dyn Disk, path: &str) -> Result<Option<Batch>> {
    match scan.step()? {
        Found::Batch(_, batch) => Ok(Some(batch)),
        Found::End => Ok(None),
        Found::Broken(Broken { at, what }) => Err(HubError::Damaged { file: disk.locate(path), at, what }),
    }
}
