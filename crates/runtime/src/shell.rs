//! The shell around an operator: turns Timely's frontier into the operator's epochs. Operators know nothing of it.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_core::{DeltaBatch, Epoch, Error, Result};
use thalweg_operators::{Operator, Output};
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};
use timely::progress::frontier::MutableAntichain;

use crate::budget::Gauge;
use crate::container::Chunk;
use crate::exchange::ByKey;
use crate::headers::Headers;
use crate::save::Saver;

pub(crate) type Deltas<'scope> = Stream<'scope, u64, Chunk>;

/// The first error of a run; every worker stops when there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure {
    failed: Arc<AtomicBool>,
    error: Arc<Mutex<Option<Error>>>,
}

impl Failure {
    pub fn set(&self, error: Error) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub fn take(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The error of a panic in `whom`.
pub(crate) fn panicked(whom: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::Internal(format!("{whom} panicked: {}", text.unwrap_or("without a word")))
}

/// How an input reaches the operator.
pub(crate) enum Route {
    /// From the same worker.
    Local,
    /// By the hash of these columns (none: all to worker 0).
    Keys(Vec<usize>),
}

/// Everything that a shell needs beside its operator.
#[derive(Clone)]
pub(crate) struct Context {
    pub headers: Headers,
    pub failure: Failure,
    /// The first epoch.
    pub start: u64,
    /// Where operators save what changed of their state, if it is kept.
    pub saver: Option<Saver>,
}

/// The epoch-keeping half of a shell, free of Timely's types.
struct EpochKeeper {
    operator: Box<dyn Operator>,
    open: u64,
    /// Deltas of epochs after the open one.
    early: BTreeMap<u64, Vec<(usize, DeltaBatch)>>,
    out: Output,
    /// Where its state is published, if it may have any.
    gauge: Option<Gauge>,
    /// Where its state is saved, and under which number.
    saver: Option<(Saver, usize)>,
}

impl EpochKeeper {
    fn take(&mut self, time: u64, port: usize, batch: DeltaBatch) -> Result<()> {
        if time == self.open {
            self.operator.on_delta(port, batch, &mut self.out)
        } else {
            self.early.entry(time).or_default().push((port, batch));
            Ok(())
        }
    }

    /// Ends the open epoch and begins the next.
    fn complete(&mut self, headers: &Headers) -> Result<()> {
        let header = headers
            .get(Epoch(self.open))
            .ok_or_else(|| Error::Internal(format!("epoch {} completed without a header", self.open)))?;
        self.operator.on_epoch(&header, &mut self.out)?;
        if let Some((saver, slot)) = self.saver.as_ref().filter(|_| header.checkpoint) {
            saver.save(*slot, self.operator.snapshot()?);
        }
        self.publish(true);
        Ok(())
    }

    fn publish(&self, epoch_ended: bool) {
        if let Some(gauge) = &self.gauge {
            gauge.publish(self.operator.as_ref(), epoch_ended);
        }
    }

    fn begin_next(&mut self) -> Result<()> {
        self.open += 1;
        for (port, batch) in self.early.remove(&self.open).unwrap_or_default() {
            self.operator.on_delta(port, batch, &mut self.out)?;
        }
        Ok(())
    }
}

/// Puts `operator` into the dataflow. `gauge` is where it publishes its state, if it may have any; `slot` is the number
/// under which that is saved.
pub(crate) fn install<'scope>(
    scope: Scope<'scope, u64>,
    name: &str,
    operator: Box<dyn Operator>,
    inputs: Vec<(Deltas<'scope>, Route)>,
    context: Context,
    gauge: Option<Gauge>,
    slot: Option<usize>,
) -> Deltas<'scope> {
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    type Puller = Box<dyn FnMut(&mut dyn FnMut(u64, DeltaBatch))>;
    let mut pullers: Vec<Puller> = Vec::new();
    for (stream, route) in inputs {
        match route {
            Route::Local => {
                let mut input = builder.new_input(stream, Pipeline);
                pullers.push(Box::new(move |take| input.for_each(|cap, chunk| pull(cap.least(), chunk, take))));
            }
            Route::Keys(keys) => {
                let pact = DistributorPact(move |peers| ByKey::new(keys, peers));
                let mut input = builder.new_input(stream, pact);
                pullers.push(Box::new(move |take| input.for_each(|cap, chunk| pull(cap.least(), chunk, take))));
            }
        }
    }
    let (output, stream) = builder.new_output::<Chunk>();
    let mut output = OutputBuilder::<u64, NoopBuilder<Chunk>>::from(output);
    builder.build(move |mut capabilities| {
        let mut capability = capabilities.pop();
        if let Some(capability) = &mut capability {
            capability.downgrade(&context.start);
        }
        let saver = context.saver.clone().zip(slot);
        let mut keeper =
            EpochKeeper { operator, open: context.start, early: BTreeMap::new(), out: Output::default(), gauge, saver };
        let result = Rc::new(RefCell::new(Ok(())));
        move |frontiers| {
            if context.failure.is_set() {
                capability = None;
                pullers.iter_mut().for_each(|pull| pull(&mut |_, _| {}));
                return;
            }
            let Some(cap) = capability.as_mut() else { return };
            // A defect in one operator must not end the worker, which runs others.
            let outcome = catch_unwind(AssertUnwindSafe(|| -> Result<bool> {
                for (port, pull) in pullers.iter_mut().enumerate() {
                    let result = Rc::clone(&result);
                    pull(&mut |time, batch| {
                        let mut result = result.borrow_mut();
                        if result.is_ok() {
                            *result = keeper.take(time, port, batch);
                        }
                    });
                }
                std::mem::replace(&mut *result.borrow_mut(), Ok(()))?;
                flush(&mut keeper.out, &mut output, cap);
                keeper.publish(false);
                advance(&mut keeper, frontiers, &context.headers, &mut output, cap)
            }));
            match outcome.unwrap_or_else(|panic| Err(panicked("an operator", panic.as_ref()))) {
                Ok(false) => {}
                Ok(true) => capability = None,
                Err(error) => {
                    context.failure.set(error);
                    capability = None;
                }
            }
        }
    });
    stream
}

fn pull(time: Option<&u64>, chunk: &mut Chunk, take: &mut dyn FnMut(u64, DeltaBatch)) {
    if let (Some(time), Some(batch)) = (time, chunk.take()) {
        take(*time, batch);
    }
}

/// Completes every epoch that the frontier has passed; true when the inputs have ended.
fn advance(
    keeper: &mut EpochKeeper,
    frontiers: &[MutableAntichain<u64>],
    headers: &Headers,
    output: &mut OutputBuilder<u64, NoopBuilder<Chunk>>,
    cap: &mut Capability<u64>,
) -> Result<bool> {
    let frontier = frontiers.iter().filter_map(|f| f.frontier().first().copied()).min();
    let passed = |open: u64| match frontier {
        Some(frontier) => open < frontier,
        None => headers.get(Epoch(open)).is_some(),
    };
    while passed(keeper.open) {
        keeper.complete(headers)?;
        flush(&mut keeper.out, output, cap);
        cap.downgrade(&(keeper.open + 1));
        keeper.begin_next()?;
        flush(&mut keeper.out, output, cap);
    }
    Ok(frontier.is_none())
}

fn flush(out: &mut Output, output: &mut OutputBuilder<u64, NoopBuilder<Chunk>>, cap: &Capability<u64>) {
    if out.is_empty() {
        return;
    }
    let mut session = output.activate();
    for batch in out.drain() {
        session.session_with_builder(cap).give_container(&mut Chunk::new(batch));
    }
}
