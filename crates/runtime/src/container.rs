//! `Chunk`: how a `DeltaBatch` travels on Timely's edges. Within a process it moves as `Arc`s; between processes as
//! Arrow IPC. It must not know what the rows mean.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use thalweg_core::DeltaBatch;
use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::dataflow::channels::ContainerBytes;

/// At most one batch; Timely counts its rows for progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk(pub Option<DeltaBatch>);

impl Chunk {
    pub fn new(batch: DeltaBatch) -> Self {
        Self(Some(batch))
    }

    /// Takes the batch out.
    pub fn take(&mut self) -> Option<DeltaBatch> {
        self.0.take()
    }
}

impl Accountable for Chunk {
    fn record_count(&self) -> i64 {
        self.0.as_ref().map_or(0, |b| i64::try_from(b.num_rows()).expect("a batch has fewer than 2^63 rows"))
    }
}

const WEIGHT: &str = "$weight";

impl ContainerBytes for Chunk {
    fn from_bytes(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self(None);
        }
        Self(Some(decode(&bytes)))
    }

    fn length_in_bytes(&self) -> usize {
        let mut counter = Counter(0);
        self.into_bytes(&mut counter);
        counter.0
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let Some(batch) = &self.0 else { return };
        let mut counter = Counted { inner: writer, written: 0 };
        encode(batch, &mut counter);
        let padding = counter.written.next_multiple_of(8) - counter.written;
        writer.write_all(&[0u8; 8][..padding]).expect("Timely sized the buffer");
    }
}

fn encode(batch: &DeltaBatch, writer: &mut impl Write) {
    let rows = match &batch.weights {
        None => batch.rows.clone(),
        Some(weights) => {
            let schema = batch.rows.schema();
            let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
            fields.push(Arc::new(Field::new(WEIGHT, DataType::Int64, false)));
            let mut columns = batch.rows.columns().to_vec();
            columns.push(Arc::new(weights.clone()) as ArrayRef);
            RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("one weight a row")
        }
    };
    let mut stream = StreamWriter::try_new(writer, &rows.schema()).expect("a schema can be written");
    stream.write(&rows).expect("a batch can be written to memory");
    stream.finish().expect("a stream can be closed in memory");
}

fn decode(bytes: &[u8]) -> DeltaBatch {
    let mut stream = StreamReader::try_new(bytes, None).expect("a peer of the same version wrote it");
    let rows = stream.next().expect("one batch a message").expect("a peer of the same version wrote it");
    let last = rows.num_columns().wrapping_sub(1);
    let weighted = rows.schema().fields().last().is_some_and(|f| f.name() == WEIGHT);
    if !weighted {
        return DeltaBatch::insert(rows);
    }
    let weights = rows.column(last).as_primitive::<Int64Type>().clone();
    let rest: Vec<usize> = (0..last).collect();
    DeltaBatch::new(rows.project(&rest).expect("columns exist"), Some(weights))
}

/// Counts bytes and drops them.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0 += buf.len();
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Counts bytes and passes them on.
struct Counted<'a, W> {
    inner: &'a mut W,
    written: usize,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.inner.write_all(buf)?;
        self.written += buf.len();
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};
    use timely::bytes::arc::BytesMut;

    use super::*;

    fn round_trip(chunk: &Chunk) -> Chunk {
        let mut bytes = Vec::new();
        chunk.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), chunk.length_in_bytes());
        assert_eq!(bytes.len() % 8, 0, "Timely aligns messages to words");
        let length = bytes.len();
        Chunk::from_bytes(BytesMut::from(bytes).extract_to(length))
    }

    #[test]
    fn a_chunk_survives_the_way_between_processes() {
        let rows = RecordBatch::try_from_iter([
            ("k", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef),
            ("s", Arc::new(StringViewArray::from(vec!["a", "", "longer than twelve bytes"])) as ArrayRef),
        ])
        .expect("equal lengths");
        for weights in [None, Some(Int64Array::from(vec![1, -1, 2]))] {
            let chunk = Chunk::new(DeltaBatch::new(rows.clone(), weights.clone()));
            let back = round_trip(&chunk).take().expect("one batch");
            assert_eq!(back.rows, rows);
            assert_eq!(back.weights, weights);
        }
        assert!(round_trip(&Chunk::default()).0.is_none());
    }
}
