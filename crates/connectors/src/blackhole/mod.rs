//! `blackhole`: a sink that drops everything, for timing. It must not know what the rows are.

use thalweg_core::{DeltaBatch, EpochHeader, Options, Result, Sink};

use crate::registry::{SinkLayout, SinkRequest, take_mode};

/// Counts rows and drops them.
#[derive(Debug, Default)]
struct Blackhole {
    rows: u64,
    epochs: u64,
}

/// The sink of one worker.
pub(crate) fn sink(request: SinkRequest) -> Result<Box<dyn Sink>> {
    layout(request.options)?;
    Ok(Box::new(Blackhole::default()))
}

/// It takes any mode, on every worker.
pub(crate) fn layout(mut options: Options) -> Result<SinkLayout> {
    // What the file and stdout sinks need is accepted, so that a pipeline can be timed by changing the connector alone.
    for key in ["path", "format", "compression"] {
        options.take(key);
    }
    let mode = take_mode(&mut options)?;
    options.finish()?;
    Ok(SinkLayout { mode, single: false })
}

impl Sink for Blackhole {
    fn write(&mut self, delta: &DeltaBatch) -> Result<()> {
        self.rows += delta.num_rows() as u64;
        Ok(())
    }

    fn commit(&mut self, _header: &EpochHeader) -> Result<()> {
        self.epochs += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};

    use super::*;

    #[test]
    fn it_counts_what_it_drops() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let rows = RecordBatch::try_from_iter([("a", column)]).expect("one column");
        let mut hole = Blackhole::default();
        hole.write(&DeltaBatch::insert(rows)).expect("takes all");
        hole.finish().expect("nothing to do");
        assert_eq!(hole.rows, 3);
    }
}
