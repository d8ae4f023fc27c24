//! Windows of FROM: tumbling ones at once, hopping and session ones when their consumer is known; and the gate of
//! EMIT ON WINDOW CLOSE. It must not know aggregates' insides.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use thalweg_plan::{Expr, HopSpec, Operation};

use super::calc::{as_column, columns_read};
use super::{Lowerer, Rel, unsupported};
use crate::bin::Bin;
use crate::window_table::{WindowKind, WindowTable, position};

/// A window whose rows have not been made: an aggregation can do with panes or sessions instead.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// `start` holds the start of the row's pane (a slide wide), `end` the same plus the window's size.
    Hop { start: Option<usize>, end: Option<usize>, slide: i64, size: i64 },
    /// `start` holds the row's time, `end` the same plus the gap.
    Session { start: Option<usize>, end: Option<usize>, keys: Vec<Option<usize>>, gap: i64 },
}

impl Pending {
    fn columns(&self) -> [Option<usize>; 2] {
        match self {
            Self::Hop { start, end, .. } | Self::Session { start, end, .. } => [*start, *end],
        }
    }

    /// Where the columns are after a projection.
    pub fn projected(&self, items: &[(Expr, FieldRef)]) -> Self {
        let place = |c: &Option<usize>| items.iter().position(|(e, _)| c.is_some() && as_column(e) == *c);
        match self {
            Self::Hop { start, end, slide, size } => {
                Self::Hop { start: place(start), end: place(end), slide: *slide, size: *size }
            }
            Self::Session { start, end, keys, gap } => Self::Session {
                start: place(start),
                end: place(end),
                keys: keys.iter().map(place).collect(),
                gap: *gap,
            },
        }
    }
}

