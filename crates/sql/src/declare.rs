//! CREATE SOURCE, CREATE TABLE and INSERT: declarations to catalog entries, literal rows to batches.
//! It must not know connectors beyond what they infer.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, Query};
use thalweg_plan::WatermarkSpec;

use crate::catalog::{Catalog, Expected, SourceEntry};
use crate::compile::{Connectors, plan_error};
use crate::context::Planner;
use crate::functions::assign;
use crate::lower::evaluate_values;
use crate::parse::normalized;
use crate::statement::CreateSource;
use crate::types::arrow_type;
use crate::window_table::interval_micros;

/// The connector of tables that INSERT fills.
pub(crate) const MEMORY: &str = "memory";

/// The catalog entry of a source or table.
pub(crate) fn declare(
    planner: &Planner,
    source: CreateSource,
    connectors: &dyn Connectors,
    table: bool,
) -> Result<SourceEntry> {
    let mut options = source.options;
    let connector = match options.take("connector") {
        Some(connector) => connector,
        None if table => MEMORY.to_owned(),
        None => return Err(plan_error(options.require("connector", "file").expect_err("it was not given"))),
    };
    let declared = if source.columns.iter().all(|c| c.generated.is_some()) {
        connectors.infer(&connector, &options).map_err(plan_error)?
    } else {
        let fields = source
            .columns
            .iter()
            .filter(|c| c.generated.is_none())
            .map(|c| {
                let sql = c.data_type.as_ref().expect("the parser requires a type or an expression");
                let not_null = c.not_null || source.primary_key.contains(&c.name);
                Ok(Field::new(&c.name, arrow_type(sql).map_err(plan_error)?, !not_null))
            })
            .collect::<Result<Vec<_>>>()?;
        Arc::new(Schema::new(fields))
    };
    let read = DFSchema::try_from(declared.as_ref().clone())?;
    let mut generated: Vec<(FieldRef, Expr)> = Vec::new();
    for column in &source.columns {
        let Some(text) = &column.generated else { continue };
        let data_type = match &column.data_type {
            Some(sql) => arrow_type(sql).map_err(plan_error)?,
            None => {
                let e = planner.expression(text.clone(), &read)?;
                planner.coerce(e, &read)?.get_type(&read)?
            }
        };
        generated.push((Arc::new(Field::new(&column.name, data_type, true)), text.clone()));
    }
    let fields: Vec<FieldRef> =
        declared.fields().iter().cloned().chain(generated.iter().map(|(f, _)| Arc::clone(f))).collect();
    let schema = Arc::new(Schema::new(fields));
    if let Some(twice) = duplicate(&schema) {
        return Err(DataFusionError::Plan(format!("column {twice} is declared twice")));
    }
    let watermark = source.watermark.map(|(column, expr)| watermark(planner, &schema, column, &expr)).transpose()?;
    let primary_key = source
        .primary_key
        .iter()
        .map(|name| {
            schema
                .index_of(name)
                .map_err(|_| DataFusionError::Plan(format!("column {name} of the primary key does not exist")))
        })
        .collect::<Result<Vec<_>>>()?;
    let counter = Arc::default;
    let expectations = source.expectations.into_iter().map(|e| Expected {
        name: e.name.into(),
        check: e.check,
        on: e.on,
        counter: counter(),
    });
    let expectations = expectations.collect();
    let writes = connector != MEMORY && connectors.writes(&connector, &options).map_err(plan_error)?;
    let name = source.name;
    if writes && (!table || primary_key.is_empty()) {
        return Err(DataFusionError::Plan(format!(
            "the rows of {name} replace and remove others, which takes a table with a key\n  hint: Use CREATE TABLE {name} \
             (…, PRIMARY KEY (…)) WITH (…)."
        )));
    }
    let entry = SourceEntry {
        name,
        connector,
        options,
        declared,
        generated,
        watermark,
        primary_key,
        expectations,
        schema,
        writes,
    };
    // A wrong check is told now, not with the first query.
    crate::lower::compile_expectations(planner, &entry, &entry.schema)?;
    Ok(entry)
}

fn duplicate(schema: &Schema) -> Option<&str> {
    let fields = schema.fields();
    fields
        .iter()
        .enumerate()
        .find(|(i, f)| fields[..*i].iter().any(|g| g.name() == f.name()))
        .map(|(_, f)| f.name().as_str())
}

/// `WATERMARK FOR column AS column [- INTERVAL '…']`.
fn watermark(planner: &Planner, schema: &Schema, column: Ident, expr: &Expr) -> Result<WatermarkSpec> {
    let name = normalized(column);
    let usage = || {
        DataFusionError::Plan(format!(
            "the watermark of {name} is not understood\n  hint: Write WATERMARK FOR {name} AS {name} - INTERVAL '5 seconds'."
        ))
    };
    let is_column = |e: &Expr| matches!(e, Expr::Identifier(i) if normalized(i.clone()) == name);
    let position =
        schema.index_of(&name).map_err(|_| DataFusionError::Plan(format!("watermark column {name} does not exist")))?;
    if !matches!(schema.field(position).data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
        return Err(DataFusionError::Plan(format!(
            "watermark column {name} is {}, not a timestamp",
            schema.field(position).data_type()
        )));
    }
    let delay = match expr {
        e if is_column(e) => 0,
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } if is_column(left) => {
            interval_micros(&planner.expression(right.as_ref().clone(), &DFSchema::empty())?)?
        }
        _ => return Err(usage()),
    };
    if delay < 0 {
        return Err(usage());
    }
    Ok(WatermarkSpec { column: position, delay })
}

/// The rows of INSERT … VALUES in the table's columns.
pub(crate) fn insert(
    planner: &Planner,
    catalog: &Catalog,
    table: &SourceEntry,
    columns: &[String],
    rows: &Query,
) -> Result<RecordBatch> {
    let bound = planner.optimize(planner.bind(catalog, rows)?)?;
    let LogicalPlan::Values(values) = &bound else {
        return Err(DataFusionError::NotImplemented(
            "INSERT of anything but VALUES; use CREATE SINK or a view".to_owned(),
        ));
    };
    let rows = evaluate_values(values)?;
    let names: Vec<&str> = if columns.is_empty() {
        table.declared.fields().iter().take(rows.num_columns()).map(|f| f.name().as_str()).collect()
    } else {
        columns.iter().map(String::as_str).collect()
    };
    if names.len() != rows.num_columns() {
        return Err(DataFusionError::Plan(format!(
            "INSERT names {} columns and gives {}",
            names.len(),
            rows.num_columns()
        )));
    }
    if let Some(unknown) = names.iter().find(|n| table.declared.index_of(n).is_err()) {
        return Err(DataFusionError::Plan(format!("column {unknown} of table {} does not exist", table.name)));
    }
    let cell = |field: &FieldRef| -> Result<ArrayRef> {
        Ok(match names.iter().position(|n| n == field.name()) {
            Some(i) => assign(rows.column(i), field.data_type())?,
            None => new_null_array(field.data_type(), rows.num_rows()),
        })
    };
    let cells = table.declared.fields().iter().map(cell).collect::<Result<Vec<_>>>()?;
    for (field, cells) in table.declared.fields().iter().zip(&cells) {
        if !field.is_nullable() && cells.null_count() > 0 {
            return Err(DataFusionError::Plan(format!(
                "null value in column {} of table {} violates its not-null constraint",
                field.name(),
                table.name
            )));
        }
    }
    Ok(RecordBatch::try_new(Arc::clone(&table.declared), cells)?)
}
