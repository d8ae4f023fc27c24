//! `Narrowed`: a text source whose every declared column is decoded, so that which rows are bad does not depend on what
//! a query reads; only the wanted columns go on. It must not know formats.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Offset, Polled, Result, Source, Split, SplitReader};

/// Some columns of another source.
pub(super) struct Narrowed<S> {
    whole: S,
    projection: Arc<[usize]>,
    schema: SchemaRef,
}

impl<S: Source> Narrowed<S> {
    /// The columns `projection` of `whole`, in that order.
    pub fn new(whole: S, projection: Vec<usize>) -> Result<Self> {
        let schema = Arc::new(whole.schema().project(&projection)?);
        Ok(Self { whole, projection: projection.into(), schema })
    }
}

impl<S: Source> Source for Narrowed<S> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        self.whole.splits()
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        let whole = self.whole.open(split, from)?;
        Ok(Box::new(NarrowedReader { whole, projection: Arc::clone(&self.projection) }))
    }

    fn bounded(&self) -> bool {
        self.whole.bounded()
    }

    fn resume(&self, offsets: &BTreeMap<Arc<str>, Offset>) -> Result<()> {
        self.whole.resume(offsets)
    }

    fn side_by_side(&self) -> usize {
        self.whole.side_by_side()
    }

    fn forgets(&self) -> bool {
        self.whole.forgets()
    }
}

struct NarrowedReader {
    whole: Box<dyn SplitReader>,
    projection: Arc<[usize]>,
}

impl SplitReader for NarrowedReader {
    fn poll(&mut self, max_rows: usize) -> Result<Polled> {
        Ok(match self.whole.poll(max_rows)? {
            Polled::Rows { rows, dead, bytes } => Polled::Rows { rows: rows.project(&self.projection)?, dead, bytes },
            other => other,
        })
    }

    fn offset(&self) -> Offset {
        self.whole.offset()
    }

    fn is_awaited(&self) -> bool {
        self.whole.is_awaited()
    }
}
