//! `Meters`: what the door counts of itself, in Prometheus' text format. It must not know what the backend counts.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The door's counters.
#[derive(Default)]
pub(crate) struct Meters {
    connections: AtomicI64,
    connections_total: AtomicU64,
    subscribers: AtomicI64,
    ingest_rows: AtomicU64,
    ingest_rejected_rows: AtomicU64,
    ingest_bytes: AtomicU64,
    logins_refused: AtomicU64,
    subscribers_stalled: AtomicU64,
    /// By route. Routes are few: those of the router.
    requests: Mutex<HashMap<String, Requests>>,
}

/// Requests of a route.
#[derive(Default)]
struct Requests {
    by_status: BTreeMap<u16, u64>,
    time: Duration,
}

/// Counts one as long as it lives.
pub(crate) struct Gauge(Arc<Meters>, fn(&Meters) -> &AtomicI64);

impl Drop for Gauge {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Meters {
    pub(crate) fn connection(self: &Arc<Self>) -> Gauge {
        self.connections_total.fetch_add(1, Ordering::Relaxed);
        self.gauge(|m| &m.connections)
    }

    pub(crate) fn subscriber(self: &Arc<Self>) -> Gauge {
        self.gauge(|m| &m.subscribers)
    }

    fn gauge(self: &Arc<Self>, which: fn(&Self) -> &AtomicI64) -> Gauge {
        which(self).fetch_add(1, Ordering::Relaxed);
        Gauge(Arc::clone(self), which)
    }

    pub(crate) fn request(&self, route: &str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if !requests.contains_key(route) {
            requests.insert(route.to_owned(), Requests::default());
        }
        if let Some(route) = requests.get_mut(route) {
            *route.by_status.entry(status).or_default() += 1;
            route.time += took;
        }
    }

    pub(crate) fn ingested(&self, rows: u64, rejected: u64, bytes: usize) {
        self.ingest_rows.fetch_add(rows, Ordering::Relaxed);
        self.ingest_rejected_rows.fetch_add(rejected, Ordering::Relaxed);
        self.ingest_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn login_refused(&self) {
        self.logins_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn subscriber_stalled(&self) {
        self.subscribers_stalled.fetch_add(1, Ordering::Relaxed);
    }

    /// Prometheus' text format.
    pub(crate) fn write(&self, out: &mut String) {
        let gauges = [
            ("thalweg_http_connections", "Open HTTP connections, WebSockets included.", &self.connections),
            ("thalweg_http_subscribers", "Open subscriptions over HTTP.", &self.subscribers),
        ];
        for (name, help, value) in gauges {
            head(out, name, help, "gauge");
            line(out, name, "", value.load(Ordering::Relaxed));
        }
        let counters = [
            ("thalweg_http_connections_total", "HTTP connections accepted.", &self.connections_total),
            ("thalweg_http_ingest_rows_total", "Rows taken by ingest requests.", &self.ingest_rows),
            (
                "thalweg_http_ingest_rejected_rows_total",
                "Rows of ingest requests that could not be decoded.",
                &self.ingest_rejected_rows,
            ),
            ("thalweg_http_ingest_bytes_total", "Bytes of ingest requests, decompressed.", &self.ingest_bytes),
            ("thalweg_http_logins_refused_total", "Wrong or missing credentials.", &self.logins_refused),
            (
                "thalweg_http_subscribers_stalled_total",
                "Subscribers closed because they did not read.",
                &self.subscribers_stalled,
            ),
        ];
        for (name, help, value) in counters {
            head(out, name, help, "counter");
            line(out, name, "", value.load(Ordering::Relaxed));
        }
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let routes: BTreeMap<_, _> = requests.iter().collect();
        head(out, "thalweg_http_requests_total", "HTTP requests by route and status.", "counter");
        for (route, requests) in &routes {
            for (status, count) in &requests.by_status {
                let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
                line(out, "thalweg_http_requests_total", &labels, count);
            }
        }
        head(out, "thalweg_http_request_seconds", "Time until the head of the response.", "summary");
        for (route, requests) in &routes {
            let labels = format!("{{route=\"{route}\"}}");
            line(out, "thalweg_http_request_seconds_sum", &labels, requests.time.as_secs_f64());
            line(out, "thalweg_http_request_seconds_count", &labels, requests.by_status.values().sum::<u64>());
        }
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all text");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    writeln!(out, "{name}{labels} {value}").expect("a string takes all text");
}
