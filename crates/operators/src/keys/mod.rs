//! `KeyTable`: key rows to dense group numbers and back. It must not know what is kept per group.

mod fixed;
mod layout;
mod rows;
mod slots;
#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use thalweg_core::{Error, Result, hash_columns};
use thalweg_plan::{Distribution, Properties};

use fixed::FixedTable;
use layout::Layout;
use rows::RowTable;

/// Maps key rows to group numbers: small, dense, reused after removal.
///
/// Null equals null, every NaN is one value and −0 is 0, as GROUP BY wants it. The hashes given must be those of
/// [`hash_columns`] over the same columns.
#[derive(Debug)]
pub struct KeyTable {
    types: Vec<DataType>,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// All columns together fit into 8 bytes.
    Narrow(FixedTable<u64>),
    /// All columns together fit into 16 bytes.
    Wide(FixedTable<u128>),
    /// Anything else: encoded rows in an arena.
    Rows(RowTable),
}

macro_rules! each {
    ($self:expr, $t:ident => $e:expr) => {
        match $self {
            Shape::Narrow($t) => $e,
            Shape::Wide($t) => $e,
            Shape::Rows($t) => $e,
        }
    };
}

impl KeyTable {
    /// What `lookup` yields for an unknown key.
    pub const ABSENT: u32 = u32::MAX;

    /// An empty table for key columns of `types` (none: every row has the same key).
    ///
    /// # Errors
    /// A type that cannot be a key.
    pub fn new(types: &[DataType]) -> Result<Self> {
        let shape = match Layout::of(types) {
            Some(layout) if layout.bits() <= 64 => Shape::Narrow(FixedTable::new(layout)),
            Some(layout) if layout.bits() <= 128 => Shape::Wide(FixedTable::new(layout)),
            _ => Shape::Rows(RowTable::new(types)?),
        };
        Ok(Self { types: types.to_vec(), shape })
    }

    /// The group of each row, written to `out`; a key not yet known gets a new group (or one that was freed).
    ///
    /// # Errors
    /// Columns of other types than the table's, or more than four billion groups.
    pub fn intern(&mut self, columns: &[ArrayRef], hashes: &[u64], out: &mut Vec<u32>) -> Result<()> {
        self.check(columns)?;
        out.clear();
        each!(&mut self.shape, t => t.intern(columns, hashes, out))
    }

    /// The group of each row, written to `out`; [`KeyTable::ABSENT`] for an unknown key.
    ///
    /// # Errors
    /// Columns of other types than the table's.
    pub fn lookup(&self, columns: &[ArrayRef], hashes: &[u64], out: &mut Vec<u32>) -> Result<()> {
        self.check(columns)?;
        out.clear();
        each!(&self.shape, t => t.lookup(columns, hashes, out))
    }

    /// The keys of `groups` (which must be live), as columns of the table's types.
    ///
    /// # Errors
    /// An encoded key cannot be read back.
    pub fn keys(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        each!(&self.shape, t => t.keys(groups))
    }

    /// The hashes of the keys of `groups` (which must be live): computed again, so not free.
    ///
    /// # Errors
    /// As `keys`.
    pub fn hashes_of(&self, groups: &[u32]) -> Result<Vec<u64>> {
        let mut hashes = Vec::new();
        hash_columns(&self.keys(groups)?, groups.len(), &mut hashes)?;
        Ok(hashes)
    }

    /// Forgets `groups` (live, each once); their numbers will be used again.
    ///
    /// # Errors
    /// As `keys`.
    pub fn remove(&mut self, groups: &[u32]) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        if groups.len() == self.len() {
            self.clear();
            return Ok(());
        }
        let hashes = self.hashes_of(groups)?;
        each!(&mut self.shape, t => t.remove(groups, &hashes));
        Ok(())
    }

    /// Forgets everything; group numbers start at 0 again.
    pub fn clear(&mut self) {
        each!(&mut self.shape, t => t.clear());
    }

    /// The live groups, in no particular order.
    pub fn groups(&self) -> Vec<u32> {
        each!(&self.shape, t => t.groups())
    }

    /// Number of live groups.
    pub fn len(&self) -> usize {
        each!(&self.shape, t => t.len())
    }

    /// No group is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every group number ever given is below this; per-group vectors have this length.
    pub fn capacity(&self) -> usize {
        each!(&self.shape, t => t.capacity())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        each!(&self.shape, t => t.bytes())
    }

    /// The types of the key columns.
    pub fn types(&self) -> &[DataType] {
        &self.types
    }

    fn check(&self, columns: &[ArrayRef]) -> Result<()> {
        let fits =
            columns.len() == self.types.len() && columns.iter().zip(&self.types).all(|(c, t)| c.data_type() == t);
        if fits {
            return Ok(());
        }
        let given: Vec<&DataType> = columns.iter().map(|c| c.data_type()).collect();
        Err(Error::Internal(format!("key columns of {given:?} for a table of {:?}", self.types)))
    }
}

/// The group for a new key: a freed one, or the next after `capacity`.
fn next_group(free: &mut Vec<u32>, capacity: usize) -> Result<u32> {
    if let Some(group) = free.pop() {
        return Ok(group);
    }
    match u32::try_from(capacity) {
        Ok(group) if group != KeyTable::ABSENT => Ok(group),
        _ => Err(Error::Unsupported("more than four billion keys in one operator; use more workers".into())),
    }
}

/// `column` with −0 as 0 and every NaN the same, if it holds floats.
fn normalised(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            std::sync::Arc::new(values.unary::<_, Float32Type>(|v| if v.is_nan() { f32::NAN } else { v + 0.0 }))
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            std::sync::Arc::new(values.unary::<_, Float64Type>(|v| if v.is_nan() { f64::NAN } else { v + 0.0 }))
        }
        _ => std::sync::Arc::clone(column),
    }
}

/// Which of the columns `key` of an input say on which worker a key is, as places within `key`: those by which the input's
/// rows were divided, or all of them.
pub(crate) fn placed_by(input: &Properties, key: &[usize]) -> Vec<usize> {
    let all = || (0..key.len()).collect();
    match &input.distribution {
        Distribution::Hash(columns) => {
            columns.iter().map(|c| key.iter().position(|k| k == c)).collect::<Option<_>>().unwrap_or_else(all)
        }
        Distribution::Any | Distribution::Single => all(),
    }
}
