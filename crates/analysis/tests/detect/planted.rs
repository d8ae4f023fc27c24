//! What users are promised: at the recommended threshold planted anomalies are found, and a clean series has few alarms.

use rand::Rng;
use thalweg_analysis::detect::signatures;

use crate::series::{Rows, detector, noise, normal, random, scores};

fn threshold(name: &str) -> f64 {
    let signature = signatures().iter().find(|s| s.name == name).expect("a function");
    signature.threshold.expect("a score")
}

fn alarms(name: &str, scores: &[Option<f64>]) -> Vec<usize> {
    let threshold = threshold(name);
    (0..scores.len()).filter(|i| scores[*i].is_some_and(|s| s.abs() >= threshold)).collect()
}

/// A daily season of 24 rows with a sharp morning.
fn day(i: usize) -> f64 {
    let hour = (i % 24) as f64;
    10.0 * (hour * std::f64::consts::TAU / 24.0).sin() + if (7.0..9.0).contains(&hour) { 15.0 } else { 0.0 }
}

#[test]
fn clean_series_have_few_alarms() {
    const ROWS: usize = 20_000;
    for seed in 100..104 {
        let rng = &mut random("clean", seed);
        for name in ["anomaly_zscore", "anomaly_ewma", "anomaly_cusum", "anomaly_page_hinkley", "anomaly_adwin"] {
            let series = noise(rng, ROWS, -7.0, 0.3);
            let found = alarms(name, &scores(name, &[], &series)).len();
            assert!(found * 1000 <= ROWS, "{name}: {found} alarms in {ROWS} clean rows");
        }
        let series: Vec<f64> = (0..ROWS).map(|i| day(i) + i as f64 * 0.01 + normal(rng)).collect();
        let found = alarms("anomaly_seasonal", &scores("anomaly_seasonal", &[Some(24.0)], &series)).len();
        assert!(found * 1000 <= ROWS, "seasonal: {found} alarms in {ROWS} clean rows");
        // `docs/anomaly.md`: of normal rows about one in a hundred.
        let found = alarms("anomaly_half_space", &joint(&joined(rng, ROWS, &[]))).len();
        assert!(found * 50 <= ROWS, "half space: {found} alarms in {ROWS} clean rows");
    }
}

#[test]
fn spikes_are_found_also_the_second_of_two() {
    for seed in 100..120 {
        let rng = &mut random("spikes", seed);
        let mut series = noise(rng, 600, 50.0, 2.0);
        for at in [300, 303, 450] {
            series[at] += if rng.random() { 20.0 } else { -20.0 };
        }
        let found = alarms("anomaly_zscore", &scores("anomaly_zscore", &[], &series));
        assert!([300, 303, 450].iter().all(|at| found.contains(at)), "{found:?}");
    }
}

#[test]
fn a_few_rows_that_are_a_little_off_are_found_together() {
    for seed in 100..120 {
        let rng = &mut random("bump", seed);
        let mut series = noise(rng, 600, 50.0, 2.0);
        series[400..420].iter_mut().for_each(|v| *v += 4.0);
        let found = alarms("anomaly_ewma", &scores("anomaly_ewma", &[], &series));
        assert!(found.iter().any(|at| (400..420).contains(at)), "{found:?}");
    }
}

#[test]
fn a_spike_in_warm_up_does_not_hide_others() {
    for seed in 100..110 {
        let rng = &mut random("warm-up", seed);
        let mut series = noise(rng, 200, 50.0, 2.0);
        series[7] = 1e9;
        series[120] += 40.0;
        for name in ["anomaly_zscore", "anomaly_ewma"] {
            let found = alarms(name, &scores(name, &[], &series));
            assert!(found.contains(&120), "{name}: {found:?}");
        }
    }
}

#[test]
fn a_lasting_shift_is_found_soon_with_its_direction() {
    for seed in 100..120 {
        let rng = &mut random("shift", seed);
        let up = rng.random::<bool>();
        let by = if up { 1.5 } else { -1.5 };
        let mut series = noise(rng, 500, 3.0, 1.0);
        series.extend(noise(rng, 300, 3.0 + by, 1.0));
        for (name, within) in [("anomaly_cusum", 40), ("anomaly_page_hinkley", 80), ("anomaly_adwin", 100)] {
            let scores = scores(name, &[], &series);
            let found = alarms(name, &scores);
            let first = found.iter().find(|i| **i >= 500).unwrap_or_else(|| panic!("{name}: {found:?}"));
            assert!(*first < 500 + within, "{name}: {found:?}");
            assert_eq!(scores[*first].expect("an alarm") > 0.0, up, "{name}");
        }
    }
}

