//! One worker's readers: which to read next, and into which input. It must not know operators.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringViewArray};
use thalweg_core::{DeadLetter, DeltaBatch, Epoch, EpochHeader, Offset, Result, Source, Watermark, dead_schema};
use thalweg_plan::SourceSpec;
use timely::container::NoopBuilder;
use timely::dataflow::InputHandle;

use crate::container::Chunk;
use crate::coordinator::SourceReport;
use crate::partition::{Partition, Read};
use crate::shell::panicked;
use crate::splits::SplitQueue;
use crate::stats::RunStats;

pub(crate) type Input = InputHandle<u64, NoopBuilder<Chunk>>;

/// The result of one attempt to read.
pub(crate) enum Fed {
    /// Rows (maybe none that stand) and bytes were read.
    Read { rows: usize, bytes: usize },
    /// No reader has anything at the moment.
    Paused,
    /// Every split has been read to its end.
    Finished,
}

/// A source on one worker. As many splits are read in turn as the source wants: of a bounded one a single one.
pub(crate) struct FeedSource {
    spec: SourceSpec,
    source: Arc<dyn Source>,
    queue: Arc<SplitQueue>,
    rows: Input,
    dead: Option<Input>,
    index: usize,
    partitions: VecDeque<Partition>,
    finished: Vec<(Arc<str>, Offset)>,
    forgotten: Vec<Arc<str>>,
    ended: bool,
    floor: Watermark,
}

impl FeedSource {
    /// Rows below `floor` are late from the start.
    pub fn new(
        spec: SourceSpec,
        source: Arc<dyn Source>,
        queue: Arc<SplitQueue>,
        rows: Input,
        dead: Option<Input>,
        index: usize,
        floor: Watermark,
    ) -> Self {
        let (partitions, finished, forgotten, ended) = (VecDeque::new(), Vec::new(), Vec::new(), false);
        Self { spec, source, queue, rows, dead, index, partitions, finished, forgotten, ended, floor }
    }

    /// Reads from the current splits, or begins the next one.
    fn read(&mut self, max_rows: usize) -> Result<Read> {
        let bounded = self.source.bounded();
        if !bounded {
            self.forgotten.extend(self.queue.discover(self.source.as_ref())?);
        }
        'splits: loop {
            while self.partitions.len() < self.source.side_by_side() {
                let Some((split, from)) = self.queue.take() else { break };
                let reader = self.source.open(&split, from)?;
                let delay = self.spec.watermark.map_or(0, |w| w.delay);
                self.partitions.push_back(Partition::new(split, reader, delay));
            }
            for _ in 0..self.partitions.len() {
                let Some(mut partition) = self.partitions.pop_front() else { break };
                match partition.read(max_rows, &self.spec, self.floor)? {
                    Read::End => {
                        self.finished.extend(partition.moved_to());
                        self.queue.finish(partition.id(), self.source.as_ref());
                        if bounded || !self.queue.is_empty() {
                            continue 'splits;
                        }
                    }
                    Read::Idle => self.partitions.push_back(partition),
                    rows => {
                        self.partitions.push_back(partition);
                        return Ok(rows);
                    }
                }
            }
            break;
        }
        if bounded && self.partitions.is_empty() {
            self.ended = true;
            return Ok(Read::End);
        }
        Ok(Read::Idle)
    }

    /// The order of reading: tables without event time first, then streams by event time, so that joined streams stay
    /// side by side and their state small.
    fn turn(&self) -> i64 {
        match self.spec.watermark {
            None => i64::MIN,
            Some(_) => self.partitions.iter().map(Partition::event_time).min().unwrap_or(i64::MIN + 1),
        }
    }

    fn report(&mut self, idle_timeout: Duration) -> SourceReport {
        let mut offsets = std::mem::take(&mut self.finished);
        offsets.extend(self.partitions.iter_mut().filter_map(Partition::moved_to));
        let lowest = self.partitions.iter().map(|p| p.watermark(idle_timeout)).min();
        let watermark = match self.spec.watermark {
            Some(_) => lowest.unwrap_or(Watermark::END),
            None if self.ended => Watermark::END,
            None => Watermark::START,
        };
        SourceReport { watermark, offsets, forgotten: std::mem::take(&mut self.forgotten), ended: self.ended }
    }
}

/// All sources on one worker.
pub(crate) struct Feed {
    sources: Vec<FeedSource>,
    stats: Arc<RunStats>,
    next_unordered: usize,
}

