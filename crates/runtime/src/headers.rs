//! The headers that a worker holds, shared by its operators' shells. It must not know who makes headers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_core::{Epoch, EpochHeader};

/// Headers by epoch, on one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(Rc<RefCell<BTreeMap<Epoch, Arc<EpochHeader>>>>);

impl Headers {
    pub fn insert(&self, header: Arc<EpochHeader>) {
        self.0.borrow_mut().insert(header.epoch, header);
    }

    pub fn get(&self, epoch: Epoch) -> Option<Arc<EpochHeader>> {
        self.0.borrow().get(&epoch).cloned()
    }

    /// Forgets headers of epochs that every operator has completed.
    pub fn forget_below(&self, epoch: Epoch) {
        let mut headers = self.0.borrow_mut();
        while headers.first_key_value().is_some_and(|(e, _)| *e < epoch) {
            headers.pop_first();
        }
    }
}
