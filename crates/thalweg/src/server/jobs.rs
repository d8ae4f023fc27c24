//! From a planned job to what runs: relations, queues, connectors. It must not know statements.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::{Error, Offset, Source, SqlError};
use thalweg_plan::SourceSpec;
use thalweg_runtime::live::{Durable, JobInput, JobOutput, JobSpec};
use thalweg_sql::server::{JobPlan, JobSource, Oid};

use super::Running;
use super::reopening::Reopening;
use super::works::Works;
use crate::wiring;

/// Where the results of a job go.
pub(crate) enum End {
    /// Into relations, one a sink of the plan.
    Relations,
    /// Out.
    Connector,
    /// Into checkpoints, and out from there.
    Outbox,
}

/// Starts `plan` under the name `name`; checkpoints hold it as `oid`, if it is an object of the catalog.
///
/// # Errors
/// A source or sink cannot be opened; what it reads is not there; its saved state does not fit.
pub(crate) fn start(
    works: Works<'_>,
    name: &str,
    plan: JobPlan,
    end: End,
    oid: Option<Oid>,
) -> Result<Arc<Running>, SqlError> {
    let JobPlan { plan, sources, output, mode, .. } = plan;
    let workers = works.engine.workers();
    let durable = durable(works, &plan, &sources, oid, matches!(end, End::Outbox))?;
    let mut queue = None;
    let mut reopening = Vec::new();
    let mut inputs = Vec::new();
    let restored = durable.as_ref().and_then(|d| d.restored.clone());
    for (place, (spec, source)) in plan.sources.iter().zip(&sources).enumerate() {
        let offsets =
            || restored.as_ref().and_then(|r| Some(r.sources.get(place)?.offsets.clone())).unwrap_or_default();
        inputs.push(match source {
            JobSource::Object(oid) => JobInput::Relation(relation(works, *oid, &spec.name)?),
            JobSource::Connector => JobInput::Source(connected(works, spec, offsets(), &mut reopening)?),
            JobSource::Queue => {
                let (pushed, source) = works.engine.queue(Arc::clone(&spec.declared));
                queue = Some(pushed);
                JobInput::Source(source)
            }
        });
    }
    let mut relations = Vec::new();
    let outputs = plan.sinks.iter().enumerate().map(|(i, sink)| match end {
        End::Relations => {
            let schema = Arc::clone(&plan.node(sink.input).properties.schema);
            let first = i == 0;
            let key = output.key.clone().filter(|_| first);
            let passes = first && sources.contains(&JobSource::Queue) && plan.nodes.len() == 2;
            let relation = match passes && output.append_only {
                // A source keeps nothing: views of it are what is kept.
                true => works.engine.stream(schema),
                false => works.engine.relation(schema, key, !first || output.append_only),
            };
            relations.push(Arc::clone(&relation));
            JobOutput::Relation(relation)
        }
        End::Outbox => JobOutput::Outbox,
        End::Connector => {
            let (node, mode) = (sink.clone(), mode.unwrap_or(thalweg_sql::SinkMode::Changelog));
            let schema = Arc::clone(&plan.node(sink.input).properties.schema);
            JobOutput::Sink(Arc::new(move |worker| wiring::sink(&node, Arc::clone(&schema), mode, worker, workers)))
        }
    });
    let outputs = outputs.collect();
    let job = works.engine.add(JobSpec { name: name.to_owned(), plan, inputs, outputs, durable })?;
    Ok(Arc::new(Running { job, relations, queue, reopening, turn: Arc::default() }))
}

/// The source of a connector, which was read up to `offsets` before. At a start one that cannot be opened holds up nothing but what reads it.
fn connected(
    works: Works<'_>,
    spec: &SourceSpec,
    offsets: BTreeMap<Arc<str>, Offset>,
    reopening: &mut Vec<Arc<Reopening>>,
) -> Result<Arc<dyn Source>, SqlError> {
    let workers = works.engine.workers();
    if !works.is_starting {
        return Ok(wiring::source(spec, &Default::default(), workers)?);
    }
    let of = spec.clone();
    let open = move || {
        let source = wiring::source(&of, &Default::default(), workers)?;
        source.resume(&offsets)?;
        source.splits().map(|_| source)
    };
    match open() {
        Ok(source) => Ok(source),
        Err(error) => {
            let schema = Arc::new(spec.declared.project(&spec.projection).map_err(Error::from)?);
            let later = Reopening::begin(&spec.name, schema, &error, Box::new(open))?;
            reopening.push(Arc::clone(&later));
            Ok(later)
        }
    }
}

/// What checkpoints know a job by, and what the last one held of it.
fn durable(
    works: Works<'_>,
    plan: &thalweg_plan::Plan,
    sources: &[JobSource],
    oid: Option<Oid>,
    delivers: bool,
) -> Result<Option<Durable>, SqlError> {
    let Some((oid, keeper)) = oid.zip(works.keeper) else { return Ok(None) };
    let inputs = sources.iter().filter_map(|source| match source {
        JobSource::Object(oid) => works.running(*oid),
        JobSource::Connector | JobSource::Queue => None,
    });
    let inputs: Vec<_> = inputs.collect();
    // What reads from a job that begins anew gets all of it again, so it must begin anew as well.
    let whole = inputs.iter().all(|input| input.job.spec.durable.as_ref().is_some_and(|d| d.restored.is_some()));
    // What was delivered cannot be taken back, and what has passed does not pass again.
    let passes = inputs.iter().flat_map(|input| input.relations.first()).any(|relation| !relation.kept);
    let is_computed = sources.iter().all(|source| matches!(source, JobSource::Object(_)));
    let can_begin_anew = !delivers && !passes && is_computed;
    keeper.restored(oid, plan, whole, can_begin_anew).map(Some)
}

fn relation(works: Works<'_>, oid: Oid, name: &str) -> Result<Arc<thalweg_runtime::live::Relation>, SqlError> {
    let running = works.running(oid);
    running
        .and_then(|r| r.relations.first().cloned())
        .ok_or_else(|| SqlError::from(thalweg_core::Error::Internal(format!("what {name} stands for does not run"))))
}
