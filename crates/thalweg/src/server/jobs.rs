//! From a planned job to what runs: relations, queues, connectors. It must not know statements.

use std::sync::{Arc, Mutex};

use thalweg_core::SqlError;
use thalweg_runtime::live::{JobInput, JobOutput, JobSpec};
use thalweg_sql::server::{JobPlan, JobSource, Oid};
use thalweg_store::Log;

use super::{Running, Server};
use crate::wiring;

/// Where the results of a job go.
pub(crate) enum End {
    /// Into relations, one a sink of the plan.
    Relations,
    /// Out.
    Connector,
}

/// Starts `plan` under the name `name`.
///
/// # Errors
/// A source or sink cannot be opened; what it reads is not there.
pub(crate) fn start(server: &Server, name: &str, plan: JobPlan, end: End) -> Result<Arc<Running>, SqlError> {
    let JobPlan { plan, sources, output, mode, .. } = plan;
    let workers = server.engine.workers();
    let mut queue = None;
    let mut inputs = Vec::new();
    for (spec, source) in plan.sources.iter().zip(&sources) {
        inputs.push(match source {
            JobSource::Object(oid) => JobInput::Relation(relation(server, *oid, &spec.name)?),
            JobSource::Connector => JobInput::Source(wiring::source(spec, &Default::default(), workers)?),
            JobSource::Queue => {
                let (pushed, source) = server.engine.queue(Arc::clone(&spec.declared));
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
            let relation = server.engine.relation(schema, key, !first || output.append_only);
            relations.push(Arc::clone(&relation));
            JobOutput::Relation(relation)
        }
        End::Connector => {
            let (node, mode) = (sink.clone(), mode.unwrap_or(thalweg_sql::SinkMode::Changelog));
            let schema = Arc::clone(&plan.node(sink.input).properties.schema);
            JobOutput::Sink(Arc::new(move |worker| wiring::sink(&node, Arc::clone(&schema), mode, worker, workers)))
        }
    });
    let outputs = outputs.collect();
    let job = server.engine.add(JobSpec { name: name.to_owned(), plan, inputs, outputs })?;
    Ok(Arc::new(Running { job, relations, queue, turn: Arc::default(), log: None }))
}

/// `running` with a log behind its queue.
pub(crate) fn with_log(running: Arc<Running>, log: Option<Log>) -> Arc<Running> {
    let Some(log) = log else { return running };
    let Running { job, relations, queue, turn, .. } = running.as_ref();
    let (job, relations, queue, turn) = (Arc::clone(job), relations.clone(), queue.clone(), Arc::clone(turn));
    Arc::new(Running { job, relations, queue, turn, log: Some(Mutex::new(log)) })
}

fn relation(server: &Server, oid: Oid, name: &str) -> Result<Arc<thalweg_runtime::live::Relation>, SqlError> {
    let running = server.running(oid);
    running
        .and_then(|r| r.relations.first().cloned())
        .ok_or_else(|| SqlError::from(thalweg_core::Error::Internal(format!("what {name} stands for does not run"))))
}
