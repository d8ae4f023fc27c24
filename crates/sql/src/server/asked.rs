//! What conditions say that columns equal, as keys to look up. It must not know where rows are.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Keys that are looked up at most; a longer list is a scan.
const MAX_KEYS: usize = 1_024;

/// Keys to look up.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// The columns, as the index has them.
    pub columns: Vec<usize>,
    /// Of each column, its cells in the keys.
    pub cells: Vec<ArrayRef>,
}

/// The keys over `columns` that all of `filters` together ask for, when they say what each of the columns equals.
pub(super) fn keys_in(filters: &[Expr], schema: &SchemaRef, columns: &[usize]) -> Option<Keys> {
    let of_column = |column: &usize| {
        let field = schema.field(*column);
        let values = filters.iter().find_map(|f| values_in(f, field.name()))?;
        let mut cells: Vec<ScalarValue> = Vec::with_capacity(values.len());
        for value in values {
            let cell = exactly(value, field.data_type())?;
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        ScalarValue::iter_to_array(cells).ok()
    };
    let values: Vec<ArrayRef> = columns.iter().map(of_column).collect::<Option<_>>()?;
    let count = values.iter().try_fold(1usize, |n, v| n.checked_mul(v.len())).filter(|n| *n <= MAX_KEYS)?;
    // Each value of one column with each of the others.
    let mut apart = count;
    let cells = values.iter().map(|v| {
        apart /= v.len();
        let places = (0..count).map(|i| u32::try_from(i / apart % v.len()).expect("within MAX_KEYS"));
        take(v, &UInt32Array::from_iter_values(places), None).ok()
    });
    Some(Keys { columns: columns.to_vec(), cells: cells.collect::<Option<_>>()? })
}

/// The values of which `filter` says that `column` has one: `=`, `IN`, or several with `OR`. Never none.
pub(super) fn values_in<'a>(filter: &'a Expr, column: &str) -> Option<Vec<&'a ScalarValue>> {
    let mut values = Vec::new();
    (collect(filter, column, &mut values) && !values.is_empty()).then_some(values)
}

fn collect<'a>(filter: &'a Expr, column: &str, values: &mut Vec<&'a ScalarValue>) -> bool {
    let mut add = |value: &'a Expr| match value {
        // Nothing equals null.
        Expr::Literal(value, _) if value.is_null() => true,
        Expr::Literal(value, _) if values.len() < MAX_KEYS => {
            values.push(value);
            true
        }
        _ => false,
    };
    let is_column = |e: &Expr| matches!(e, Expr::Column(c) if c.name == column);
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            (is_column(left) && add(right)) || (is_column(right) && add(left))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            collect(left, column, values) && collect(right, column, values)
        }
        Expr::InList(list) => !list.negated && is_column(&list.expr) && list.list.iter().all(add),
        _ => false,
    }
}

/// `value` as a `to`, if it is the same value there and equal to no other: a zero has two forms, and so has what is not
/// a number.
fn exactly(value: &ScalarValue, to: &DataType) -> Option<ScalarValue> {
    let there = if value.data_type() == *to {
        value.clone()
    } else {
        let array = value.to_array().ok()?;
        let there = cast(&array, to).ok()?;
        let back = cast(&there, array.data_type()).ok()?;
        if back.as_ref() != array.as_ref() {
            return None;
        }
        ScalarValue::try_from_array(&there, 0).ok()?
    };
    let plain = match &there {
        ScalarValue::Float32(Some(v)) => *v != 0.0 && !v.is_nan(),
        ScalarValue::Float64(Some(v)) => *v != 0.0 && !v.is_nan(),
        other => !other.is_null(),
    };
    plain.then_some(there)
}

/// The columns of `indexes` that `conditions` ask for one by one, each with what `of` finds there: of the index with the
/// most columns that leaves no condition over.
pub(super) fn covered<T>(
    indexes: &[&[usize]],
    conditions: usize,
    of: impl Fn(usize) -> Option<(usize, T)>,
) -> Option<(Vec<usize>, Vec<T>)> {
    let of_index = |columns: &&[usize]| {
        let found: Vec<(usize, T)> = columns.iter().map(|c| of(*c)).collect::<Option<_>>()?;
        let used: BTreeSet<usize> = found.iter().map(|(condition, _)| *condition).collect();
        (used.len() == conditions).then(|| (columns.to_vec(), found.into_iter().map(|(_, t)| t).collect()))
    };
    indexes.iter().find_map(of_index)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::AsArray;
    use arrow::datatypes::{Field, Int32Type, Int64Type, Schema};
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int32, true),
            Field::new("b", DataType::Int64, true),
            Field::new("f", DataType::Float64, true),
        ]))
    }

    fn keys(filters: &[Expr], columns: &[usize]) -> Option<Keys> {
        keys_in(filters, &schema(), columns)
    }

    #[test]
    fn equalities_lists_and_alternatives_are_keys() {
        let found = keys(&[col("a").in_list(vec![lit(1), lit(2), lit(1)], false)], &[0]).expect("a list");
        assert_eq!(found.cells[0].as_primitive::<Int32Type>().values(), &[1, 2]);
        let either = col("a").eq(lit(3)).or(lit(4).eq(col("a"))).or(col("a").eq(lit(ScalarValue::Int32(None))));
        let found = keys(&[either, col("b").in_list(vec![lit(5_i64), lit(6_i64)], false)], &[0, 1]).expect("both");
        let (a, b) = (found.cells[0].as_primitive::<Int32Type>(), found.cells[1].as_primitive::<Int64Type>());
        assert_eq!((a.values().as_ref(), b.values().as_ref()), (&[3, 3, 4, 4][..], &[5, 6, 5, 6][..]));
    }

    #[test]
    fn what_does_not_say_what_a_column_equals_is_no_key() {
        let of_a = col("a").eq(lit(1));
        assert!(keys(std::slice::from_ref(&of_a), &[0, 1]).is_none(), "half of the columns");
        assert!(keys(&[of_a.or(col("b").eq(lit(1_i64)))], &[0]).is_none(), "another column");
        assert!(keys(&[col("a").in_list(vec![lit(1)], true)], &[0]).is_none(), "NOT IN");
        assert!(keys(&[col("a").gt(lit(1))], &[0]).is_none(), "another comparison");
        assert!(keys(&[col("a").eq(lit(ScalarValue::Int32(None)))], &[0]).is_none(), "null");
        assert!(keys(&[col("a").eq(lit(1.5))], &[0]).is_none(), "a value that the type does not have");
        assert!(keys(&[col("f").eq(lit(0.0))], &[2]).is_none(), "a zero equals the other zero");
        let many: Vec<Expr> = (0..2_000).map(lit).collect();
        assert!(keys(&[col("a").in_list(many, false)], &[0]).is_none(), "too many");
    }
}