impl Feed {
    pub fn new(sources: Vec<FeedSource>, stats: Arc<RunStats>) -> Self {
        Self { sources, stats, next_unordered: 0 }
    }

    /// Reads one batch of up to `max_rows` from the source whose turn it is.
    pub fn step(&mut self, max_rows: usize) -> Result<Fed> {
        let mut tried = vec![false; self.sources.len()];
        while let Some(i) = self.pick(&tried) {
            tried[i] = true;
            if let Some(fed) = self.read_from(i, max_rows)? {
                return Ok(fed);
            }
        }
        Ok(if self.sources.iter().all(|s| s.ended) { Fed::Finished } else { Fed::Paused })
    }

    /// The source with the lowest turn that was not tried; sources with equal turns alternate.
    fn pick(&mut self, tried: &[bool]) -> Option<usize> {
        let count = self.sources.len();
        let start = self.next_unordered;
        let best = (0..count)
            .map(|k| (start + k) % count)
            .filter(|i| !tried[*i] && !self.sources[*i].ended)
            .min_by_key(|i| {
                let source = &self.sources[*i];
                // An unbounded stream without event time must not starve those that have it.
                let unordered = source.spec.watermark.is_none() && !source.source.bounded();
                if unordered && (start + count - *i).is_multiple_of(2) { i64::MAX } else { source.turn() }
            })?;
        self.next_unordered = (best + 1) % count;
        Some(best)
    }

    fn read_from(&mut self, i: usize, max_rows: usize) -> Result<Option<Fed>> {
        let source = &mut self.sources[i];
        // It is read no more when it has panicked: its job fails.
        let read = catch_unwind(AssertUnwindSafe(|| source.read(max_rows)));
        let read = read.unwrap_or_else(|panic| Err(panicked(&format!("source {}", source.spec.name), panic.as_ref())));
        let Read::Rows { rows, dead, bytes, late } = read? else { return Ok(None) };
        let stats = &self.stats.sources[source.index];
        stats.rows.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        stats.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        stats.late.fetch_add(late as u64, Ordering::Relaxed);
        stats.dead.fetch_add(dead.len() as u64, Ordering::Relaxed);
        let count = rows.num_rows() + dead.len() + late;
        send(&mut source.rows, rows);
        if let Some(input) = source.dead.as_mut().filter(|_| !dead.is_empty()) {
            send(input, dead_rows(&dead)?);
        }
        Ok(Some(Fed::Read { rows: count, bytes }))
    }

    /// Reads the rest of the epoch from the sources that know where it ends: rows and bytes read.
    pub fn finish_epoch(&mut self) -> Result<(usize, usize)> {
        let (mut rows, mut bytes) = (0, 0);
        for i in 0..self.sources.len() {
            while self.sources[i].source.ends_with_epochs() {
                let Some(Fed::Read { rows: r, bytes: b }) = self.read_from(i, usize::MAX)? else { break };
                rows += r;
                bytes += b;
            }
        }
        Ok((rows, bytes))
    }

    /// The place of each source in the plan, in the order of [`Feed::reports`].
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        self.sources.iter().map(|s| s.index).collect::<Vec<_>>().into_iter()
    }

    /// What this worker says of each source when it stops feeding an epoch.
    pub fn reports(&mut self, idle_timeout: Duration) -> Vec<SourceReport> {
        self.sources.iter_mut().map(|s| s.report(idle_timeout)).collect()
    }

    /// The epoch of `header` is sealed: go on with the next.
    pub fn advance(&mut self, header: &EpochHeader) {
        let Epoch(next) = header.epoch.next();
        for source in &mut self.sources {
            source.floor = header.watermark(thalweg_core::SourceId(source.index));
            source.rows.advance_to(next);
            if let Some(dead) = &mut source.dead {
                dead.advance_to(next);
            }
        }
    }
}

fn send(input: &mut Input, rows: RecordBatch) {
    if rows.num_rows() > 0 {
        input.send_batch(&mut Chunk::new(DeltaBatch::insert(rows)));
    }
}

fn dead_rows(dead: &[DeadLetter]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values(dead.iter().map(|d| &d.raw))),
        Arc::new(StringViewArray::from_iter_values(dead.iter().map(|d| d.origin.as_ref()))),
        Arc::new(Int64Array::from_iter_values(dead.iter().map(|d| i64::try_from(d.offset).unwrap_or(i64::MAX)))),
        Arc::new(StringViewArray::from_iter_values(dead.iter().map(|d| &d.reason))),
    ];
    Ok(RecordBatch::try_new(dead_schema(), columns)?)
}
