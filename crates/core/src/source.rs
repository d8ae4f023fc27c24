//! `Source`, `Split`, `SplitReader`: how rows enter. Readers are pulled by a worker and never start threads of
//! their own unless the client library does. They must not know epochs, watermarks' meaning or SQL.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::{Result, Watermark};

/// Where a split's reader stands: its meaning belongs to the source (a byte, a row, a Kafka offset).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// Behind the last row of a split of which nothing more will come.
    pub const END: Self = Self(u64::MAX);
}

/// A part of a source that one reader reads in order: a Parquet row group, a byte range of a file, a partition.
#[derive(Clone, Debug)]
pub struct Split {
    /// Unique within the source and stable across restarts.
    pub id: Arc<str>,
    /// A known lower bound of the event times inside (Parquet statistics); holds the watermark until it is read.
    pub lower_bound: Option<Watermark>,
}

/// A source as planned: it can say how it is split and open a reader for each part.
pub trait Source: Send + Sync {
    /// The columns that its readers yield, after projection.
    fn schema(&self) -> SchemaRef;

    /// Its splits in the order in which they should be read (event-time order where known). A source that is not
    /// bounded is to be asked again from time to time: it then also names the splits that have appeared since.
    ///
    /// # Errors
    /// The files or partitions cannot be listed.
    fn splits(&self) -> Result<Vec<Split>>;

    /// Opens `split` at `from`.
    ///
    /// # Errors
    /// The split cannot be opened.
    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>>;

    /// Every split ends by itself.
    fn bounded(&self) -> bool;

    /// Called before anything else after a restart: how far its splits were read before.
    ///
    /// # Errors
    /// What was read is no longer what is there.
    fn resume(&self, _offsets: &BTreeMap<Arc<str>, Offset>) -> Result<()> {
        Ok(())
    }

    /// How many of its splits a worker reads side by side.
    fn side_by_side(&self) -> usize {
        if self.bounded() { 1 } else { usize::MAX }
    }

    /// A split that was read to its end and that it no longer names will never be named again: how far it was read need
    /// not be known any more.
    fn forgets(&self) -> bool {
        false
    }

    /// It knows itself what belongs to the open epoch: at the end of each it is read until it has no more.
    fn ends_with_epochs(&self) -> bool {
        false
    }
}

/// A row that could not be decoded.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The bytes as they came, cut to [`DeadLetter::MAX_RAW_BYTES`].
    pub raw: Vec<u8>,
    /// File, topic or address.
    pub origin: Arc<str>,
    /// Byte or record offset in `origin`.
    pub offset: u64,
    /// What was wrong, for a person.
    pub reason: String,
}

impl DeadLetter {
    /// At most this many bytes of a rejected row are kept (64 KiB).
    pub const MAX_RAW_BYTES: usize = 64 * 1024;
}

/// The schema of `<source>$dead`.
pub fn dead_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("raw", DataType::Binary, false),
            Field::new("origin", DataType::Utf8View, false),
            Field::new("offset", DataType::Int64, false),
            Field::new("reason", DataType::Utf8View, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// The column after a table's own that says what a row does to the rows before it, as the numbers of a plan's `Write`.
pub const WRITE_COLUMN: &str = "$write";

/// A table's columns, then [`WRITE_COLUMN`].
pub fn writes_schema(schema: &SchemaRef) -> SchemaRef {
    let write = Field::new(WRITE_COLUMN, DataType::Int8, false);
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([Arc::new(write)]).collect::<Vec<_>>()))
}

/// What a poll of a reader yields.
#[derive(Debug)]
pub enum Polled {
    /// Rows (possibly none) and the rejects beside them.
    Rows {
        /// Decoded rows in the source's schema.
        rows: RecordBatch,
        /// What could not be decoded.
        dead: Vec<DeadLetter>,
        /// Input bytes consumed.
        bytes: usize,
    },
    /// Nothing at the moment; ask again.
    Idle,
    /// The split has ended.
    End,
}

/// Reads one split in order. `poll` does not block longer than a disk read.
pub trait SplitReader: Send {
    /// Up to `max_rows` rows.
    ///
    /// # Errors
    /// The input fails as a whole (not a bad row: those are dead letters).
    fn poll(&mut self, max_rows: usize) -> Result<Polled>;

    /// The position after what `poll` has yielded.
    fn offset(&self) -> Offset;

    /// What it has is on its way: that nothing comes at the moment does not mean that the split is quiet.
    fn is_awaited(&self) -> bool {
        false
    }
}
