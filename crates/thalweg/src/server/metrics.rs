//! The server's counters in Prometheus' text format. It must not know who asks.

use std::fmt::Write;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use thalweg_plan::Expectation;
use thalweg_sql::server::Object;

use super::Server;

/// One line of a metric: its labels and value.
type Sample = (String, f64);

fn metric(out: &mut String, name: &str, kind: &str, help: &str, samples: &[Sample]) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}

fn label(name: &str, value: &str) -> String {
    labels(&[(name, value)])
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Sinks that deliver from checkpoints.
fn deliveries(server: &Server, out: &mut String) {
    let objects = server.objects.load();
    let all = server.deliveries.all();
    let by_sink = |f: &dyn Fn(&super::deliveries::Delivery) -> f64| -> Vec<Sample> {
        let name = |oid| objects.get(oid).map_or_else(String::new, |o| o.full_name());
        all.iter().map(|(oid, delivery)| (label("sink", &name(*oid)), f(delivery))).collect()
    };
    let rows = by_sink(&|d| d.rows() as f64);
    metric(out, "thalweg_sink_rows_total", "counter", "Rows delivered, by sink.", &rows);
    let last = server.keeper.as_ref().map_or(0, |keeper| keeper.kept().borrow().last.epoch);
    let lag = by_sink(&|d| last.saturating_sub(d.state().delivered).min(last) as f64);
    metric(out, "thalweg_sink_lag_epochs", "gauge", "Epochs between the last checkpoint and what a sink holds.", &lag);
    let failing = by_sink(&|d| f64::from(u8::from(d.state().error.is_some())));
    metric(out, "thalweg_sink_failing", "gauge", "1 while a sink cannot deliver.", &failing);
}

/// Checkpoints and the hub, with a data directory.
fn durability(server: &Server, out: &mut String) {
    let mut one = |name: &str, kind: &str, help: &str, value: f64| {
        metric(out, name, kind, help, &[(String::new(), value)]);
    };
    if let Some(keeper) = &server.keeper {
        let kept = keeper.kept().borrow().clone();
        let age = if kept.at == 0 { 0.0 } else { (server.now() - kept.at).max(0) as f64 / 1e6 };
        one("thalweg_checkpoints_total", "counter", "Checkpoints that became durable.", kept.count as f64);
        one("thalweg_checkpoint_failures_total", "counter", "Checkpoints that did not.", kept.failures as f64);
        one("thalweg_checkpoint_epoch", "gauge", "The epoch of the last checkpoint.", kept.last.epoch as f64);
        one("thalweg_checkpoint_age_seconds", "gauge", "Since the last checkpoint became durable.", age);
        let took = kept.last.took.as_secs_f64();
        one("thalweg_checkpoint_duration_seconds", "gauge", "Time to make the last one durable.", took);
        one("thalweg_checkpoint_written_bytes", "gauge", "Bytes written for the last one.", kept.last.bytes as f64);
        let total = kept.last.total_bytes as f64;
        one("thalweg_checkpoint_total_bytes", "gauge", "Bytes of all state that the last one refers to.", total);
    }
    if let Some(hub) = server.intake.statistics() {
        one("thalweg_hub_appends_total", "counter", "Appends to the hub.", hub.appends as f64);
        one("thalweg_hub_fsyncs_total", "counter", "Fsyncs of the hub.", hub.fsyncs as f64);
        one("thalweg_hub_bytes", "gauge", "Bytes that the hub holds.", hub.bytes as f64);
        let took = hub.last_fsync_micros as f64 / 1e6;
        one("thalweg_hub_fsync_seconds", "gauge", "The last fsync of the hub.", took);
    }
}

fn violations(server: &Server) -> Vec<Sample> {
    let objects = server.objects.load();
    let of = |object: &Object| {
        let all = object.source().map(|s| s.expectations().list.clone()).unwrap_or_default();
        let relation = object.full_name();
        let one = move |e: Expectation| {
            let pairs = [("relation", relation.as_str()), ("expectation", &e.name), ("action", e.on.word())];
            (labels(&pairs), e.counter.load(Ordering::Relaxed) as f64)
        };
        all.into_iter().map(one).collect::<Vec<_>>()
    };
    objects.all().flat_map(|object| of(object)).collect()
}

/// All of them.
pub(super) fn text(server: &Server) -> String {
    let mut out = String::new();
    let one = |value: f64| vec![(String::new(), value)];
    let running: Vec<_> = server.running.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
    let by_job = |f: &dyn Fn(&super::Running) -> f64| -> Vec<Sample> {
        running.iter().map(|r| (label("job", &r.job.spec.name), f(r))).collect()
    };
    metric(&mut out, "thalweg_epochs_total", "counter", "Epochs sealed.", &one(server.engine.sealed() as f64));
    let readable = server.engine.epoch().0 as f64;
    metric(&mut out, "thalweg_readable_epoch", "gauge", "The newest epoch that queries see.", &one(readable));
    metric(&mut out, "thalweg_sessions", "gauge", "Sessions that are open.", &one(server.sessions.count() as f64));
    let uptime = server.started.elapsed().as_secs_f64();
    metric(&mut out, "thalweg_uptime_seconds", "gauge", "Seconds since the server started.", &one(uptime));
    let state = by_job(&|r| r.job.state_bytes() as f64);
    metric(&mut out, "thalweg_state_bytes", "gauge", "Bytes of operators' state, by job.", &state);
    let rows_in = by_job(&|r| r.job.stats.snapshot().rows_in as f64);
    metric(&mut out, "thalweg_rows_in_total", "counter", "Rows read from outside or handed in, by job.", &rows_in);
    let rows_out = by_job(&|r| r.job.stats.snapshot().rows_out as f64);
    metric(&mut out, "thalweg_rows_out_total", "counter", "Changes that a job has put out.", &rows_out);
    let late = by_job(&|r| r.job.stats.sources.iter().map(|s| s.late.load(Ordering::Relaxed)).sum::<u64>() as f64);
    metric(&mut out, "thalweg_late_rows_total", "counter", "Rows below the watermark, dropped, by job.", &late);
    let dead = by_job(&|r| r.job.stats.snapshot().dead as f64);
    metric(&mut out, "thalweg_dead_rows_total", "counter", "Rows that could not be decoded, by job.", &dead);
    let failed = by_job(&|r| f64::from(u8::from(r.job.error().is_some())));
    metric(&mut out, "thalweg_job_failed", "gauge", "1 when a job has stopped with an error.", &failed);
    let queued = by_job(&|r| r.queue.as_ref().map_or(0.0, |q| q.waiting_bytes() as f64));
    metric(&mut out, "thalweg_queue_bytes", "gauge", "Bytes that wait to be taken in, by job.", &queued);
    durability(server, &mut out);
    deliveries(server, &mut out);
    let violations = violations(server);
    let help = "Rows that violated an expectation.";
    metric(&mut out, "thalweg_expectation_violations_total", "counter", help, &violations);
    out
}
