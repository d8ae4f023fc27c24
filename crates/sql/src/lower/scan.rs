//! Leaves: sources, rejects, materialized views, literal rows. It must not know connectors.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchema, internal_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{EmptyRelation, ExprSchemable, TableScan, Values};
use datafusion::physical_expr::expressions::Column;
use datafusion::sql::sqlparser::ast;
use thalweg_core::{Options, SourceId, dead_schema};
use thalweg_plan::{
    Bound, Distribution, Expectation, Expectations, Expr, Operation, Properties, RelationSpec, SourceSpec,
    WatermarkSpec,
};

use super::{Lowerer, Rel, expr};
use crate::catalog::{Expected, LiveEntry, PlannedTable, Relation, SourceEntry};
use crate::context::Planner;

/// A source in the plan being built.
#[derive(Clone, Debug)]
pub(crate) struct SourceUse {
    pub id: SourceId,
    /// Columns of the entry's schema that the scan yields, in order.
    pub columns: Vec<usize>,
}

impl Lowerer<'_> {
    pub(crate) fn scan(&mut self, scan: &TableScan) -> Result<Rel> {
        let table = planned_table(scan)?;
        let rel = match &table.relation {
            Relation::Source(source) => self.scan_source(source)?,
            Relation::Dead(source) => self.scan_dead(source)?,
            Relation::Quarantine(source) => self.scan_quarantine(source)?,
            Relation::Live(live) => self.scan_live(live),
            Relation::Materialized { name, .. } => match self.views.get(name) {
                Some(rel) => rel.clone(),
                None => return internal_err!("materialized view {name} is read before it is planned"),
            },
            Relation::View(_) => return internal_err!("a view was not put in the place of its name"),
        };
        let rel = self.pick(rel, scan, &table)?;
        let mut rel = rel;
        for predicate in &scan.filters {
            let predicate = expr::compile(predicate, &scan.projected_schema)?;
            rel = self.calc(rel, Some(predicate), None)?;
        }
        match scan.fetch {
            None => Ok(rel),
            Some(fetch) => self.first_rows(rel, 0, fetch),
        }
    }

    /// The scan's own columns, in its order.
    fn pick(&mut self, rel: Rel, scan: &TableScan, table: &PlannedTable) -> Result<Rel> {
        let wanted: Vec<usize> = match &scan.projection {
            Some(projection) => projection.clone(),
            None => (0..table.schema.fields().len()).collect(),
        };
        let places: Vec<usize> = match &table.relation {
            Relation::Source(source) => {
                let available = &self.sources[&source.name].columns;
                let place = |c: &usize| available.iter().position(|a| a == c);
                match wanted.iter().map(place).collect() {
                    Some(places) => places,
                    None => return internal_err!("a column of {} that was not announced", source.name),
                }
            }
            _ => wanted,
        };
        let schema = Arc::clone(&self.properties(rel.node).schema);
        if places.iter().copied().eq(0..schema.fields().len()) {
            return Ok(rel);
        }
        let project = places
            .iter()
            .zip(scan.projected_schema.fields())
            .map(|(p, f)| (Arc::new(Column::new(schema.field(*p).name(), *p)) as Expr, Arc::clone(f)))
            .collect();
        self.calc(rel, None, Some(project))
    }

    fn scan_source(&mut self, source: &SourceEntry) -> Result<Rel> {
        let used = &self.sources[&source.name];
        let spec = &self.builder.plan().sources[used.id.0];
        let place = |c: &usize| used.columns.iter().position(|a| a == c);
        let key = (!source.primary_key.is_empty())
            .then(|| source.primary_key.iter().map(place).collect::<Option<Vec<_>>>())
            .flatten();
        let mut bounds = vec![None; spec.schema.fields().len()];
        if let Some(watermark) = spec.watermark {
            bounds[watermark.column] = Some(Bound::Source(used.id));
        }
        let properties = Properties {
            schema: Arc::clone(&spec.schema),
            append_only: true,
            key,
            distribution: Distribution::Any,
            bounds,
        };
        let mut node = self.builder.add(Operation::Scan { source: used.id }, Vec::new(), properties.clone());
        let expectations = compile_expectations(self.planner, source, &properties.schema)?;
        if !expectations.is_empty() {
            let expect = Operation::Expect { expectations, quarantined: false };
            node = self.builder.add(expect, vec![node], properties);
        }
        Ok(self.fresh(node))
    }

    /// What is set aside of a source, and why.
    fn scan_quarantine(&mut self, source: &SourceEntry) -> Result<Rel> {
        let id = self.sources[&source.name].id;
        let read = Arc::clone(&self.builder.plan().sources[id.0].schema);
        let properties = |schema: SchemaRef| Properties {
            append_only: true,
            key: None,
            distribution: Distribution::Any,
            bounds: vec![None; schema.fields().len()],
            schema,
        };
        let expectations = compile_expectations(self.planner, source, &read)?;
        let node = self.builder.add(Operation::Scan { source: id }, Vec::new(), properties(Arc::clone(&read)));
        let expect = Operation::Expect { expectations, quarantined: true };
        let aside = self.builder.add(expect, vec![node], properties(Expectations::quarantine_schema(&read)));
        Ok(self.fresh(aside))
    }

    /// The rows of another job, as the plan's own source of them yields them: whole.
    pub(crate) fn scan_live(&mut self, live: &LiveEntry) -> Rel {
        let id = self.live_source(live);
        let mut bounds = vec![None; live.schema.fields().len()];
        if let Some(watermark) = live.watermark {
            bounds[watermark.column] = Some(Bound::Source(id));
        }
        let RelationSpec { append_only, key, distribution } = live.known.clone();
        let properties = Properties { schema: Arc::clone(&live.schema), append_only, key, distribution, bounds };
        let node = self.builder.add(Operation::Scan { source: id }, Vec::new(), properties);
        self.fresh(node)
    }

    fn live_source(&mut self, live: &LiveEntry) -> SourceId {
        if let Some(used) = self.sources.get(&live.name) {
            return used.id;
        }
        let columns: Vec<usize> = (0..live.schema.fields().len()).collect();
        let id = self.builder.source(SourceSpec {
            name: live.name.clone(),
            connector: String::new(),
            options: Options::default(),
            declared: Arc::clone(&live.schema),
            projection: columns.clone(),
            generated: Vec::new(),
            watermark: live.watermark,
            schema: Arc::clone(&live.schema),
            dead_used: false,
            relation: Some(live.known.clone()),
        });
        self.sources.insert(live.name.clone(), SourceUse { id, columns });
        id
    }

    fn scan_dead(&mut self, source: &SourceEntry) -> Result<Rel> {
        let id = self.sources[&source.name].id;
        self.builder.source_mut(id).dead_used = true;
        let schema = dead_schema();
        let bounds = vec![None; schema.fields().len()];
        let properties = Properties { schema, append_only: true, key: None, distribution: Distribution::Any, bounds };
        let node = self.builder.add(Operation::Dead { source: id }, Vec::new(), properties);
        Ok(self.fresh(node))
    }

    /// Adds a source that the plan reads `columns` of.
    pub(crate) fn add_source(&mut self, entry: &SourceEntry, columns: &BTreeSet<usize>) -> Result<()> {
        let read = entry.declared.fields().len();
        let whole = DFSchema::try_from(entry.declared.as_ref().clone())?;
        let mut projection: BTreeSet<usize> = columns.iter().copied().filter(|c| *c < read).collect();
        let mut computed: BTreeSet<usize> = columns.iter().copied().filter(|c| *c >= read).collect();
        let declared = DFSchema::try_from(entry.schema.as_ref().clone())?;
        for expected in &entry.expectations {
            for c in self.planner.expression(expected.check.clone(), &declared)?.column_refs() {
                let c = declared.index_of_column(c)?;
                if c < read { &mut projection } else { &mut computed }.insert(c);
            }
        }
        if let Some(watermark) = entry.watermark {
            if watermark.column < read { &mut projection } else { &mut computed }.insert(watermark.column);
        }
        let computed: Vec<usize> = computed.into_iter().collect();
        let mut logical = Vec::new();
        for column in &computed {
            let (field, text) = &entry.generated[column - read];
            let e = self.planner.expression(text.clone(), &whole)?;
            for c in e.column_refs() {
                projection.insert(whole.index_of_column(c)?);
            }
            logical.push((Arc::clone(field), e));
        }
        let projection: Vec<usize> = projection.into_iter().collect();
        let narrow = entry.declared.project(&projection)?;
        let narrow_df = DFSchema::try_from(narrow.clone())?;
        let generated = logical
            .into_iter()
            .map(|(field, e)| {
                let e = datafusion::logical_expr::cast(e, field.data_type().clone());
                let e = self.planner.coerce(e, &narrow_df)?;
                Ok((field, expr::compile_timeless(&e, &narrow_df, "a generated column")?))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut fields: Vec<_> = narrow.fields().iter().cloned().collect();
        fields.extend(generated.iter().map(|(f, _)| Arc::clone(f)));
        let all: Vec<usize> = projection.iter().copied().chain(computed).collect();
        let watermark = entry.watermark.map(|w| WatermarkSpec {
            column: all.iter().position(|c| *c == w.column).expect("the watermark's column was added above"),
            delay: w.delay,
        });
        let spec = SourceSpec {
            name: entry.name.clone(),
            connector: entry.connector.clone(),
            options: entry.options.clone(),
            declared: Arc::clone(&entry.declared),
            projection,
            generated,
            watermark,
            schema: Arc::new(Schema::new(fields)),
            dead_used: false,
            relation: None,
        };
        let id = self.builder.source(spec);
        self.sources.insert(entry.name.clone(), SourceUse { id, columns: all });
        Ok(())
    }

    pub(crate) fn values(&mut self, values: &Values) -> Result<Rel> {
        let rows = evaluate_values(values)?;
        self.literal_rows(rows)
    }

    pub(crate) fn empty(&mut self, empty: &EmptyRelation) -> Result<Rel> {
        let count = usize::from(empty.produce_one_row);
        let schema = Arc::clone(empty.schema.inner());
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let columns = schema.fields().iter().map(|f| arrow::array::new_null_array(f.data_type(), count)).collect();
        self.literal_rows(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    fn literal_rows(&mut self, rows: RecordBatch) -> Result<Rel> {
        let properties = Properties {
            schema: rows.schema(),
            append_only: true,
            key: None,
            distribution: Distribution::Single,
            bounds: vec![None; rows.num_columns()],
        };
        let node = self.builder.add(Operation::Values { rows }, Vec::new(), properties);
        Ok(self.fresh(node))
    }
}

/// The generated columns of a source all of whose columns are read.
pub(crate) fn compile_generated(planner: &Planner, entry: &SourceEntry) -> Result<Vec<(FieldRef, Expr)>> {
    let schema = DFSchema::try_from(entry.declared.as_ref().clone())?;
    let one = |(field, text): &(FieldRef, ast::Expr)| {
        let e = planner.expression(text.clone(), &schema)?;
        let e = datafusion::logical_expr::cast(e, field.data_type().clone());
        let e = planner.coerce(e, &schema)?;
        Ok((Arc::clone(field), expr::compile_timeless(&e, &schema, "a generated column")?))
    };
    entry.generated.iter().map(one).collect()
}

/// The expectations of a source over `read`, some or all of its columns.
pub(crate) fn compile_expectations(planner: &Planner, entry: &SourceEntry, read: &SchemaRef) -> Result<Expectations> {
    let schema = DFSchema::try_from(read.as_ref().clone())?;
    let one = |expected: &Expected| {
        let check = planner.expression(expected.check.clone(), &schema)?;
        let found = check.get_type(&schema)?;
        if found != DataType::Boolean && found != DataType::Null {
            return plan_err!("the check of expectation {} is of type {found}, not boolean", expected.name);
        }
        let check = planner.coerce(datafusion::logical_expr::cast(check, DataType::Boolean), &schema)?;
        let check = expr::compile_timeless(&check, &schema, "an expectation")?;
        let (name, counter) = (Arc::clone(&expected.name), Arc::clone(&expected.counter));
        Ok(Expectation { name, check, on: expected.on, counter })
    };
    let list = entry.expectations.iter().map(one).collect::<Result<_>>()?;
    Ok(Expectations { relation: entry.name.as_str().into(), list })
}

/// The rows of VALUES, computed now.
pub(crate) fn evaluate_values(values: &Values) -> Result<RecordBatch> {
    let nothing = DFSchema::empty();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); values.schema.fields().len()];
    for row in &values.values {
        for ((cell, column), field) in row.iter().zip(&mut columns).zip(values.schema.fields()) {
            let value = expr::compile_timeless(cell, &nothing, "VALUES")?.evaluate(&one)?.into_array(1)?;
            column.push(arrow::compute::cast(&value, field.data_type())?);
        }
    }
    let columns = columns
        .iter()
        .map(|parts| concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).map_err(DataFusionError::from))
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(values.schema.inner()), columns)?)
}

pub(crate) fn planned_table(scan: &TableScan) -> Result<PlannedTable> {
    match scan.source.downcast_ref::<PlannedTable>() {
        Some(table) => Ok(table.clone()),
        None => Err(DataFusionError::NotImplemented(format!(
            "{} cannot be read by what is kept fresh\n  hint: Put its rows into a table.",
            scan.table_name
        ))),
    }
}
