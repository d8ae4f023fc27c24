//! `Turnstile`: lets one worker of an engine step at a time, the one that the world says, so that nothing depends on the
//! machine's scheduler. It must not know what a step does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thalweg_runtime::Stepper;

/// A step that takes longer than this will never end: workers wait for each other.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Turnstile {
    state: Mutex<State>,
    /// One a worker: it may step.
    go: Vec<Condvar>,
    /// The step is done.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Who may step, or is stepping.
    turn: Option<usize>,
    is_open: bool,
}

impl Turnstile {
    pub fn new(workers: usize) -> Self {
        let go = (0..workers).map(|_| Condvar::new()).collect();
        Self { state: Mutex::default(), go, done: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `worker` do one step, and waits until it is done.
    ///
    /// # Errors
    /// It does not end.
    pub fn step(&self, worker: usize) -> Result<(), String> {
        let mut state = self.lock();
        state.turn = Some(worker);
        self.go[worker].notify_one();
        while state.turn.is_some() {
            let (again, waited) = self.done.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            if waited.timed_out() {
                return Err(format!("worker {worker} does not end its step"));
            }
        }
        Ok(())
    }
}

impl Stepper for Turnstile {
    fn begin(&self, worker: usize) {
        let mut state = self.lock();
        while state.turn != Some(worker) && !state.is_open {
            state = self.go[worker].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, worker: usize) {
        let mut state = self.lock();
        if state.turn == Some(worker) {
            state.turn = None;
            self.done.notify_one();
        }
    }

    fn release(&self) {
        self.lock().is_open = true;
        self.go.iter().for_each(Condvar::notify_all);
    }
}
