//! The registry: which connectors exist and how to make their sources and sinks. It must not know what they do.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use thalweg_core::{EpochSink, Error, Options, Result, Sink, Source};
use thalweg_disk::Disk;

#[cfg(feature = "kafka")]
use crate::kafka;
#[cfg(feature = "notify")]
use crate::notify;
#[cfg(feature = "postgres")]
use crate::postgres;
#[cfg(feature = "redis")]
use crate::redis;
use crate::{blackhole, datagen, file, lake, nexmark, stdout};

/// A source to be made.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// Its name in SQL, for messages.
    pub name: String,
    /// The connector's name.
    pub connector: String,
    /// `WITH (…)` without `connector`.
    pub options: Options,
    /// All columns, as declared or inferred.
    pub declared: SchemaRef,
    /// The columns of `declared` to read, in the order in which they are wanted.
    pub projection: Vec<usize>,
    /// The column of `declared` that carries the watermark, if any.
    pub event_time: Option<usize>,
    /// How many workers will read.
    pub workers: usize,
}

impl SourceRequest {
    /// The schema of the columns that are read.
    ///
    /// # Errors
    /// A projected column does not exist.
    pub fn projected(&self) -> Result<SchemaRef> {
        Ok(Arc::new(self.declared.project(&self.projection)?))
    }
}

/// What of a changing result a sink gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkMode {
    /// Insertions only, as they come.
    Append,
    /// The rows that stand when the input has ended.
    Final,
    /// Every change, with its weight and epoch.
    Changelog,
}

/// A sink to be made: one worker's end of it.
#[derive(Clone, Debug)]
pub struct SinkRequest {
    /// Its name in SQL, for messages.
    pub name: String,
    /// The connector's name.
    pub connector: String,
    /// `WITH (…)` without `connector`.
    pub options: Options,
    /// The columns it gets.
    pub schema: SchemaRef,
    /// Which worker's end.
    pub worker: usize,
    /// How many ends there are.
    pub workers: usize,
    /// What it gets.
    pub mode: SinkMode,
}

/// What the engine must know of a sink before it plans the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkLayout {
    /// The `mode` option, if given; otherwise append for append-only input and final for the rest.
    pub mode: Option<SinkMode>,
    /// All rows must reach one worker.
    pub single: bool,
}

/// A sink to be made whose target keeps its progress.
#[derive(Clone, Debug)]
pub struct EpochSinkRequest {
    /// Its name in SQL, for messages.
    pub name: String,
    /// Names it at its target: stable across restarts, unique in the cluster.
    pub id: String,
    /// Names the cluster at its targets.
    pub cluster: String,
    /// The connector's name.
    pub connector: String,
    /// `WITH (…)` without `connector`.
    pub options: Options,
    /// The columns it gets.
    pub schema: SchemaRef,
    /// Columns of which no two rows of the stream have the same values, if there are such.
    pub key: Option<Vec<usize>>,
    /// The stream never takes a row back.
    pub append_only: bool,
    /// The data directory, for sinks whose targets do not keep their progress; `None` if there is none.
    pub disk: Option<Arc<dyn Disk>>,
}

/// Makes a source.
type MakeSource = fn(SourceRequest) -> Result<Arc<dyn Source>>;
/// Finds a schema by looking at the data.
type Infer = fn(Options) -> Result<SchemaRef>;
/// Whether each row of a source says what it does.
type Writes = fn(Options) -> Result<bool>;
/// Makes one worker's end of a sink.
type MakeSink = fn(SinkRequest) -> Result<Box<dyn Sink>>;
/// Makes a sink whose target keeps its progress.
type MakeEpochSink = fn(EpochSinkRequest) -> Result<Box<dyn EpochSink>>;
/// Reads the options of a sink that concern the engine, and refuses wrong ones.
type Layout = fn(Options) -> Result<SinkLayout>;

/// One line of the registry.
struct Connector {
    name: &'static str,
    source: Option<(MakeSource, Infer)>,
    writes: Option<Writes>,
    sink: Option<(MakeSink, Layout)>,
    epoch_sink: Option<MakeEpochSink>,
}

