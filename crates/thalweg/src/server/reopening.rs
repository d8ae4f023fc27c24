//! `Reopening`: a source that could not be opened at a start. The server starts all the same, what reads it waits, and it is
//! tried until it opens. It must not know connectors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Offset, Result, Source, Split, SplitReader};

/// Between two attempts: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Opens the source, and sees that it can tell its splits.
pub(super) type Open = dyn Fn() -> Result<Arc<dyn Source>> + Send;

/// See the module.
pub(crate) struct Reopening {
    schema: SchemaRef,
    source: OnceLock<Arc<dyn Source>>,
    /// Its splits were asked for when it was open.
    is_listed: AtomicBool,
    /// Why the last attempt failed.
    error: Mutex<String>,
}

impl Reopening {
    /// Tries `open` again from now on, after it failed with `error`.
    ///
    /// # Errors
    /// There are no more threads.
    pub fn begin(name: &str, schema: SchemaRef, error: &Error, open: Box<Open>) -> Result<Arc<Self>> {
        tracing::warn!(source = name, %error, "a source cannot be opened; it is tried again");
        let reopening = Arc::new(Self {
            schema,
            source: OnceLock::new(),
            is_listed: AtomicBool::new(false),
            error: Mutex::new(error.to_string()),
        });
        let (waiting, name) = (Arc::downgrade(&reopening), name.to_owned());
        let thread = std::thread::Builder::new().name("thalweg-reopen".to_owned());
        let started = thread.spawn(move || insist(&name, &waiting, &*open));
        started.map_err(|e| Error::Internal(format!("cannot start a thread: {e}")))?;
        Ok(reopening)
    }

    /// Why it is not open, if it is not.
    pub fn error(&self) -> Option<String> {
        let is_closed = self.source.get().is_none();
        is_closed.then(|| self.error.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn insist(name: &str, waiting: &Weak<Reopening>, open: &Open) {
    let mut pause = FIRST_PAUSE;
    loop {
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        // Nobody waits any more: it was dropped, or the server ends.
        if waiting.strong_count() == 0 {
            return;
        }
        let outcome = open();
        let Some(waiting) = waiting.upgrade() else { return };
        match outcome {
            Ok(source) => {
                tracing::info!(source = name, "the source is open");
                let _ = waiting.source.set(source);
                return;
            }
            Err(error) => *waiting.error.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string(),
        }
    }
}

/// Until it is open it has no splits, and more may come.
impl Source for Reopening {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let Some(source) = self.source.get() else { return Ok(Vec::new()) };
        let splits = source.splits()?;
        self.is_listed.store(true, Ordering::Release);
        Ok(splits)
    }

    fn open(&self, split: &Split, from: Offset) -> Result<Box<dyn SplitReader>> {
        let source = self.source.get().ok_or_else(|| Error::Internal("the source is not open".to_owned()))?;
        source.open(split, from)
    }

    fn bounded(&self) -> bool {
        // One that ends is asked for its splits no more: they must be there.
        self.is_listed.load(Ordering::Acquire) && self.source.get().is_some_and(|source| source.bounded())
    }

    fn side_by_side(&self) -> usize {
        self.source.get().map_or(1, |source| source.side_by_side())
    }

    fn forgets(&self) -> bool {
        self.is_listed.load(Ordering::Acquire) && self.source.get().is_some_and(|source| source.forgets())
    }
}
