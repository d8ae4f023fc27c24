//! Sort keys and OVER calls as data. It must not know how they are computed.

use std::sync::Arc;

use datafusion::physical_plan::WindowExpr;

/// One key of an ORDER BY: a column of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderKey {
    /// Which column.
    pub column: usize,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

/// A window function over its partition: appended to the input's columns.
#[derive(Clone, Debug)]
pub struct OverCall {
    /// The compiled window function, over the columns of the input.
    pub function: Arc<dyn WindowExpr>,
}