impl Connector {
    /// One that can do nothing yet.
    const fn named(name: &'static str) -> Self {
        Self { name, source: None, writes: None, sink: None, epoch_sink: None }
    }
}

/// Every connector, by name.
static CONNECTORS: &[Connector] = &[
    Connector { sink: Some((blackhole::sink, blackhole::layout)), ..Connector::named("blackhole") },
    Connector { source: Some((datagen::source, datagen::infer)), ..Connector::named("datagen") },
    #[cfg(feature = "notify")]
    Connector { epoch_sink: Some(notify::email), ..Connector::named("email") },
    Connector {
        source: Some((file::source, file::infer)),
        sink: Some((file::sink, file::sink_layout)),
        ..Connector::named("file")
    },
    #[cfg(feature = "kafka")]
    Connector {
        source: Some((kafka::source, kafka::infer)),
        writes: Some(kafka::writes),
        epoch_sink: Some(kafka::epoch_sink),
        ..Connector::named("kafka")
    },
    Connector { epoch_sink: Some(lake::epoch_sink), ..Connector::named("lake") },
    #[cfg(feature = "notify")]
    Connector { epoch_sink: Some(notify::log), ..Connector::named("log") },
    Connector { source: Some((nexmark::source, nexmark::infer)), ..Connector::named("nexmark") },
    #[cfg(feature = "postgres")]
    Connector { epoch_sink: Some(postgres::epoch_sink), ..Connector::named("postgres") },
    #[cfg(feature = "redis")]
    Connector { epoch_sink: Some(redis::epoch_sink), ..Connector::named("redis") },
    #[cfg(feature = "notify")]
    Connector { epoch_sink: Some(notify::slack), ..Connector::named("slack") },
    Connector { sink: Some((stdout::sink, stdout::layout)), ..Connector::named("stdout") },
    #[cfg(feature = "notify")]
    Connector { epoch_sink: Some(notify::webhook), ..Connector::named("webhook") },
];

/// Makes the source that `request` describes.
///
/// # Errors
/// An unknown connector or option, or a source that cannot be reached or does not fit the declared columns.
pub fn source(request: SourceRequest) -> Result<Arc<dyn Source>> {
    let (make, _) = find(&request.connector, "source", |c| c.source)?;
    let name = request.name.clone();
    make(request).map_err(|e| in_context("source", &name, e))
}

/// The columns of a source that was declared without any.
///
/// # Errors
/// As [`source`], and a connector whose data do not tell their columns.
pub fn infer(connector: &str, options: &Options) -> Result<SchemaRef> {
    let (_, infer) = find(connector, "source", |c| c.source)?;
    infer(options.clone())
}

/// Whether each row of a source says what it does to the rows before it, in a column `$write` after the others.
///
/// # Errors
/// As [`source`].
pub fn writes(connector: &str, options: &Options) -> Result<bool> {
    let wanted = connector.trim().to_lowercase();
    let writes = CONNECTORS.iter().find(|c| c.name == wanted).and_then(|c| c.writes);
    writes.map_or(Ok(false), |writes| writes(options.clone()))
}

/// The connector tells people, and takes the options `alert.name` and `alert.severity`.
pub fn is_notifier(connector: &str) -> bool {
    ["webhook", "slack", "email", "log"].contains(&connector)
}

/// Makes one worker's end of the sink that `request` describes.
///
/// # Errors
/// An unknown connector or option, or a target that cannot be written.
pub fn sink(request: SinkRequest) -> Result<Box<dyn Sink>> {
    let (make, _) = find(&request.connector, "sink", |c| c.sink)?;
    let name = request.name.clone();
    make(request).map_err(|e| in_context("sink", &name, e))
}

