//! `Alert`: the instances of an alert, one a row of its query, each pending until it has stood for a time and firing from
//! then on. It must not know clocks: only headers.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};
use thalweg_plan::{ALERT_FIRING, ALERT_PENDING, Distribution, Properties};

use crate::operator::{Operator, Output, StateTable};
use crate::store::{Chain, NONE, Picked, RowStore, SAVED, SavedRows, consolidate, group_rows};

/// Rows of an output batch.
const OUT_ROWS: usize = 8192;

/// The rows of the input, with their state and since when they have been in it. A row whose values change keeps both as
/// long as its key stands.
#[derive(Debug)]
pub struct Alert {
    schema: SchemaRef,
    /// Columns of the input.
    width: usize,
    key: Vec<usize>,
    /// Columns that decide a row's vnode.
    placement: Vec<usize>,
    hold: i64,
    /// The rows that are out.
    store: RowStore,
    chain: Chain,
    /// When each pending row is to fire.
    due: BTreeSet<(i64, u32)>,
    saved: SavedRows,
    held: Vec<DeltaBatch>,
}

/// Rows that come in an epoch: of the input, and what stands beside them.
#[derive(Default)]
struct Coming {
    rows: Vec<u32>,
    firing: Vec<bool>,
    since: Vec<i64>,
}

impl Coming {
    fn push(&mut self, row: u32, firing: bool, since: i64) {
        self.rows.push(row);
        self.firing.push(firing);
        self.since.push(since);
    }
}

impl Alert {
    /// `key` tells the rows of `input` apart; they fire after `hold` (microseconds of the wall clock). `schema` is that of
    /// the input and the two columns of an alert.
    pub fn new(input: &Properties, schema: SchemaRef, key: Vec<usize>, hold: i64) -> Self {
        let placement = match &input.distribution {
            Distribution::Hash(columns) => columns.clone(),
            Distribution::Any | Distribution::Single => key.clone(),
        };
        Self {
            placement,
            width: schema.fields().len() - 2,
            store: RowStore::new(&schema),
            chain: Chain::new(key.clone()),
            due: BTreeSet::new(),
            saved: SavedRows::new("alert", &schema),
            held: Vec::new(),
            schema,
            key,
            hold,
        }
    }

    /// Of a stored row: it fires, and since when it has been in its state.
    fn state_of(&self, ids: &[u32]) -> Result<(Vec<bool>, Vec<i64>)> {
        let columns = self.store.gather_some(&[self.width, self.width + 1], ids)?;
        let misfit = || Error::Internal("an alert's state is not of its types".to_owned());
        let states = columns[0].as_string_view_opt().ok_or_else(misfit)?;
        let since = columns[1].as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(misfit)?;
        let firing = states.iter().map(|state| state == Some(ALERT_FIRING)).collect();
        Ok((firing, since.values().to_vec()))
    }

