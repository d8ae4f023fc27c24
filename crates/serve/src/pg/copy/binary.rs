//! COPY's binary format to rows, however the bytes are cut into messages. It must not know sessions.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use postgres_types::Type;
use thalweg_core::SqlError;

use super::super::decode::{fit, read_binary};
use super::super::types::type_of;
use super::values::read_column;
use super::{BATCH_BYTES, BATCH_ROWS, batch, malformed};

/// What the data begins with.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The signature, the flags and the length of the extension.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// The upper half of the flags: what a reader must understand. None are known.
const CRITICAL_FLAGS: u32 = 0xffff_0000;

/// Reads tuples into typed columns, batch by batch.
pub(super) struct BinaryReader {
    schema: SchemaRef,
    types: Vec<Type>,
    max_tuple_bytes: usize,
    pending: Vec<u8>,
    at: usize,
    /// Nothing more can be read before there is as much as this from `at` on.
    wanted: usize,
    header: bool,
    ended: bool,
    columns: Vec<Vec<ArrayRef>>,
    rows: usize,
    bytes: usize,
    line: u64,
}

impl BinaryReader {
    pub(super) fn new(schema: SchemaRef, max_tuple_bytes: usize) -> Self {
        Self {
            types: schema.fields().iter().map(|field| type_of(field)).collect(),
            columns: vec![Vec::new(); schema.fields().len()],
            schema,
            max_tuple_bytes,
            pending: Vec::new(),
            at: 0,
            wanted: 0,
            header: true,
            ended: false,
            rows: 0,
            bytes: 0,
            line: 1,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.at);
        self.at = 0;
        self.pending.extend_from_slice(bytes);
    }

    pub(super) fn next(&mut self, last: bool) -> Result<Option<RecordBatch>, SqlError> {
        while self.rows < BATCH_ROWS && self.bytes < BATCH_BYTES && self.pending.len() > self.at {
            if self.ended {
                return Err(malformed("received copy data after EOF marker"));
            }
            let left = self.pending.len() - self.at;
            let read = if left < self.wanted { Err(Stop::Short(self.wanted)) } else { self.step() };
            match read {
                Ok(length) => (self.at, self.wanted) = (self.at + length, 0),
                Err(Stop::Wrong(error)) => return Err(error.detail(format!("COPY, line {}", self.line))),
                Err(Stop::Short(_)) if last => return Err(malformed("unexpected EOF in COPY data")),
                Err(Stop::Short(wanted)) if wanted > self.max_tuple_bytes => {
                    return Err(malformed(format!("a row is longer than {} bytes", self.max_tuple_bytes)));
                }
                Err(Stop::Short(wanted)) => {
                    self.wanted = wanted;
                    break;
                }
            }
        }
        if last && self.header {
            return Err(malformed("COPY file signature not recognized"));
        }
        let full = self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES;
        if self.rows == 0 || !(full || last) { Ok(None) } else { self.finish().map(Some) }
    }

