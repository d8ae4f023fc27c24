//! Casts whose text is not the planner's: arrays and vectors as text. It must not know queries.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};

/// `array::text` by a function that writes arrays as PostgreSQL does.
#[derive(Debug)]
pub(super) struct ArrayText {
    pub function: Arc<ScalarUDF>,
}

impl FunctionRewrite for ArrayText {
    fn name(&self) -> &str {
        "array_text"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
        let to_text = matches!(cast.field.data_type(), DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8);
        let from_list = matches!(cast.expr.get_type(schema), Ok(DataType::List(_)));
        if !to_text || !from_list {
            return Ok(Transformed::no(expr));
        }
        Ok(Transformed::yes(self.function.call(vec![cast.expr.as_ref().clone()])))
    }
}
