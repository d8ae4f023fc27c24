//! `Retention`: which stored rows a rising floor lets go, by whole segments and by looking through a few.
//! It must not know what the floor means.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use thalweg_core::{Result, Watermark};

use super::{RowStore, SEGMENT_ROWS, segment_of};

/// Rows go once their time is below the floor.
#[derive(Debug)]
pub(crate) struct Retention {
    column: usize,
    floor: i64,
    /// Per segment, the last time in it.
    last: Vec<i64>,
    /// Rows stored since a segment was looked through, and the one to look through next.
    since: usize,
    next: usize,
}

impl Retention {
    /// By the times of `column` of a store.
    pub(crate) fn new(column: usize) -> Self {
        Self { column, floor: Watermark::START.0, last: Vec::new(), since: 0, next: 0 }
    }

    /// Which rows of a batch's time column are below the floor; `None`: none.
    pub(crate) fn below(&self, columns: &[ArrayRef]) -> Option<Vec<bool>> {
        if self.floor == Watermark::START.0 {
            return None;
        }
        let below: Vec<bool> = micros(&columns[self.column]).iter().map(|t| *t < self.floor).collect();
        below.contains(&true).then_some(below)
    }

    /// Notes new rows.
    pub(crate) fn note(&mut self, store: &RowStore, ids: &[u32]) -> Result<()> {
        let times = micros(&store.gather(self.column, ids)?);
        for (id, time) in ids.iter().zip(times) {
            let segment = segment_of(*id);
            if segment >= self.last.len() {
                self.last.resize(segment + 1, i64::MIN);
            }
            self.last[segment] = self.last[segment].max(time);
        }
        self.since += ids.len();
        Ok(())
    }

    /// Raises the floor. Returns segments all of whose rows are below it, and single rows that are.
    pub(crate) fn raise(&mut self, store: &RowStore, floor: i64) -> Result<(Vec<usize>, Vec<u32>)> {
        if floor <= self.floor {
            return Ok((Vec::new(), Vec::new()));
        }
        self.floor = floor;
        let gone = |s: &usize| self.last.get(*s).is_some_and(|last| *last < floor);
        let (gone, rest): (Vec<usize>, Vec<usize>) = store.segments().partition(gone);
        // A segment may hold one row that lives long: look through one for each that was filled, in turn.
        let mut old = Vec::new();
        let mut looks = (self.since / SEGMENT_ROWS).min(rest.len());
        self.since -= looks * SEGMENT_ROWS;
        while looks > 0 {
            looks -= 1;
            self.next += 1;
            let ids = store.live_ids(rest[self.next % rest.len()]);
            let times = micros(&store.gather(self.column, &ids)?);
            old.extend(ids.into_iter().zip(times).filter(|(_, time)| *time < floor).map(|(id, _)| id));
        }
        Ok((gone, old))
    }

    /// A segment was dropped.
    pub(crate) fn clear(&mut self, segment: usize) {
        if let Some(last) = self.last.get_mut(segment) {
            *last = i64::MIN;
        }
    }
}

/// A time column in microseconds; null is above everything.
pub(crate) fn micros(column: &ArrayRef) -> Vec<i64> {
    let mut times: Vec<i64> = match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            column.as_primitive::<TimestampSecondType>().values().iter().map(|t| t.saturating_mul(1_000_000)).collect()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            column.as_primitive::<TimestampMillisecondType>().values().iter().map(|t| t.saturating_mul(1_000)).collect()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().values().to_vec()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().values().iter().map(|t| t.div_euclid(1_000)).collect()
        }
        DataType::Date32 => {
            column.as_primitive::<Date32Type>().values().iter().map(|d| i64::from(*d) * 86_400_000_000).collect()
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().values().to_vec(),
        _ => vec![i64::MAX; column.len()],
    };
    if let Some(nulls) = column.nulls().filter(|n| n.null_count() > 0) {
        times.iter_mut().enumerate().filter(|(row, _)| nulls.is_null(*row)).for_each(|(_, time)| *time = i64::MAX);
    }
    times
}
