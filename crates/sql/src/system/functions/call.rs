//! A function as a line in a table, and a call of it. It must not know the planner.

use std::ops::RangeInclusive;

use datafusion::error::{DataFusionError, Result};
use thalweg_core::{SqlError, SqlState};

use crate::system::cell::Cell;
use crate::system::picture::Oid;
use crate::system::scope::Scope;

/// A function.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: &'static str,
    /// How many arguments it takes.
    pub arguments: RangeInclusive<usize>,
    pub returns: Returns,
    pub run: fn(&Call<'_>) -> Result<Cell>,
}

/// What type a function's value has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Returns {
    /// By PostgreSQL's name.
    Type(&'static str),
    /// That of the first argument.
    First,
    /// That of the first argument's elements.
    Element,
}

impl Returns {
    pub fn name(self) -> &'static str {
        match self {
            Self::Type(name) => name,
            Self::First => "anyarray",
            Self::Element => "anyelement",
        }
    }
}

pub(super) const fn entry(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    returns: &'static str,
    run: fn(&Call<'_>) -> Result<Cell>,
) -> Entry {
    Entry { name, arguments, returns: Returns::Type(returns), run }
}

/// A call: the arguments, and the PostgreSQL types that their fields name.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub scope: &'a Scope,
    pub args: &'a [Cell],
    pub types: &'a [Option<String>],
}

impl Call<'_> {
    pub fn arg(&self, at: usize) -> &Cell {
        self.args.get(at).unwrap_or(&Cell::Null)
    }

    pub fn text(&self, at: usize) -> Option<&str> {
        self.arg(at).text()
    }

    pub fn int(&self, at: usize) -> Option<i64> {
        self.arg(at).int()
    }

    pub fn oid(&self, at: usize) -> Option<Oid> {
        self.int(at).and_then(|number| number.try_into().ok())
    }

    /// Whether the argument is a vector, whose first element is number 0.
    pub fn is_vector(&self, at: usize) -> bool {
        matches!(self.types.get(at), Some(Some(name)) if name == "int2vector" || name == "oidvector")
    }
}

/// An error of a function.
pub(super) fn error(state: SqlState, message: String) -> DataFusionError {
    DataFusionError::External(Box::new(SqlError::new(state, message)))
}
