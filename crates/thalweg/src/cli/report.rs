//! What a run cost and what it had to leave aside. It must not know how it ran.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use thalweg::RunStats;

/// Names the sources that had rejected or late rows.
pub(crate) fn warn(stats: &RunStats, sources: &[String]) {
    for (source, name) in stats.sources.iter().zip(sources) {
        let (dead, late) = (source.dead.load(Ordering::Relaxed), source.late.load(Ordering::Relaxed));
        if dead > 0 {
            eprintln!("warning: {dead} rows of {name} could not be decoded; SELECT * FROM {name}$dead shows them");
        }
        if late > 0 {
            eprintln!(
                "warning: {late} rows of {name} came after its watermark and were dropped; a longer delay in WATERMARK FOR keeps them"
            );
        }
    }
}

/// The figures of a run.
pub(crate) fn json(stats: &RunStats, sources: &[String], sinks: &[String], wall: Duration) -> serde_json::Value {
    let now = stats.snapshot();
    let usage = usage();
    let count = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
    let sources = stats.sources.iter().zip(sources).map(|(s, name)| {
        json!({"name": name, "rows": count(&s.rows), "bytes": count(&s.bytes), "late": count(&s.late), "dead": count(&s.dead)})
    });
    let sources: Vec<_> = sources.collect();
    let (p50, p99) = (stats.epoch_latency(0.5), stats.epoch_latency(0.99));
    let queries: Vec<_> = stats
        .sinks
        .iter()
        .zip(sinks)
        .map(|(s, name)| {
            json!({
                "name": name,
                "rows": count(&s.rows),
                "epoch_latency_p50_ms": millis(p50),
                "epoch_latency_p99_ms": millis(p99),
            })
        })
        .collect();
    json!({
        "rows_in": now.rows_in,
        "bytes_in": now.bytes_in,
        "rows_out": now.rows_out,
        "wall_seconds": wall.as_secs_f64(),
        "cpu_seconds": usage.cpu_seconds,
        "peak_rss_bytes": usage.peak_rss_bytes,
        "epochs": now.epochs,
        "state_bytes": now.state_bytes,
        "peak_state_bytes": now.peak_state_bytes,
        "sources": sources,
        "queries": queries,
    })
}

fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

struct Usage {
    cpu_seconds: f64,
    peak_rss_bytes: i64,
}

fn usage() -> Usage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes a whole rusage to the pointer that it is given, and all-zero is a valid one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    // Linux counts kibibytes.
    Usage { cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), peak_rss_bytes: usage.ru_maxrss * 1024 }
}
