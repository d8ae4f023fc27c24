//! What open sessions say at the end of an epoch. It must not know how they are found or joined.

use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::{concat, take};
use thalweg_core::{DeltaBatch, Result};

use super::open::{Emitted, NONE, Open};
use crate::accumulators::concat_all;
use crate::aggregate::differing;
use crate::operator::Output;

/// Sessions to a message.
const CHUNK: usize = 16 * 1024;

impl Open {
    /// Sessions that have closed, once.
    pub(super) fn emit_closed(&self, closed: &[(u32, u32)], out: &mut Output) -> Result<()> {
        for chunk in closed.chunks(CHUNK) {
            let (sessions, keys): (Vec<u32>, Vec<u32>) = chunk.iter().copied().unzip();
            let batch = self.shape.batch(
                self.table.keys(&keys)?,
                &self.spans_of(&sessions),
                self.calls.evaluate(&sessions)?,
            )?;
            out.push(DeltaBatch::insert(batch));
        }
        Ok(())
    }

    /// −old +new of the sessions that changed in the epoch.
    pub(super) fn emit_changes(&mut self, out: &mut Output) -> Result<()> {
        let old = std::mem::take(&mut self.old);
        let fresh = std::mem::take(&mut self.fresh);
        let results = concat_all(&std::mem::take(&mut self.old_results))?;
        for start in (0..old.len()).step_by(CHUNK) {
            let len = CHUNK.min(old.len() - start);
            let results: Vec<ArrayRef> = results.iter().map(|c| c.slice(start, len)).collect();
            self.emit_updates(&old[start..start + len], &results, out)?;
        }
        let born: Vec<u32> = fresh.iter().copied().filter(|s| self.spans[*s as usize].key != NONE).collect();
        for sessions in born.chunks(CHUNK) {
            let keys: Vec<u32> = sessions.iter().map(|s| self.spans[*s as usize].key).collect();
            let batch =
                self.shape.batch(self.table.keys(&keys)?, &self.spans_of(sessions), self.calls.evaluate(sessions)?)?;
            out.push(DeltaBatch::new(batch, Some(Int64Array::from(vec![1; sessions.len()]))));
        }
        self.untouch(old.into_iter().map(|e| e.session).chain(fresh));
        Ok(())
    }

    fn emit_updates(&self, old: &[Emitted], results: &[ArrayRef], out: &mut Output) -> Result<()> {
        let sessions: Vec<u32> = old.iter().map(|e| e.session).collect();
        let new = self.calls.evaluate(&sessions)?;
        let differs = differing(results, &new, old.len())?;
        let (mut minus, mut plus) = (Vec::new(), Vec::new());
        let (mut keys, mut spans) = (Vec::new(), Vec::new());
        for (row, emitted) in old.iter().enumerate() {
            let span = self.spans[emitted.session as usize];
            let open = span.key != NONE;
            let moved = (span.start, span.last) != (emitted.start, emitted.last);
            if open && !moved && !differs.value(row) {
                continue;
            }
            minus.push(row as u32);
            keys.push(emitted.key);
            spans.push((emitted.start, emitted.last.saturating_add(self.shape.gap)));
            if open {
                plus.push(row as u32);
            }
        }
        if minus.is_empty() {
            return Ok(());
        }
        let standing: Vec<u32> = plus.iter().map(|row| sessions[*row as usize]).collect();
        keys.extend(plus.iter().map(|row| old[*row as usize].key));
        spans.extend(self.spans_of(&standing));
        let retracted = minus.len();
        let (minus, plus) = (UInt32Array::from(minus), UInt32Array::from(plus));
        let mut calls = Vec::with_capacity(new.len());
        for (old, new) in results.iter().zip(&new) {
            calls.push(concat(&[take(old, &minus, None)?.as_ref(), take(new, &plus, None)?.as_ref()])?);
        }
        let weights = Int64Array::from_iter_values((0..keys.len()).map(|i| if i < retracted { -1 } else { 1 }));
        out.push(DeltaBatch::new(self.shape.batch(self.table.keys(&keys)?, &spans, calls)?, Some(weights)));
        Ok(())
    }

    fn spans_of(&self, sessions: &[u32]) -> Vec<(i64, i64)> {
        let gap = self.shape.gap;
        let span = |s: &u32| (self.spans[*s as usize].start, self.spans[*s as usize].last.saturating_add(gap));
        sessions.iter().map(span).collect()
    }
}
