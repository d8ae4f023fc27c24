//! `Calc`: filter and project, stateless. Plans that read the clock hold rows until the epoch's header is there.
//! It must not know what expressions mean.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::physical_expr::expressions::Column;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Result};
use thalweg_plan::{EpochClock, Expr};

use crate::operator::{Operator, Output, evaluate};

/// Keeps the rows where the predicate is true, then computes the output columns.
pub struct Calc {
    predicate: Option<Expr>,
    project: Option<Vec<Expr>>,
    output: SchemaRef,
    /// Columns that a projection of plain columns picks; no evaluation needed.
    picks: Option<Vec<usize>>,
    clock: Option<EpochClock>,
    held: Vec<DeltaBatch>,
}

impl Calc {
    /// `project: None` keeps all columns; `output` is the schema of what comes out.
    pub fn new(predicate: Option<Expr>, project: Option<Vec<(Expr, FieldRef)>>, output: SchemaRef) -> Self {
        let mut project: Option<Vec<Expr>> = project.map(|p| p.into_iter().map(|(e, _)| e).collect());
        let mut predicate = predicate;
        let picks = project
            .as_ref()
            .and_then(|p| p.iter().map(|e| e.downcast_ref::<Column>().map(Column::index)).collect::<Option<Vec<_>>>());
        let clock = EpochClock::bind(predicate.iter_mut().chain(project.iter_mut().flatten()));
        Self { predicate, project, output, picks, clock, held: Vec::new() }
    }

    fn apply(&self, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        let Some(kept) = self.keep(delta)? else { return Ok(()) };
        let columns: Vec<ArrayRef> = match (&self.project, &self.picks) {
            (None, _) => kept.rows.columns().to_vec(),
            (_, Some(picks)) => picks.iter().map(|i| Arc::clone(kept.column(*i))).collect(),
            (Some(exprs), None) => exprs.iter().map(|e| evaluate(e, &kept.rows)).collect::<Result<_>>()?,
        };
        let options = RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)?;
        out.push(kept.with_rows(rows));
        Ok(())
    }

    fn keep(&self, delta: DeltaBatch) -> Result<Option<DeltaBatch>> {
        let Some(predicate) = &self.predicate else { return Ok(Some(delta)) };
        let mask = evaluate(predicate, &delta.rows)?;
        let Some(mask) = mask.as_boolean_opt() else {
            return Err(Error::Internal("a predicate that is not boolean".to_owned()));
        };
        match mask.true_count() {
            0 => Ok(None),
            n if n == delta.num_rows() => Ok(Some(delta)),
            _ => delta.filter(mask).map(Some),
        }
    }
}

impl Operator for Calc {
    fn on_delta(&mut self, _port: usize, delta: DeltaBatch, out: &mut Output) -> Result<()> {
        if self.clock.is_some() {
            self.held.push(delta);
            return Ok(());
        }
        self.apply(delta, out)
    }

    fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        let Some(clock) = &self.clock else { return Ok(()) };
        clock.set(header.wall_clock);
        for delta in std::mem::take(&mut self.held) {
            self.apply(delta, out)?;
        }
        Ok(())
    }
}