    /// What the epoch's net change makes of the instances: those that go, and the rows of `delta` that come.
    fn changed(&mut self, delta: &DeltaBatch, now: i64) -> Result<(Vec<u32>, Coming)> {
        let keys: Vec<ArrayRef> = self.key.iter().map(|c| Arc::clone(delta.column(*c))).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, delta.num_rows(), &mut hashes)?;
        let (groups, firsts) = group_rows(&keys, &hashes)?;
        let before = self.chain.find(&self.store, &keys, &hashes, &firsts)?;
        let mut after: Vec<Option<u32>> = vec![None; firsts.len()];
        for (row, group) in (0u32..).zip(&groups) {
            if delta.weight(row as usize) > 0 && after[*group as usize].replace(row).is_some() {
                return Err(Error::Internal("two rows of an alert have the same key".to_owned()));
            }
        }
        let gone: Vec<u32> = before.iter().copied().filter(|id| *id != NONE).collect();
        let (firing, since) = self.state_of(&gone)?;
        let mut states = firing.into_iter().zip(since);
        let mut coming = Coming::default();
        for (before, after) in before.iter().zip(after) {
            let stood = if *before == NONE { None } else { states.next() };
            match (stood, after) {
                (stood, Some(row)) => {
                    let (firing, since) = stood.unwrap_or((self.hold <= 0, now));
                    coming.push(row, firing, since);
                }
                (Some(_), None) => {}
                (None, None) => {
                    return Err(Error::Internal("an alert was told to retract a row that does not stand".to_owned()));
                }
            }
        }
        Ok((gone, coming))
    }

    /// Pending rows whose time has come.
    fn due_by(&mut self, now: i64) -> Vec<u32> {
        let later = self.due.split_off(&(now, NONE));
        std::mem::replace(&mut self.due, later).into_iter().map(|(_, id)| id).collect()
    }

    /// The columns of rows with their state beside them.
    fn with_state(&self, mut columns: Vec<ArrayRef>, coming: &Coming) -> Result<Vec<ArrayRef>> {
        let word = |firing: &bool| if *firing { ALERT_FIRING } else { ALERT_PENDING };
        columns.push(Arc::new(StringViewArray::from_iter_values(coming.firing.iter().map(word))));
        let zone = self.schema.field(self.width + 1).data_type();
        let since = TimestampMicrosecondArray::from(coming.since.clone());
        columns.push(arrow::compute::cast(&since.with_timezone("+00:00"), zone)?);
        Ok(columns)
    }

    fn leave(&mut self, gone: &[u32], out: &mut Output) -> Result<()> {
        self.saved.died(&self.store, gone)?;
        if !self.due.is_empty() {
            let (firing, since) = self.state_of(gone)?;
            for ((id, _), since) in gone.iter().zip(firing).zip(since).filter(|((_, firing), _)| !firing) {
                self.due.remove(&(self.due_at(since), *id));
            }
        }
        for ids in gone.chunks(OUT_ROWS) {
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), self.store.gather_all(ids)?)?;
            out.push(DeltaBatch::insert(rows).negated());
        }
        gone.iter().for_each(|id| self.store.kill(*id));
        Ok(())
    }

    fn come(&mut self, columns: Vec<ArrayRef>, coming: &Coming, out: &mut Output) -> Result<()> {
        if coming.rows.is_empty() {
            return Ok(());
        }
        self.add(&columns, coming)?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let weights = Int64Array::from(vec![1; rows.num_rows()]);
        out.push(DeltaBatch::new(rows, Some(weights)));
        Ok(())
    }

    fn add(&mut self, columns: &[ArrayRef], coming: &Coming) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(coming.since.len());
        self.store.append(columns, Picked::Range(0, coming.since.len()), &mut ids)?;
        self.chain.link_stored(&self.store, &ids)?;
        for ((id, firing), since) in ids.iter().zip(&coming.firing).zip(&coming.since) {
            if !firing {
                self.due.insert((self.due_at(*since), *id));
            }
        }
        Ok(ids)
    }

    fn due_at(&self, since: i64) -> i64 {
        since.saturating_add(self.hold)
    }

    /// Moves the standing rows of a segment to the head and drops it.
    fn rewrite(&mut self, segment: usize) -> Result<()> {
        let old = self.store.live_ids(segment);
        let columns = self.store.gather_all(&old)?;
        let saved: Vec<bool> = old.iter().map(|id| self.store.has(*id, SAVED)).collect();
        let (firing, since) = self.state_of(&old)?;
        for (id, since) in old.iter().zip(&since) {
            self.due.remove(&(self.due_at(*since), *id));
        }
        self.chain.unlink(&self.store, segment)?;
        self.store.drop_segment(segment);
        let ids = self.add(&columns, &Coming { rows: Vec::new(), firing, since })?;
        ids.iter().zip(saved).for_each(|(id, saved)| self.store.mark(*id, SAVED, saved));
        Ok(())
    }
}

impl Operator for Alert {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, _out: &mut Output) -> Result<()> {
        self.held.push(delta);
        Ok(())
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let now = header.wall_clock;
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let input = held[0].rows.schema();
            let delta = consolidate(&DeltaBatch::concat(&input, &held)?)?;
            let (gone, coming) = self.changed(&delta, now)?;
            self.leave(&gone, out)?;
            let rows = UInt32Array::from(coming.rows.clone());
            let columns = delta.rows.columns().iter().map(|c| take(c, &rows, None)).collect::<Result<Vec<_>, _>>()?;
            let columns = self.with_state(columns, &coming)?;
            self.come(columns, &coming, out)?;
        }
        let due = self.due_by(now);
        if !due.is_empty() {
            let inputs: Vec<usize> = (0..self.width).collect();
            let firing = Coming { rows: due.clone(), firing: vec![true; due.len()], since: vec![now; due.len()] };
            let columns = self.with_state(self.store.gather_some(&inputs, &due)?, &firing)?;
            self.leave(&due, out)?;
            self.come(columns, &firing, out)?;
            // Rows that have changed and fire in the same epoch came and went.
            let made: Vec<DeltaBatch> = out.drain().collect();
            out.push(consolidate(&DeltaBatch::concat(&self.schema, &made)?)?);
        }
        for segment in self.store.wasteful() {
            self.rewrite(segment)?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        self.saved.snapshot(&mut self.store)
    }

    fn save_all(&mut self) {
        self.saved.forget(&mut self.store);
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        let columns = self.saved.restore(deltas, &self.placement, keep)?;
        let rows = columns.first().map_or(0, |c| c.len());
        let mut ids = Vec::with_capacity(rows);
        self.store.append(&columns, Picked::Range(0, rows), &mut ids)?;
        self.chain.link_stored(&self.store, &ids)?;
        let (firing, since) = self.state_of(&ids)?;
        for ((id, firing), since) in ids.iter().zip(firing).zip(since) {
            self.store.mark(*id, SAVED, true);
            if !firing {
                self.due.insert((self.due_at(since), *id));
            }
        }
        Ok(())
    }

    fn standing(&self, out: &mut Output) -> Result<()> {
        for segment in self.store.segments() {
            for ids in self.store.live_ids(segment).chunks(OUT_ROWS) {
                let rows = RecordBatch::try_new(Arc::clone(&self.schema), self.store.gather_all(ids)?)?;
                out.push(DeltaBatch::insert(rows));
            }
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        let held: usize = self.held.iter().map(|d| d.rows.get_array_memory_size()).sum();
        let due = self.due.len() * size_of::<(i64, u32)>() * 2;
        self.store.bytes() + self.chain.bytes() + self.saved.bytes() + due + held
    }
}
