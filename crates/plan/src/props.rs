//! What is known of a node's output. It must not know how it was derived.

use std::fmt;

use arrow::datatypes::SchemaRef;

use crate::Bound;

/// On which worker a row is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Anywhere.
    Any,
    /// By the hash of these columns.
    Hash(Vec<usize>),
    /// All on worker 0.
    Single,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Single => f.write_str("single"),
            Self::Hash(columns) => {
                let columns: Vec<String> = columns.iter().map(|c| format!("#{c}")).collect();
                write!(f, "hash({})", columns.join(", "))
            }
        }
    }
}

/// Derived properties of a node's output.
#[derive(Clone, Debug)]
pub struct Properties {
    /// Columns.
    pub schema: SchemaRef,
    /// Never retracts: batches carry no weights.
    pub append_only: bool,
    /// Columns that are unique among the rows that stand, if known.
    pub key: Option<Vec<usize>>,
    /// Where rows are.
    pub distribution: Distribution,
    /// Per column, its event-time bound.
    pub bounds: Vec<Option<Bound>>,
}