    /// Reads the header or a tuple; returns its length.
    fn step(&mut self) -> Result<usize, Stop> {
        let mut rest = Rest { bytes: &self.pending[self.at..], read: 0 };
        if self.header {
            let head = rest.take(HEADER_BYTES)?;
            let (signature, numbers) = head.split_at(SIGNATURE.len());
            if signature != SIGNATURE {
                return Err(malformed("COPY file signature not recognized").into());
            }
            let [f0, f1, f2, f3, numbers @ ..] = numbers else { return Err(Stop::Short(HEADER_BYTES)) };
            if u32::from_be_bytes([*f0, *f1, *f2, *f3]) & CRITICAL_FLAGS != 0 {
                return Err(malformed("unrecognized critical flags in COPY file header").into());
            }
            let extension: [u8; 4] = numbers.try_into().map_err(|_| Stop::Short(HEADER_BYTES))?;
            let extension = usize::try_from(i32::from_be_bytes(extension));
            rest.take(extension.map_err(|_| malformed("invalid COPY file header (wrong length)"))?)?;
            self.header = false;
            return Ok(rest.read);
        }
        let count = i16::from_be_bytes(rest.fixed()?);
        if count == -1 {
            self.ended = true;
            return Ok(rest.read);
        }
        if usize::try_from(count) != Ok(self.types.len()) {
            let message = format!("row field count is {count}, expected {}", self.types.len());
            return Err(malformed(message).into());
        }
        // Values are kept only once the tuple is whole.
        let mut values = Vec::with_capacity(self.types.len());
        for _ in &self.types {
            values.push(match i32::from_be_bytes(rest.fixed()?) {
                -1 => None,
                length => {
                    let length = usize::try_from(length).map_err(|_| malformed("invalid field size"))?;
                    Some(rest.take(length)?)
                }
            });
        }
        let mut arrays = Vec::with_capacity(self.types.len());
        for ((value, own), field) in values.into_iter().zip(&self.types).zip(self.schema.fields()) {
            arrays.push(match value {
                None => new_null_array(field.data_type(), 1),
                Some(bytes) => {
                    let read = read_binary(own, bytes)?;
                    if *read.data_type() == DataType::Utf8 && *field.data_type() != DataType::Utf8 {
                        read_column(read.as_string::<i32>(), field).map_err(|wrong| wrong.error)?
                    } else {
                        fit(read, field.data_type())?
                    }
                }
            });
        }
        let length = rest.read;
        self.columns.iter_mut().zip(arrays).for_each(|(column, value)| column.push(value));
        self.rows += 1;
        self.line += 1;
        self.bytes += length;
        Ok(length)
    }

    fn finish(&mut self) -> Result<RecordBatch, SqlError> {
        let (rows, mut columns) = (self.rows, Vec::with_capacity(self.columns.len()));
        (self.rows, self.bytes) = (0, 0);
        for column in &mut self.columns {
            let values = std::mem::take(column);
            let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
            columns.push(concat(&values).map_err(|error| malformed(error.to_string()))?);
        }
        batch(&self.schema, columns, rows)
    }
}

/// Why nothing could be read.
enum Stop {
    /// So many bytes must be there first.
    Short(usize),
    Wrong(SqlError),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Wrong(error)
    }
}

struct Rest<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let end = self.read.saturating_add(length);
        let taken = self.bytes.get(self.read..end).ok_or(Stop::Short(end))?;
        self.read = end;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let wanted = self.read + N;
        self.take(N)?.try_into().map_err(|_| Stop::Short(wanted))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn reader() -> BinaryReader {
        let fields = vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8View, false)];
        BinaryReader::new(Arc::new(Schema::new(fields)), 1000)
    }

    fn read(tuples: &[u8]) -> Result<usize, SqlError> {
        let mut reader = reader();
        reader.push(&[SIGNATURE, &[0; 8][..], tuples].concat());
        let rows = reader.next(true)?.map_or(0, |batch| batch.num_rows());
        Ok(rows)
    }

    const GOOD: &[u8] = b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x01x";

    #[test]
    fn tuples_with_and_without_a_trailer() {
        assert_eq!(read(&[GOOD, GOOD, b"\xff\xff"].concat()), Ok(2));
        assert_eq!(read(GOOD), Ok(1));
        assert_eq!(read(b""), Ok(0));
    }

    #[test]
    fn broken_tuples_are_refused() {
        let message = |tuples: &[u8]| read(tuples).expect_err("refused").message;
        assert_eq!(message(&GOOD[..GOOD.len() - 1]), "unexpected EOF in COPY data");
        assert_eq!(message(b"\0\x01\0\0\0\x04\0\0\0\x07"), "row field count is 1, expected 2");
        assert_eq!(message(&[GOOD, b"\xff\xff", GOOD].concat()), "received copy data after EOF marker");
        assert_eq!(message(b"\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xfe"), "invalid field size");
        let mut patient = reader();
        patient.push(&[SIGNATURE, &[0; 8][..], b"\0\x02\x7f\xff\xff\xff"].concat());
        assert_eq!(patient.next(false).expect_err("too long").message, "a row is longer than 1000 bytes");
    }

    #[test]
    fn a_null_in_a_column_without_nulls_is_refused() {
        let error = read(b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff").expect_err("refused");
        assert_eq!(error.state, thalweg_core::SqlState::NOT_NULL_VIOLATION);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tuples in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&tuples);
            let _ = read(&[GOOD, &tuples].concat());
        }
    }
}
