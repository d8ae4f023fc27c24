//! Sort keys and OVER calls as data. It must not know how they are computed.

use std::fmt;
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

/// An anomaly function over the rows of its partition in the order of their times.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectCall {
    /// Its name.
    pub name: String,
    /// The columns that it reads, Float64.
    pub inputs: Vec<usize>,
    /// Its parameters in their order; `None`: the default.
    pub parameters: Vec<Option<f64>>,
}

impl fmt::Display for DetectCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs = self.inputs.iter().map(|c| format!("#{c}"));
        let parameters = self.parameters.iter().map(|p| p.map_or_else(|| "default".to_owned(), |p| p.to_string()));
        write!(f, "{}({})", self.name, inputs.chain(parameters).collect::<Vec<_>>().join(", "))
    }
}

/// A window function over its partition: appended to the input's columns.
#[derive(Clone, Debug)]
pub struct OverCall {
    /// The compiled window function, over the columns of the input.
    pub function: Arc<dyn WindowExpr>,
}
