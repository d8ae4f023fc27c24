//! `Join`: bilinear over the stored rows of both inputs. A batch probes the other side as a whole, the pairs are
//! gathered and emitted, then the batch is stored. Pairs leave at once; what depends on a row having no match (outer,
//! semi, anti) leaves when the epoch ends, consolidated. It must not know where rows go.

mod emit;
mod residual;
mod saved;
mod side;

#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result, hash_columns};
use thalweg_plan::{Expr, JoinExpiry, JoinKind, Properties};

use crate::operator::{Operator, Output, StateTable};
use crate::store::{Pairs, Picked, SEGMENT_ROWS, distinct_rows};
use residual::Residual;
use side::{Shown, Side};

/// Pairs that are handled at a time.
const PAIRS: usize = SEGMENT_ROWS;

/// An equality join with an optional further condition.
#[derive(Debug)]
pub struct Join {
    kind: JoinKind,
    sides: [Side; 2],
    residual: Option<Residual>,
    null_equal: bool,
    /// Per side: its rows need at most one match, and have had it when their key was found.
    once: [bool; 2],
    /// Per side: one match that passes the condition settles a row (semi and anti over inputs that never retract).
    first_match: [bool; 2],
    output: SchemaRef,
}

/// A batch on its way through the join.
struct Probe {
    rows: DeltaBatch,
    keys: Vec<ArrayRef>,
    hashes: Vec<u64>,
    /// Of whole rows, for an input that retracts.
    row_hashes: Vec<u64>,
    /// Rows that can match nothing: null keys.
    lone: Option<Vec<bool>>,
    /// Per row, the weights of its matches, summed (when its side is counted).
    counts: Option<Vec<i64>>,
    /// Rows that need no further match.
    settled: Option<Vec<bool>>,
}