impl Lowerer<'_> {
    pub(crate) fn window_table(&mut self, table: &WindowTable) -> Result<Rel> {
        let input = self.lower(&table.input)?;
        let input = self.settle(input)?;
        let schema = table.input.schema();
        let columns = table.columns.iter().map(|c| position(schema, c)).collect::<Result<Vec<_>>>()?;
        let width = schema.fields().len();
        let time = Arc::new(Column::new(schema.field(columns[0]).name(), columns[0])) as Expr;
        let (bin, origin, length) = match table.kind {
            WindowKind::Tumble { size, origin } => (size, origin, size),
            WindowKind::Hop { slide, size, origin } => (slide, origin, size),
            WindowKind::Session { gap } => (1, 0, gap),
        };
        let start = Bin { arg: Arc::clone(&time), width: bin, origin, offset: 0 };
        let end = Bin { offset: length, ..start.clone() };
        let mut project: Vec<(Expr, FieldRef)> = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(i, f)| (Arc::new(Column::new(f.name(), i)) as Expr, Arc::clone(f)))
            .collect();
        project.push((Arc::new(start), Arc::clone(&table.schema.fields()[width])));
        project.push((Arc::new(end), Arc::clone(&table.schema.fields()[width + 1])));
        let mut rel = self.calc(input, None, Some(project))?;
        let (start, end) = (Some(width), Some(width + 1));
        rel.pending = match table.kind {
            WindowKind::Tumble { .. } => None,
            WindowKind::Hop { slide, size, .. } if slide == size => None,
            WindowKind::Hop { slide, size, .. } => Some(Pending::Hop { start, end, slide, size }),
            WindowKind::Session { gap } => {
                let keys = columns[1..].iter().map(|c| Some(*c)).collect();
                Some(Pending::Session { start, end, keys, gap })
            }
        };
        Ok(rel)
    }

    /// Makes the rows of a pending window.
    pub(crate) fn settle(&mut self, rel: Rel) -> Result<Rel> {
        match rel.pending.clone() {
            None => Ok(rel),
            Some(Pending::Session { .. }) => {
                Err(unsupported("SESSION without GROUP BY over its keys, window_start and window_end"))
            }
            Some(Pending::Hop { start, end, slide, size }) => {
                let pane = start.or(end).ok_or_else(|| {
                    DataFusionError::Internal("a hopping window lost its columns before its rows were made".to_owned())
                })?;
                let rel = self.hop(Rel { pending: None, ..rel }, HopSpec { pane, slide, size });
                match (start, end) {
                    (Some(start), Some(end)) => self.with_copy(rel, start, end, size),
                    _ => Ok(rel),
                }
            }
        }
    }

    /// Each row once per window that contains its pane.
    pub(crate) fn hop(&mut self, rel: Rel, hop: HopSpec) -> Rel {
        let mut properties = self.properties(rel.node).clone();
        let reach = hop.size - hop.slide;
        properties.bounds[hop.pane] = properties.bounds[hop.pane].take().map(|b| b.shift(-reach));
        properties.key = None;
        let moved = matches!(&properties.distribution,
            thalweg_plan::Distribution::Hash(columns) if columns.contains(&hop.pane));
        if moved {
            properties.distribution = thalweg_plan::Distribution::Any;
        }
        let pane = hop.pane;
        let node = self.builder.add(Operation::Hop(hop), vec![rel.node], properties);
        let mut lineage = rel.lineage;
        lineage[pane] = (format!("hop {node}"), 0);
        Rel { node, lineage, pending: None }
    }

    /// Column `to` becomes column `from` plus `offset`.
    fn with_copy(&mut self, rel: Rel, from: usize, to: usize, offset: i64) -> Result<Rel> {
        let schema = Arc::clone(&self.properties(rel.node).schema);
        let column = |i: usize| Arc::new(Column::new(schema.field(i).name(), i)) as Expr;
        let item = |i: usize| {
            let expr = if i == to {
                Arc::new(Bin { arg: column(from), width: 1, origin: 0, offset }) as Expr
            } else {
                column(i)
            };
            (expr, Arc::clone(&schema.fields()[i]))
        };
        let project = (0..schema.fields().len()).map(item).collect();
        self.calc(rel, None, Some(project))
    }

    /// Makes the rows of a pending window if the expressions above need them.
    pub(crate) fn settle_for(
        &mut self,
        rel: Rel,
        predicate: Option<&Expr>,
        project: Option<&[(Expr, FieldRef)]>,
    ) -> Result<Rel> {
        let Some(pending) = &rel.pending else { return Ok(rel) };
        if matches!(pending, Pending::Session { .. }) && predicate.is_some() {
            return Err(unsupported("WHERE above SESSION: filter in a subquery inside SESSION(...)"));
        }
        let window: Vec<usize> = pending.columns().into_iter().flatten().collect();
        let computing = predicate
            .into_iter()
            .chain(project.into_iter().flatten().map(|(e, _)| e).filter(|e| as_column(e).is_none()));
        let computed = columns_read(computing).iter().any(|c| window.contains(c));
        let kept =
            project.is_none_or(|items| items.iter().any(|(e, _)| as_column(e).is_some_and(|c| window.contains(&c))));
        if computed || !kept { self.settle(rel) } else { Ok(rel) }
    }

    /// EMIT ON WINDOW CLOSE over a result that changes: rows wait until their time column is final.
    pub(crate) fn gate(&mut self, rel: Rel) -> Result<Rel> {
        let properties = self.properties(rel.node);
        if properties.append_only {
            return Ok(rel);
        }
        let bounded = properties.bounds.iter().enumerate().find_map(|(c, b)| Some((c, b.clone()?)));
        let Some((column, bound)) = bounded else {
            return Err(DataFusionError::Plan(
                "EMIT ON WINDOW CLOSE needs a column that a watermark bounds in the result\n  hint: Declare WATERMARK \
                 FOR on the source, group by window_start or window_end, and keep it in the SELECT list."
                    .to_owned(),
            ));
        };
        // A row and its retraction have the same time: they meet by it.
        let node = self.exchange(rel.node, vec![column]);
        let mut properties = self.properties(node).clone();
        properties.append_only = true;
        let node = self.builder.add(Operation::Gate { column, bound }, vec![node], properties);
        Ok(Rel { node, ..rel })
    }
}
