//! `Stepper`: whoever decides when each worker of a long-lived engine does its next step, so that a simulation can make one
//! interleaving of all, and the same again. It must not know what a step does.

use std::fmt::Debug;

/// Lets workers step. A worker under a stepper never sleeps.
pub trait Stepper: Debug + Send + Sync {
    /// Returns when `worker` may do its next step.
    fn begin(&self, worker: usize);

    /// `worker` has done its step.
    fn end(&self, worker: usize);

    /// The engine stops: from now on no worker waits.
    fn release(&self);
}

/// A step that ends also when it panics.
pub(crate) struct Turn<'a> {
    stepper: &'a dyn Stepper,
    worker: usize,
}

impl<'a> Turn<'a> {
    pub fn begin(stepper: &'a dyn Stepper, worker: usize) -> Self {
        stepper.begin(worker);
        Self { stepper, worker }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.stepper.end(self.worker);
    }
}