impl Join {
    /// A join of two inputs; the arguments are those of `Operation::Join`, `output` the schema of what comes out.
    ///
    /// # Errors
    /// Key columns of different types, or a condition over columns that do not exist.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        left: &Properties,
        right: &Properties,
        kind: JoinKind,
        on: &[(usize, usize)],
        residual: Option<&Expr>,
        null_equal: bool,
        left_expiry: Option<JoinExpiry>,
        right_expiry: Option<JoinExpiry>,
        left_unique: bool,
        right_unique: bool,
        output: SchemaRef,
    ) -> Result<Self> {
        for (l, r) in on {
            let (l, r) = (left.schema.field(*l).data_type(), right.schema.field(*r).data_type());
            if l != r {
                return Err(Error::Internal(format!("join keys of types {l} and {r}")));
            }
        }
        let residual = residual.map(|r| Residual::new(r, &left.schema, &right.schema)).transpose()?;
        let shown = match kind {
            JoinKind::Inner => [None, None],
            JoinKind::Left | JoinKind::LeftAnti => [Some(Shown::Unmatched), None],
            JoinKind::Right | JoinKind::RightAnti => [None, Some(Shown::Unmatched)],
            JoinKind::Full => [Some(Shown::Unmatched), Some(Shown::Unmatched)],
            JoinKind::LeftSemi => [Some(Shown::Matched), None],
            JoinKind::RightSemi => [None, Some(Shown::Matched)],
        };
        let append_only = left.append_only && right.append_only;
        let (left_keys, right_keys) = (on.iter().map(|k| k.0).collect(), on.iter().map(|k| k.1).collect());
        Ok(Self {
            kind,
            sides: [
                Side::new("left", left, left_keys, shown[0], left_expiry),
                Side::new("right", right, right_keys, shown[1], right_expiry),
            ],
            residual,
            null_equal,
            once: [append_only && right_unique, append_only && left_unique],
            first_match: [
                append_only && matches!(kind, JoinKind::LeftSemi | JoinKind::LeftAnti),
                append_only && matches!(kind, JoinKind::RightSemi | JoinKind::RightAnti),
            ],
            output,
        })
    }

    fn emits_pairs(&self) -> bool {
        matches!(self.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full)
    }

    /// Hashes a batch; brings equal rows together when the input retracts.
    fn prepare(&self, port: usize, delta: DeltaBatch) -> Result<Probe> {
        let side = &self.sides[port];
        let mut rows = delta;
        let mut row_hashes = Vec::new();
        if side.weighted.is_some() {
            hash_columns(rows.rows.columns(), rows.num_rows(), &mut row_hashes)?;
            let (picked, weights) = distinct_rows(rows.rows.columns(), &row_hashes, |row| rows.weight(row))?;
            if picked.len() < rows.num_rows() {
                row_hashes = picked.iter().map(|row| row_hashes[*row as usize]).collect();
                rows.rows = take_record_batch(&rows.rows, &UInt32Array::from(picked))?;
            }
            rows.weights = if weights.iter().all(|w| *w == 1) { None } else { Some(weights.into()) };
        } else if rows.weight_slice().is_some_and(|w| w.iter().any(|w| *w != 1)) {
            return Err(Error::Internal("weights on a join input that is planned as append-only".into()));
        }
        let keys: Vec<ArrayRef> = side.keys.iter().map(|k| ArrayRef::clone(rows.column(*k))).collect();
        let mut hashes = Vec::new();
        hash_columns(&keys, rows.num_rows(), &mut hashes)?;
        let mut lone: Option<Vec<bool>> = None;
        if !self.null_equal {
            for nulls in keys.iter().filter_map(|k| k.logical_nulls()).filter(|n| n.null_count() > 0) {
                let lone = lone.get_or_insert_with(|| vec![false; rows.num_rows()]);
                lone.iter_mut().zip(nulls.iter()).for_each(|(lone, valid)| *lone |= !valid);
            }
        }
        let counts = side.counted.is_some().then(|| vec![0; rows.num_rows()]);
        let settles = self.once[port] || self.first_match[port];
        let settled = settles.then(|| vec![false; rows.num_rows()]);
        Ok(Probe { rows, keys, hashes, row_hashes, lone, counts, settled })
    }

    /// Finds the pairs of a batch with the other side and does what they ask for on both.
    fn probe(&mut self, port: usize, probe: &mut Probe, out: &mut Output) -> Result<()> {
        let lone = probe.lone.as_deref();
        let mut cursor =
            self.sides[1 - port].chain.probe(&probe.hashes, |row| lone.is_some_and(|l| l[row]), lone.is_some());
        let mut pairs = Pairs::default();
        loop {
            let other = &mut self.sides[1 - port];
            let (store, chain) = (&other.store, &mut other.chain);
            if !chain.next_pairs(store, &probe.keys, &probe.hashes, &mut cursor, PAIRS, &mut pairs)? {
                return Ok(());
            }
            if pairs.len() == 0 {
                continue;
            }
            if self.once[port]
                && let Some(settled) = &mut probe.settled
            {
                pairs.rows.iter().for_each(|row| settled[*row as usize] = true);
            }
            // Stored rows whose only match this is; they stand until the pairs were gathered.
            let spent = if self.once[1 - port] { pairs.ids.clone() } else { Vec::new() };
            let gathered = self.pass_residual(port, &probe.rows, &mut pairs)?;
            self.count(port, probe, &pairs);
            if self.emits_pairs() && pairs.len() > 0 {
                self.emit_pairs(port, &probe.rows, &pairs, gathered, out)?;
            }
            let other = &mut self.sides[1 - port];
            match &mut other.counted {
                None => other.kill(&spent)?,
                Some(counted) => {
                    counted.settled.extend_from_slice(&spent);
                    if self.first_match[1 - port] {
                        counted.settled.extend_from_slice(&pairs.ids);
                    }
                }
            }
        }
    }

    /// Counts pairs on the sides that are counted.
    fn count(&mut self, port: usize, probe: &mut Probe, pairs: &Pairs) {
        let other = &mut self.sides[1 - port];
        if let Some(counts) = &mut probe.counts {
            pairs.rows.iter().zip(&pairs.ids).for_each(|(row, id)| counts[*row as usize] += other.weight(*id));
        }
        if self.first_match[port]
            && let Some(settled) = &mut probe.settled
        {
            pairs.rows.iter().for_each(|row| settled[*row as usize] = true);
        }
        if other.counted.is_some() {
            pairs.rows.iter().zip(&pairs.ids).for_each(|(row, id)| {
                other.add_match(*id, probe.rows.weight(*row as usize));
            });
        }
    }

    /// Stores the rows of a batch that can still be matched; the others show what is final of them now.
    fn store(&mut self, port: usize, probe: &Probe, out: &mut Output) -> Result<()> {
        let n = probe.rows.num_rows();
        let side = &mut self.sides[port];
        let expired = side.expired(&probe.rows.rows);
        let is = |mask: &Option<Vec<bool>>, row: usize| mask.as_ref().is_some_and(|m| m[row]);
        let gone = |row: usize| is(&probe.lone, row) || is(&probe.settled, row) || is(&expired, row);
        let any_gone = probe.lone.is_some() || probe.settled.is_some() || expired.is_some();
        let kept: Option<Vec<u32>> = any_gone.then(|| (0..n as u32).filter(|row| !gone(*row as usize)).collect());
        if side.weighted.is_some() {
            let rows = kept.unwrap_or_else(|| (0..n as u32).collect());
            let weights = probe.rows.weights_array();
            let counts = probe.counts.as_deref();
            let columns = probe.rows.rows.columns();
            side.apply(columns, &rows, &probe.hashes, &probe.row_hashes, weights.values(), counts)?;
        } else {
            let rows = kept.as_deref().map_or(Picked::Range(0, n), Picked::Rows);
            let ids = side.insert(probe.rows.rows.columns(), rows, &probe.hashes)?;
            if let (Some(counted), Some(counts)) = (&mut side.counted, &probe.counts) {
                let mut at = 0;
                rows.each(|row| {
                    counted.count.put(ids[at], counts[row]);
                    counted.emitted.put(ids[at], 0);
                    at += 1;
                });
                counted.touched.extend_from_slice(&ids);
            }
        }
        if any_gone && let (Some(counted), Some(counts)) = (&side.counted, &probe.counts) {
            let shown: (Vec<u32>, Vec<i64>) = (0..n)
                .filter(|row| gone(*row))
                .map(|row| (row as u32, counted.shown.weight(probe.rows.weight(row), counts[row])))
                .filter(|(_, weight)| *weight != 0)
                .unzip();
            self.emit_rows(port, &probe.rows.rows, shown.0, shown.1, out)?;
        }
        Ok(())
    }
}

impl Operator for Join {
    fn on_delta(&mut self, port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let mut probe = self.prepare(port, delta)?;
        self.probe(port, &mut probe, out)?;
        self.store(port, &probe, out)
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        for port in 0..2 {
            self.show_touched(port, out)?;
            self.sides[port].sweep(header)?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<StateTable>> {
        let [left, right] = &mut self.sides;
        Ok([left.snapshot()?, right.snapshot()?].into_iter().flatten().collect())
    }

    fn save_all(&mut self) {
        self.sides.iter_mut().for_each(Side::save_all);
    }

    fn restore(&mut self, deltas: &[Vec<StateTable>], keep: &dyn Fn(u8) -> bool) -> Result<()> {
        self.sides.iter_mut().try_for_each(|side| side.restore(deltas, keep))
    }

    fn state_bytes(&self) -> usize {
        self.sides.iter().map(Side::bytes).sum()
    }
}
