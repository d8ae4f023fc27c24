//! The connectors as the planner and the runtime want them. It must not know SQL or Timely.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_connectors::memory::MemorySource;
use thalweg_connectors::{SinkRequest, SourceRequest};
use thalweg_core::{Options, Result, Sink, Source};
use thalweg_plan::{SinkNode, SourceSpec};
use thalweg_sql::{Connectors, SinkMode, SinkShape};

/// The registry, for the planner.
pub(crate) struct Registry;

impl Connectors for Registry {
    fn infer(&self, connector: &str, options: &Options) -> Result<SchemaRef> {
        thalweg_connectors::infer(connector, options)
    }

    fn writes(&self, connector: &str, options: &Options) -> Result<bool> {
        thalweg_connectors::writes(connector, options)
    }

    fn sink(&self, connector: &str, options: &Options) -> Result<SinkShape> {
        if thalweg_connectors::has_epoch_sink(connector) {
            return Ok(SinkShape { epochs: true, mode: None, single: false, discards: false });
        }
        let layout = thalweg_connectors::sink_layout(connector, options)?;
        let mode = layout.mode.map(|mode| match mode {
            thalweg_connectors::SinkMode::Append => SinkMode::Append,
            thalweg_connectors::SinkMode::Final => SinkMode::Final,
            thalweg_connectors::SinkMode::Changelog => SinkMode::Changelog,
        });
        Ok(SinkShape { epochs: false, mode, single: layout.single, discards: connector == "blackhole" })
    }
}

/// The registry, for the planner of one declaration: the columns that a connector finds are kept, and those that were found
/// before are not asked for again.
pub(crate) struct Inferring {
    known: Option<SchemaRef>,
    found: OnceLock<SchemaRef>,
}

impl Inferring {
    /// `known` are the columns that were found before.
    pub fn new(known: Option<SchemaRef>) -> Self {
        Self { known, found: OnceLock::new() }
    }

    /// The columns that a connector has found.
    pub fn found(self) -> Option<SchemaRef> {
        self.found.into_inner()
    }
}

impl Connectors for Inferring {
    fn infer(&self, connector: &str, options: &Options) -> Result<SchemaRef> {
        if let Some(known) = &self.known {
            return Ok(Arc::clone(known));
        }
        let found = Registry.infer(connector, options)?;
        Ok(Arc::clone(self.found.get_or_init(|| found)))
    }

    fn writes(&self, connector: &str, options: &Options) -> Result<bool> {
        Registry.writes(connector, options)
    }

    fn sink(&self, connector: &str, options: &Options) -> Result<SinkShape> {
        Registry.sink(connector, options)
    }
}

/// Makes the source of `spec`; `tables` holds the rows of the script's own tables.
pub(crate) fn source(
    spec: &SourceSpec,
    tables: &HashMap<String, Vec<RecordBatch>>,
    workers: usize,
) -> Result<Arc<dyn Source>> {
    if let Some(batches) = tables.get(&spec.name) {
        return Ok(Arc::new(MemorySource::new(&spec.declared, &spec.projection, batches)?));
    }
    let event_time = spec.watermark.and_then(|w| spec.projection.get(w.column).copied());
    thalweg_connectors::source(SourceRequest {
        name: spec.name.clone(),
        connector: spec.connector.clone(),
        options: spec.options.clone(),
        declared: Arc::clone(&spec.declared),
        projection: spec.projection.clone(),
        event_time,
        workers,
    })
}

/// Makes one worker's end of a sink.
pub(crate) fn sink(
    node: &SinkNode,
    schema: SchemaRef,
    mode: SinkMode,
    worker: usize,
    workers: usize,
) -> Result<Box<dyn Sink>> {
    thalweg_connectors::sink(SinkRequest {
        name: node.spec.name.clone(),
        connector: node.spec.connector.clone(),
        options: node.spec.options.clone(),
        schema,
        worker,
        workers,
        mode: match mode {
            SinkMode::Append => thalweg_connectors::SinkMode::Append,
            SinkMode::Final => thalweg_connectors::SinkMode::Final,
            SinkMode::Changelog => thalweg_connectors::SinkMode::Changelog,
        },
    })
}
