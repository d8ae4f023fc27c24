//! `Figures`: what two samples say about each job. It must not know how they are shown.

use clap::ValueEnum;

use super::sample::Sample;

/// What jobs are sorted by, largest first; `name` from A to Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SortKey {
    /// Rows in a second
    In,
    /// Changes out a second
    Out,
    /// Bytes that wait
    Queue,
    /// Bytes of state
    State,
    /// Late and dead rows
    Dropped,
    /// Name of the job
    Name,
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JobFigures {
    pub(super) name: String,
    /// A second.
    pub(super) rows_in: f64,
    /// A second.
    pub(super) rows_out: f64,
    pub(super) queue_bytes: f64,
    pub(super) state_bytes: f64,
    pub(super) late: f64,
    pub(super) dead: f64,
    pub(super) failed: bool,
    /// This job's queue or state grows the fastest of all.
    pub(super) bottleneck: bool,
}

/// The server and its jobs.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) epochs: f64,
    pub(super) sessions: f64,
    pub(super) uptime_seconds: f64,
    pub(super) state_bytes: f64,
    pub(super) sort: SortKey,
    pub(super) jobs: Vec<JobFigures>,
}

/// Growth below this many bytes a second is no sign of anything.
const NOTICEABLE_GROWTH: f64 = 1024.0;

impl Figures {
    pub(super) fn between(before: &Sample, now: &Sample, sort: SortKey) -> Self {
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64().max(1e-3);
        // A counter that went down belongs to a server or a job that started anew.
        let rate = |metric: &str, job: &str| (now.of(metric, job) - before.of(metric, job)).max(0.0) / seconds;
        let mut jobs: Vec<JobFigures> = now
            .jobs()
            .into_iter()
            .map(|job| JobFigures {
                name: job.to_owned(),
                rows_in: rate("thalweg_rows_in_total", job),
                rows_out: rate("thalweg_rows_out_total", job),
                queue_bytes: now.of("thalweg_queue_bytes", job),
                state_bytes: now.of("thalweg_state_bytes", job),
                late: now.of("thalweg_late_rows_total", job),
                dead: now.of("thalweg_dead_rows_total", job),
                failed: now.of("thalweg_job_failed", job) > 0.0,
                bottleneck: false,
            })
            .collect();
        // Queues go before state: a queue grows because its job does not keep up.
        let growth = |metric: &str, j: &JobFigures| rate(metric, &j.name);
        let fastest = ["thalweg_queue_bytes", "thalweg_state_bytes"].into_iter().find_map(|metric| {
            let most = jobs.iter().enumerate().max_by(|a, b| growth(metric, a.1).total_cmp(&growth(metric, b.1)));
            most.filter(|(_, j)| growth(metric, j) >= NOTICEABLE_GROWTH).map(|(at, _)| at)
        });
        if let Some(at) = fastest {
            jobs[at].bottleneck = true;
        }
        let mut figures = Self {
            epochs: rate("thalweg_epochs_total", ""),
            sessions: now.one("thalweg_sessions"),
            uptime_seconds: now.one("thalweg_uptime_seconds"),
            state_bytes: jobs.iter().map(|j| j.state_bytes).sum(),
            sort,
            jobs,
        };
        figures.sort_by(sort);
        figures
    }

    /// Sorts anew; equal ones by name.
    pub(super) fn sort_by(&mut self, sort: SortKey) {
        self.sort = sort;
        let key = |j: &JobFigures| match sort {
            SortKey::In => j.rows_in,
            SortKey::Out => j.rows_out,
            SortKey::Queue => j.queue_bytes,
            SortKey::State => j.state_bytes,
            SortKey::Dropped => j.late + j.dead,
            SortKey::Name => 0.0,
        };
        self.jobs.sort_by(|a, b| key(b).total_cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn samples() -> (Sample, Sample) {
        let start = Instant::now();
        let before = "thalweg_epochs_total 10\nthalweg_rows_in_total{job=\"a\"} 100\nthalweg_rows_in_total{job=\"b\"} 900\n\
                      thalweg_queue_bytes{job=\"b\"} 0\nthalweg_state_bytes{job=\"a\"} 0";
        let now = "thalweg_epochs_total 30\nthalweg_rows_in_total{job=\"a\"} 300\nthalweg_rows_in_total{job=\"b\"} 5\n\
                   thalweg_queue_bytes{job=\"b\"} 9000\nthalweg_state_bytes{job=\"a\"} 90000";
        (Sample::parse(before, start), Sample::parse(now, start + Duration::from_secs(2)))
    }

    #[test]
    fn counters_become_rates() {
        let (before, now) = samples();
        let figures = Figures::between(&before, &now, SortKey::In);
        assert_eq!((figures.epochs, figures.state_bytes), (10.0, 90000.0));
        assert_eq!(figures.jobs[0].name, "a");
        assert_eq!(figures.jobs[0].rows_in, 100.0);
        assert_eq!(figures.jobs[1].rows_in, 0.0, "a counter that went down started anew");
    }

    #[test]
    fn a_growing_queue_goes_before_a_growing_state() {
        let (before, now) = samples();
        let marked = |f: &Figures| f.jobs.iter().filter(|j| j.bottleneck).map(|j| j.name.clone()).collect::<Vec<_>>();
        assert_eq!(marked(&Figures::between(&before, &now, SortKey::Name)), ["b"]);
        assert!(marked(&Figures::between(&now, &now, SortKey::Name)).is_empty());
    }

    #[test]
    fn keys_cycle_and_sort() {
        let (before, now) = samples();
        let mut figures = Figures::between(&before, &now, SortKey::Queue);
        assert_eq!(figures.jobs[0].name, "b");
        figures.sort_by(SortKey::Queue.next());
        assert_eq!((figures.sort, figures.jobs[0].name.as_str()), (SortKey::State, "a"));
        assert_eq!(SortKey::Name.next(), SortKey::In);
    }
}