/// Makes the sink that `request` describes. Nothing is connected before it is opened, so that a request can be made only
/// to see whether it is valid.
///
/// # Errors
/// An unknown connector or option, or options that do not fit the stream.
pub fn epoch_sink(request: EpochSinkRequest) -> Result<Box<dyn EpochSink>> {
    let make = find(&request.connector, "sink with progress", |c| c.epoch_sink)?;
    let name = request.name.clone();
    make(request).map_err(|e| in_context("sink", &name, e))
}

/// The connector has sinks that are made by [`epoch_sink`].
pub fn has_epoch_sink(connector: &str) -> bool {
    let wanted = connector.trim().to_lowercase();
    CONNECTORS.iter().any(|c| c.name == wanted && c.epoch_sink.is_some())
}

/// What the engine must know of a sink with these options; wrong options are refused here, before anything runs.
///
/// # Errors
/// An unknown connector or option.
pub fn sink_layout(connector: &str, options: &Options) -> Result<SinkLayout> {
    let (_, layout) = find(connector, "sink", |c| c.sink)?;
    layout(options.clone())
}

/// Takes the `mode` option that every sink has.
pub(crate) fn take_mode(options: &mut Options) -> Result<Option<SinkMode>> {
    const MODES: &[(&str, Option<SinkMode>)] = &[
        ("append", Some(SinkMode::Append)),
        ("final", Some(SinkMode::Final)),
        ("changelog", Some(SinkMode::Changelog)),
    ];
    options.choice("mode", MODES, None)
}

fn find<T>(name: &str, what: &str, part: impl Fn(&Connector) -> Option<T>) -> Result<T> {
    let wanted = name.trim().to_lowercase();
    let offers: Vec<&Connector> = CONNECTORS.iter().filter(|c| part(c).is_some()).collect();
    if let Some(connector) = offers.iter().find(|c| c.name == wanted) {
        return part(connector).ok_or_else(|| Error::Internal(format!("connector {wanted} lost its {what}")));
    }
    let names: Vec<&str> = offers.iter().map(|c| c.name).collect();
    if CONNECTORS.iter().any(|c| c.name == wanted) {
        return Err(Error::invalid_with_hint(
            format!("connector '{name}' cannot be used as a {what}"),
            format!("Connectors for a {what}: {}.", names.join(", ")),
        ));
    }
    let near = names
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&wanted, candidate), *candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match near {
        Some((_, near)) => format!("Did you mean '{near}'? Connectors for a {what}: {}.", names.join(", ")),
        None => format!("Connectors for a {what}: {}.", names.join(", ")),
    };
    Err(Error::invalid_with_hint(format!("unknown connector '{name}'"), hint))
}

/// Names the statement at fault; the kind of error stays.
fn in_context(what: &str, name: &str, error: Error) -> Error {
    match error {
        Error::Invalid { message, hint } => Error::Invalid { message: format!("{what} {name}: {message}"), hint },
        Error::Data(message) => Error::Data(format!("{what} {name}: {message}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_connector_is_refused_with_the_nearest_name() {
        let error = infer("fil", &Options::default()).expect_err("no such connector").to_string();
        assert!(error.contains("unknown connector 'fil'") && error.contains("Did you mean 'file'?"), "{error}");
        let error = sink_layout("zzz", &Options::default()).expect_err("no such connector").to_string();
        assert!(error.contains("Connectors for a sink: blackhole, file, stdout"), "{error}");
    }

    #[test]
    fn a_sink_is_not_a_source() {
        let error = infer("blackhole", &Options::default()).expect_err("a sink only").to_string();
        assert!(error.contains("connector 'blackhole' cannot be used as a source"), "{error}");
    }

    #[test]
    fn the_mode_is_read_and_a_wrong_one_refused() {
        let options = |mode: &str| Options::new([("mode".to_owned(), mode.to_owned())]);
        let layout = sink_layout("blackhole", &options("changelog")).expect("valid");
        assert_eq!(layout, SinkLayout { mode: Some(SinkMode::Changelog), single: false });
        let error = sink_layout("blackhole", &options("finl")).expect_err("misspelt").to_string();
        assert!(error.contains("Did you mean 'final'?"), "{error}");
    }
}
