//! The memory of one query, within that of all queries together. It must not know what a query does.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;

/// `runtime` for one query that may use `limit` bytes of its memory.
pub(super) fn within(runtime: &RuntimeEnv, limit: usize) -> Arc<RuntimeEnv> {
    let pool = QueryMemory { all: Arc::clone(&runtime.memory_pool), limit, used: AtomicUsize::new(0) };
    Arc::new(RuntimeEnv { memory_pool: Arc::new(pool), ..runtime.clone() })
}

/// What one query has taken.
#[derive(Debug)]
struct QueryMemory {
    all: Arc<dyn MemoryPool>,
    /// Bytes.
    limit: usize,
    used: AtomicUsize,
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query({} of {})", self.used.load(Ordering::Relaxed), self.limit)
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.all.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.all.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.all.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let fits = |used: usize| used.checked_add(additional).filter(|sum| *sum <= self.limit);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            let message = format!("the query needs more than {}: its query_memory_limit", bytes_text(self.limit));
            let hint = "Let it read or keep less (WHERE, LIMIT, fewer groups), or SET query_memory_limit higher.";
            return Err(DataFusionError::ResourcesExhausted(format!("{message}\n  hint: {hint}")));
        }
        self.all.try_grow(reservation, additional).map_err(|_| {
            self.used.fetch_sub(additional, Ordering::Relaxed);
            let all = match self.all.memory_limit() {
                MemoryLimit::Finite(all) => format!(" of {}", bytes_text(all)),
                _ => String::new(),
            };
            let hint = "Try again when others have ended, or start the server with a higher --memory-limit.";
            let message = format!("the memory{all} that all queries share is used up");
            DataFusionError::ResourcesExhausted(format!("{message}\n  hint: {hint}"))
        })
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

/// `bytes` in the largest unit that divides them, as PostgreSQL shows settings of memory.
pub fn bytes_text(bytes: usize) -> String {
    let units = [(30, "GB"), (20, "MB"), (10, "kB")];
    let fits = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.iter().find(fits) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    use super::*;

    fn runtime(bytes: usize) -> Arc<RuntimeEnv> {
        let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(bytes)));
        builder.build_arc().expect("it builds")
    }

    #[test]
    fn each_query_has_its_own_limit_within_that_of_all() {
        let all = runtime(1 << 20);
        let (one, other) = (within(&all, 600 << 10), within(&all, 600 << 10));
        let taken = MemoryConsumer::new("one").register(&one.memory_pool);
        let error = taken.try_grow(601 << 10).expect_err("more than its own");
        assert!(error.to_string().contains("600kB: its query_memory_limit"), "{error}");
        taken.try_grow(600 << 10).expect("its own");
        let others = MemoryConsumer::new("other").register(&other.memory_pool);
        let error = others.try_grow(600 << 10).expect_err("more than is left");
        assert!(error.to_string().contains("the memory of 1MB that all queries share"), "{error}");
        assert_eq!(other.memory_pool.reserved(), 0);
        drop(taken);
        assert_eq!(all.memory_pool.reserved(), 0);
        others.try_grow(600 << 10).expect("it is free again");
    }

    #[test]
    fn bytes_are_shown_in_units() {
        for (bytes, text) in [(0, "0B"), (1, "1B"), (4096, "4kB"), (256 << 20, "256MB"), (3 << 30, "3GB")] {
            assert_eq!(bytes_text(bytes), text);
        }
    }
}
