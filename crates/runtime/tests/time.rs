//! Event time: idle partitions, late rows, the clock of an epoch.

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Step, Test, rows, sums};
use thalweg_runtime::EpochLimits;

fn small_epochs() -> EpochLimits {
    EpochLimits { rows: 200, ..EpochLimits::default() }
}

/// One partition goes on, the other falls silent after its first row.
fn with_a_silent_partition(idle_timeout: Duration, workers: usize) -> common::Ended {
    let busy = Step::Endless(|n| ((n % 3) as i64, 1, n as i64));
    let parts = vec![vec![busy].into(), vec![Step::Rows(vec![(0, 1, 0)]), Step::Idle].into()];
    let mut test = Test::new(sums(true), parts);
    (test.bounded, test.stop_after) = (false, 5_000);
    (test.config.workers, test.config.idle_timeout, test.config.epochs) = (workers, idle_timeout, small_epochs());
    test.run()
}

#[test]
fn an_idle_partition_lets_windows_close() {
    for workers in [1, 2, 4] {
        let ended = with_a_silent_partition(Duration::ZERO, workers);
        ended.result.expect("it was stopped in order");
        let rows = ended.recorded.rows();
        assert!(rows.len() > 2_000, "{} windows closed with {workers} workers", rows.len());
        let last = ended.recorded.epochs().into_values().filter_map(|e| e.header).next_back().expect("epochs");
        let watermark = last.sources[0].watermark.0;
        assert!(rows.keys().all(|row| row[1] < watermark), "no window closes before the watermark {watermark}");
    }
}

#[test]
fn a_silent_partition_holds_windows_until_it_is_idle() {
    for workers in [1, 2, 4] {
        let ended = with_a_silent_partition(Duration::MAX, workers);
        ended.result.expect("it was stopped in order");
        assert!(ended.recorded.rows().is_empty(), "its next row may belong to any window");
    }
}

#[test]
fn late_rows_are_counted_and_left_out() {
    let times = [100, 200, 150, 300, 50, 300, 299];
    let given: Vec<_> = (0..).zip(times).map(|(v, t)| (0, v, t)).collect();
    for workers in [1, 2, 4] {
        let mut test = Test::new(rows(), vec![vec![Step::Rows(given.clone())].into()]);
        (test.config.workers, test.config.epochs) = (workers, EpochLimits::forced(1));
        let ended = test.run();
        ended.result.expect("late rows are no error");
        assert_eq!(ended.stats.sources[0].late.load(Ordering::Relaxed), 3);
        let times: Vec<i64> = ended.recorded.rows().keys().map(|row| row[2]).collect();
        assert_eq!(times, [100, 200, 300, 300]);
    }
}

#[test]
fn every_epoch_has_the_clocks_time_and_watermarks_never_go_back() {
    let parts = (0..4).map(|_| vec![Step::Endless(|n| (0, 1, n as i64))].into()).collect();
    let mut test = Test::new(sums(false), parts);
    (test.bounded, test.stop_after) = (false, 3_000);
    (test.config.workers, test.config.epochs) = (2, small_epochs());
    let ended = test.run();
    ended.result.expect("it was stopped in order");
    let headers: Vec<_> = ended.recorded.epochs().into_values().filter_map(|e| e.header).collect();
    assert!(headers.len() > 3, "{} epochs", headers.len());
    assert!(headers.iter().all(|h| h.wall_clock == 77));
    assert!(headers.windows(2).all(|w| w[0].sources[0].watermark <= w[1].sources[0].watermark));
}