#[test]
fn one_spike_is_no_shift() {
    for seed in 100..120 {
        let rng = &mut random("no shift", seed);
        let mut series = noise(rng, 400, 3.0, 1.0);
        series[300] = 1e6;
        for name in ["anomaly_cusum", "anomaly_page_hinkley", "anomaly_adwin"] {
            let found = alarms(name, &scores(name, &[], &series[..310]));
            assert!(!found.iter().any(|at| *at >= 300), "{name}: {found:?}");
        }
    }
}

#[test]
fn a_break_of_the_season_is_found_where_the_value_alone_is_normal() {
    for seed in 100..120 {
        let rng = &mut random("season", seed);
        let mut series: Vec<f64> = (0..24 * 20).map(|i| 100.0 + day(i) + normal(rng)).collect();
        // The night has the value of noon, and a morning does not come.
        series[24 * 12 + 18] = 110.0 + normal(rng);
        series[24 * 15 + 7] -= 15.0;
        let found = alarms("anomaly_seasonal", &scores("anomaly_seasonal", &[Some(24.0)], &series));
        assert!(found.contains(&(24 * 12 + 18)) && found.contains(&(24 * 15 + 7)), "{found:?}");
        let blind = alarms("anomaly_zscore", &scores("anomaly_zscore", &[], &series));
        assert!(!blind.contains(&(24 * 12 + 18)), "a window of values cannot know: {blind:?}");
    }
}

#[test]
fn lost_rows_do_not_shift_the_season_if_the_step_is_known() {
    let rng = &mut random("lost rows", 100);
    let kept: Vec<usize> = (0..24 * 40).filter(|i| *i < 100 || !rng.random_ratio(1, 10)).collect();
    let rows = Rows {
        keys: vec![0; kept.len()],
        times: kept.iter().map(|i| *i as i64 * 3_600_000_000).collect(),
        columns: vec![kept.iter().map(|i| Some(day(*i) + normal(rng))).collect()],
    };
    let count = |step: f64| {
        let parameters = [Some(24.0), None, None, None, Some(step)];
        let scores = rows.score(&mut *detector("anomaly_seasonal", 1, &parameters));
        alarms("anomaly_seasonal", &scores).len()
    };
    let (with, without) = (count(3600.0), count(0.0));
    assert!(with <= 3, "{with} alarms");
    assert!(without > 20, "rows that are counted lose their hour: {without}");
}

/// Two columns that go together; at `odd` they do not, though each value alone is usual.
fn joined(rng: &mut rand::rngs::SmallRng, rows: usize, odd: &[usize]) -> Rows {
    let mut all = Rows::of(&vec![0.0; rows]);
    all.columns = vec![Vec::new(); 2];
    for i in 0..rows {
        let x = if rng.random() { 2.0 } else { -2.0 } + 0.4 * normal(rng);
        let y = if odd.contains(&i) { -x } else { x };
        all.columns[0].push(Some(100.0 + x));
        all.columns[1].push(Some(5.0 * y + 0.5 * normal(rng)));
    }
    all
}

fn joint(rows: &Rows) -> Vec<Option<f64>> {
    rows.score(&mut *detector("anomaly_half_space", 2, &[]))
}

#[test]
fn joint_outliers_are_found() {
    const ODD: [usize; 4] = [700, 1100, 1101, 1900];
    let mut missed = 0;
    for seed in 100..110 {
        let rng = &mut random("joint", seed);
        let rows = joined(rng, 2000, &ODD);
        let found = alarms("anomaly_half_space", &joint(&rows));
        missed += ODD.iter().filter(|at| !found.contains(at)).count();
        for column in &rows.columns {
            let alone: Vec<f64> = column.iter().copied().flatten().collect();
            let alone = scores("anomaly_half_space", &[], &alone);
            let most = ODD.iter().filter_map(|at| alone[*at]).fold(0.0, f64::max);
            assert!(most < 0.75, "each column alone is usual, which for one column is a score below 0.75: {most}");
        }
    }
    assert!(missed <= 2, "{missed} of 40 were missed");
}
