//! OVER against a sorted recomputation, through retractions and restores.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::lead_lag::lag_udwf;
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::windows::create_window_expr;
use datafusion::scalar::ScalarValue;
use thalweg_plan::{OrderKey, OverCall};

use super::Over;
use crate::testing::{Cell, Check, PortSpec, Rng, Row, Standing, history, properties, schema};

fn input() -> SchemaRef {
    schema(&[("p", 'i'), ("v", 'i'), ("t", 'w'), ("s", 't')])
}

fn output() -> SchemaRef {
    let more = ["row_number", "lag", "running", "around"].map(|name| {
        let data_type = if name == "row_number" { DataType::UInt64 } else { DataType::Int64 };
        Arc::new(Field::new(name, data_type, true)) as FieldRef
    });
    Arc::new(Schema::new(input().fields().iter().cloned().chain(more).collect::<Vec<_>>()))
}

fn calls() -> Vec<OverCall> {
    let v: Arc<dyn PhysicalExpr> = Arc::new(Column::new("v", 1));
    let p: Arc<dyn PhysicalExpr> = Arc::new(Column::new("p", 0));
    let t = PhysicalSortExpr::new(Arc::new(Column::new("t", 2)), SortOptions { descending: false, nulls_first: false });
    let running = WindowFrame::new(Some(false));
    let around = WindowFrame::new_bounds(
        WindowFrameUnits::Rows,
        WindowFrameBound::Preceding(ScalarValue::UInt64(Some(1))),
        WindowFrameBound::Following(ScalarValue::UInt64(Some(1))),
    );
    let make = |function: WindowFunctionDefinition, args: &[Arc<dyn PhysicalExpr>], frame: &WindowFrame| OverCall {
        function: create_window_expr(
            &function,
            function.name().to_owned(),
            args,
            &[Arc::clone(&p)],
            std::slice::from_ref(&t),
            Arc::new(frame.clone()),
            input(),
            false,
            false,
            None,
        )
        .expect("a window function"),
    };
    vec![
        make(WindowFunctionDefinition::WindowUDF(row_number_udwf()), &[], &running),
        make(WindowFunctionDefinition::WindowUDF(lag_udwf()), &[Arc::clone(&v)], &running),
        make(WindowFunctionDefinition::AggregateUDF(sum_udaf()), &[Arc::clone(&v)], &running),
        make(WindowFunctionDefinition::AggregateUDF(sum_udaf()), &[Arc::clone(&v)], &around),
    ]
}

fn sum(rows: &[Row]) -> Cell {
    let values: Vec<i64> = rows.iter().filter_map(|r| if let Cell::Int(v) = r[1] { Some(v) } else { None }).collect();
    if values.is_empty() { Cell::Null } else { Cell::Int(values.iter().sum()) }
}

fn oracle(standing: &Standing, partition: &[usize]) -> Standing {
    let mut parts: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
    for (row, weight) in standing {
        let key: Row = partition.iter().map(|c| row[*c].clone()).collect();
        (0..*weight).for_each(|_| parts.entry(key.clone()).or_default().push(row.clone()));
    }
    let mut out = Standing::new();
    for rows in parts.values_mut() {
        rows.sort_by(|a, b| a[2].cmp(&b[2]));
        for i in 0..rows.len() {
            let lag = if i == 0 { Cell::Null } else { rows[i - 1][1].clone() };
            let around = &rows[i.saturating_sub(1)..(i + 2).min(rows.len())];
            let more = [Cell::Int(i as i64 + 1), lag, sum(&rows[..=i]), sum(around)];
            let row: Row = rows[i].iter().cloned().chain(more).collect();
            *out.entry(row).or_insert(0) += 1;
        }
    }
    out
}

#[test]
fn partitions_equal_a_sorted_recomputation() {
    for seed in 0..80 {
        let rng = &mut Rng(seed);
        let retracts = seed % 2 == 0;
        let partition = if seed % 4 < 2 { vec![0] } else { vec![] };
        let mut clock = 0i64;
        let mut ports = [PortSpec {
            schema: input(),
            retracts,
            row: Box::new(move |rng, _| {
                clock += 1;
                Some(vec![rng.maybe_int(4), rng.maybe_int(9), Cell::Time((clock * 37) % 1009), rng.text(2)])
            }),
        }];
        let steps = history(rng, &mut ports, 8, 20);
        let order = [OrderKey { column: 2, descending: false, nulls_first: false }];
        let made = properties(&input(), !retracts);
        Check {
            make: &|| Box::new(Over::new(&made, &partition, &order, &calls(), output()).expect("an OVER")),
            keys: vec![partition.clone()],
            oracle: &|inputs, _| oracle(&inputs[0], &partition),
            every_epoch: true,
        }
        .run(rng, &steps);
    }
}
