//! What the text of a query says about the types of its parameters: `$1::oid[]`. It must not know the planner's.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow::datatypes::FieldRef;
use datafusion::sql::sqlparser::ast::{Expr, Query, Value, ValueWithSpan, visit_expressions};

use super::types;

/// Types of the parameters that are cast, by name.
pub(super) fn cast(query: &Query) -> HashMap<String, FieldRef> {
    let mut found = HashMap::new();
    let _ = visit_expressions(query, |expr| {
        if let Expr::Cast { expr, data_type, .. } = expr
            && let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr.as_ref()
            && let Some(of) = types::written(&data_type.to_string())
        {
            // Names of objects are sent as text, whatever the type they are cast to.
            let sent = if of.name.starts_with("reg") { "text" } else { of.name };
            found.entry(name.clone()).or_insert_with(|| types::field(name, sent));
        }
        ControlFlow::<()>::Continue(())
    });
    found
}
