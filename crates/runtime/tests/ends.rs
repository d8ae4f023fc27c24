//! How runs end: by the input, by a stop, by a failure, by the memory limit.

mod common;

use common::{Ended, Part, Row, Rows, Step, Test, apply, rows, sums};
use std::collections::BTreeMap;

use thalweg_core::Error;
use thalweg_runtime::EpochLimits;

const WORKERS: [usize; 3] = [1, 2, 4];

fn endless(n: usize) -> Row {
    ((n % 7) as i64, n as i64, 0)
}

/// `sums` of the first rows of each split.
fn expected(row: fn(usize) -> Row, read: &BTreeMap<String, u64>) -> Rows {
    let mut sums: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for n in read.values().flat_map(|n| 0..*n as usize) {
        let (k, v, _) = row(n);
        let (count, sum) = sums.entry(k).or_default();
        (*count, *sum) = (*count + 1, *sum + v);
    }
    sums.into_iter().map(|(k, (count, sum))| (vec![k, count, sum], 1)).collect()
}

/// After each epoch exactly the rows up to the offsets in its header are in the result.
fn assert_every_epoch_is_a_prefix(ended: &Ended, row: fn(usize) -> Row, workers: usize) -> usize {
    let (mut standing, mut read) = (Rows::new(), BTreeMap::new());
    let mut total = 0;
    for (number, epoch) in ended.recorded.epochs() {
        if epoch.commits < workers {
            // A failure met it: only the last one can be incomplete.
            continue;
        }
        let header = epoch.header.expect("a committed epoch");
        read.extend(header.sources[0].offsets.iter().map(|(split, at)| (split.to_string(), at.0)));
        apply(&mut standing, &epoch.changes);
        assert!(standing == expected(row, &read), "epoch {number} is not what was read up to {read:?}");
        total = read.values().sum::<u64>() as usize;
    }
    total
}

fn unbounded(parts: Vec<Part>, workers: usize) -> Test {
    let mut test = Test::new(sums(false), parts);
    test.bounded = false;
    (test.config.workers, test.config.epochs) = (workers, EpochLimits { rows: 500, ..EpochLimits::default() });
    test
}

#[test]
fn a_stopped_run_has_delivered_a_prefix_of_every_partition() {
    for workers in WORKERS {
        let mut test = unbounded(vec![vec![Step::Endless(endless)].into(); 3], workers);
        test.stop_after = 10_000;
        let ended = test.run();
        ended.result.as_ref().expect("a stop is no error");
        let total = assert_every_epoch_is_a_prefix(&ended, endless, workers);
        assert!(total >= 10_000, "{total} rows: everything read is delivered");
        assert_eq!(total, ended.stats.snapshot().rows_in as usize, "{workers} workers");
        let last = ended.recorded.epochs().into_values().next_back().expect("epochs");
        assert!(last.header.is_some_and(|h| h.sources[0].ended) && last.commits == workers);
    }
}

#[test]
fn an_overflow_on_one_worker_ends_the_run() {
    fn overflowing(n: usize) -> Row {
        if n >= 3_000 { (3, i64::MAX, 0) } else { endless(n) }
    }
    for workers in WORKERS {
        let ended = unbounded(vec![vec![Step::Endless(overflowing)].into(); 2], workers).run();
        let error = ended.result.as_ref().expect_err("an overflow");
        assert!(error.to_string().contains("out of range"), "{error}");
        assert_every_epoch_is_a_prefix(&ended, overflowing, workers);
    }
}

#[test]
fn a_failing_reader_ends_the_run_with_its_error() {
    for workers in WORKERS {
        let broken = vec![Step::Rows((0..900).map(endless).collect()), Step::Fail];
        let ended = unbounded(vec![vec![Step::Endless(endless)].into(), broken.into()], workers).run();
        let error = ended.result.expect_err("the reader fails");
        assert!(matches!(&error, Error::Data(what) if what == "the reader failed"), "{error}");
    }
}

#[test]
fn a_failing_sink_ends_the_run_with_its_error() {
    for workers in WORKERS {
        let mut test = unbounded(vec![vec![Step::Endless(endless)].into()], workers);
        test.failing_sink = true;
        let error = test.run().result.expect_err("the sink fails");
        assert!(error.to_string().contains("the sink failed"), "{error}");
    }
}

#[test]
fn a_panic_on_one_worker_ends_the_run() {
    for workers in WORKERS {
        let broken = vec![Step::Rows((0..900).map(endless).collect()), Step::Panic];
        let ended = unbounded(vec![vec![Step::Endless(endless)].into(), broken.into()], workers).run();
        let error = ended.result.expect_err("the reader panics");
        assert!(error.to_string().contains("the reader panicked"), "{error}");
    }
}

#[test]
fn a_run_that_needs_more_memory_than_the_limit_ends_after_whole_epochs() {
    fn distinct(n: usize) -> Row {
        (n as i64, 1, 0)
    }
    for workers in WORKERS {
        let mut test = unbounded(vec![vec![Step::Endless(distinct)].into()], workers);
        test.config.memory_limit_bytes = 200_000;
        let ended = test.run();
        let error = ended.result.as_ref().expect_err("state grows without end").to_string();
        for part in ["195.3 KiB", "GROUP BY k", "--memory-limit"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        let total = assert_every_epoch_is_a_prefix(&ended, distinct, workers);
        assert_eq!(total, ended.stats.snapshot().rows_in as usize, "everything read is delivered");
        assert!(ended.stats.snapshot().peak_state_bytes > 0);
    }
}

#[test]
fn workers_and_epochs_do_not_change_the_result() {
    // Eight splits, each after the other in time, so that no row is late however they are read.
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) % below) as i64
    };
    let mut parts = Vec::new();
    for split in 0..8i64 {
        let mut given: Vec<Row> = (0..250).map(|_| (random(50), random(1000), split * 10 + random(10))).collect();
        given.sort_by_key(|row| row.2);
        parts.push(Part { steps: vec![Step::Rows(given)], lower_bound: Some(split * 10) });
    }
    for plan in [sums(false), sums(true), rows()] {
        let mut first = None;
        for workers in WORKERS {
            for epochs in
                [EpochLimits::forced(1), EpochLimits::forced(37), EpochLimits::forced(0), EpochLimits::default()]
            {
                let mut test = Test::new(plan.clone(), parts.clone());
                (test.config.workers, test.config.epochs) = (workers, epochs);
                let ended = test.run();
                ended.result.expect("it runs");
                assert_eq!(ended.stats.snapshot().late, 0);
                let rows = ended.recorded.rows();
                let same = *first.get_or_insert_with(|| rows.clone()) == rows;
                assert!(same, "{workers} workers, {epochs:?}");
            }
        }
        assert!(first.is_some_and(|rows| !rows.is_empty()));
    }
}
