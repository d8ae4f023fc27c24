//! `Pipeline`: a compiled script and the ways to run it. It must not know command lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatch;
use thalweg_core::{Error, Result, Sink};
use thalweg_runtime::{RunConfig, RunStats};
use thalweg_sql::{CompileOptions, Compiled, Problem};

use crate::capture::{Captured, Ignored};
use crate::wiring;

/// A script, planned and ready to run.
#[derive(Debug)]
pub struct Pipeline {
    compiled: Compiled,
}

/// What to watch and to stop a run with.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its counters.
    pub stats: Arc<RunStats>,
    /// Set it to end the run in order: what was read is delivered.
    pub stop: Arc<AtomicBool>,
}

impl Pipeline {
    /// Plans `text`; `values` stand for `${KEY}`.
    ///
    /// # Errors
    /// Every problem of the script, with line and column.
    pub fn compile(text: &str, values: BTreeMap<String, String>) -> Result<Self, Vec<Problem>> {
        let options = CompileOptions { values, connectors: &wiring::Registry };
        Ok(Self { compiled: thalweg_sql::compile(text, &options)? })
    }

    /// The plan, as `EXPLAIN` prints it.
    pub fn explain(&self) -> String {
        thalweg_plan::explain(&self.compiled.plan)
    }

    /// What the queries will keep for ever.
    pub fn notices(&self) -> &[String] {
        &self.compiled.notices
    }

    /// The names of the sources, in the order of [`RunStats::sources`].
    pub fn sources(&self) -> Vec<String> {
        self.compiled.plan.sources.iter().map(|s| s.name.clone()).collect()
    }

    /// The names of the sinks, in the order of [`RunStats::sinks`].
    pub fn sinks(&self) -> Vec<String> {
        self.compiled.plan.sinks.iter().map(|s| s.spec.name.clone()).collect()
    }

    /// Counters and a stop switch for a run of this pipeline.
    pub fn running(&self) -> Running {
        let plan = &self.compiled.plan;
        let stats = Arc::new(RunStats::new(plan.sources.len(), plan.sinks.len()));
        Running { stats, stop: Arc::new(AtomicBool::new(false)) }
    }

    /// Runs until every source has ended or `running.stop` is set.
    ///
    /// # Errors
    /// The first failure of a source, an expression or a sink.
    pub fn run(self, config: RunConfig, running: &Running) -> Result<()> {
        let plan = Arc::new(self.compiled.plan.clone());
        let (modes, workers) = (self.compiled.modes.clone(), config.workers.max(1));
        let sinks = move |sink: usize, worker: usize| {
            let node = &plan.sinks[sink];
            let schema = Arc::clone(&plan.node(node.input).properties.schema);
            wiring::sink(node, schema, modes[sink], worker, workers)
        };
        self.start(Box::new(sinks), config, running)
    }

    /// Runs to the end and returns the rows of the last query of the script.
    ///
    /// # Errors
    /// As [`Pipeline::run`]; a script without a query.
    pub fn collect(self, config: RunConfig) -> Result<Vec<RecordBatch>> {
        let Some(last) = self.compiled.plan.sinks.len().checked_sub(1) else {
            return Err(Error::invalid("the script has no query"));
        };
        let captured = Captured::default();
        let of_last = captured.clone();
        let sinks = move |sink: usize, _worker: usize| -> Result<Box<dyn Sink>> {
            Ok(if sink == last { Box::new(of_last.clone()) } else { Box::new(Ignored) })
        };
        let running = self.running();
        self.start(Box::new(sinks), config, &running)?;
        Ok(captured.take())
    }

    fn start(self, sinks: Box<thalweg_runtime::Sinks>, config: RunConfig, running: &Running) -> Result<()> {
        let Compiled { plan, tables, .. } = self.compiled;
        let sources = plan
            .sources
            .iter()
            .map(|spec| wiring::source(spec, &tables, config.workers.max(1)))
            .collect::<Result<Vec<_>>>()?;
        thalweg_runtime::run(plan, sources, sinks, config, Arc::clone(&running.stats), Arc::clone(&running.stop))
    }
}
