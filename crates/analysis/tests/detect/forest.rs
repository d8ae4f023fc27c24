//! Half-space trees as nested boxes of space, whose masses are found by looking at every row of the last window.

use rand::Rng;

use crate::formulas::assert_close;
use crate::series::{Rows, detector, random};

/// The published constants of SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let a = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

enum Tree {
    Leaf,
    Node(usize, f64, Box<[Tree; 2]>),
}

fn tree(state: &mut u64, depth: usize, boxed: &[[f64; 2]]) -> Tree {
    if depth == 0 {
        return Tree::Leaf;
    }
    let q = ((u128::from(next(state)) * boxed.len() as u128) >> 64) as usize;
    let at = (boxed[q][0] + boxed[q][1]) / 2.0;
    let (mut below, mut above) = (boxed.to_vec(), boxed.to_vec());
    below[q][1] = at;
    above[q][0] = at;
    let below = tree(state, depth - 1, &below);
    let above = tree(state, depth - 1, &above);
    Tree::Node(q, at, Box::new([below, above]))
}

/// Mass × 2^depth of the first node on the way of `x` that holds few of `rows`, or of its leaf.
fn density(tree: &Tree, x: &[f64], rows: &[&Vec<f64>], volume: f64, few: f64) -> f64 {
    match tree {
        Tree::Node(q, at, children) if rows.len() as f64 > few => {
            let above = x[*q] >= *at;
            let rows: Vec<_> = rows.iter().filter(|r| (r[*q] >= *at) == above).copied().collect();
            density(&children[usize::from(above)], x, &rows, volume * 2.0, few)
        }
        _ => rows.len() as f64 * volume,
    }
}

/// What becomes 0 and 1 of a column.
fn bounds(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    let tail = (last as f64 * 0.05).floor() as usize;
    let (mut low, mut high) = (sorted[tail], sorted[last - tail]);
    if low == high {
        (low, high) = (sorted[0], sorted[last]);
    }
    let inner = if low == high { low.abs().max(1.0) } else { high - low };
    [low - inner / 2.0, low - inner / 2.0 + 2.0 * inner]
}

fn plain(rows: &[Vec<f64>], trees: usize, depth: usize, window: usize, seed: u64) -> Vec<Option<f64>> {
    let columns = rows[0].len();
    let mut state = seed;
    let forest: Vec<Tree> = (0..trees)
        .map(|_| {
            let boxed: Vec<[f64; 2]> = (0..columns)
                .map(|_| {
                    let s = (next(&mut state) >> 11) as f64 * 2f64.powi(-53);
                    let half = 2.0 * s.max(1.0 - s);
                    [s - half, s + half]
                })
                .collect();
            tree(&mut state, depth, &boxed)
        })
        .collect();
    let mut scores = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let first = &rows[start..(start + window).min(rows.len())];
        scores.extend(first.iter().map(|_| None));
        start += window;
        let bound: Vec<_> = (0..columns).map(|c| bounds(&first.iter().map(|r| r[c]).collect::<Vec<_>>())).collect();
        let place =
            |row: &Vec<f64>| -> Vec<f64> { row.iter().zip(&bound).map(|(v, b)| (v - b[0]) / (b[1] - b[0])).collect() };
        let mut last: Vec<Vec<f64>> = first.iter().map(place).collect();
        while start < rows.len() {
            let now: Vec<Vec<f64>> = rows[start..(start + window).min(rows.len())].iter().map(place).collect();
            for x in &now {
                let last: Vec<&Vec<f64>> = last.iter().collect();
                let few = 0.1 * window as f64;
                let sum: f64 = forest.iter().map(|t| (1.0 + density(t, x, &last, 1.0, few)).ln()).sum();
                let most = (1.0 + window as f64 * 2f64.powi(depth as i32)).ln();
                scores.push(Some(1.0 - sum / trees as f64 / most));
            }
            start += window;
            let outside = |c: usize| now.iter().filter(|x| x[c] < 0.0 || x[c] > 1.0).count();
            if (0..columns).any(|c| outside(c) > window / 2) {
                break;
            }
            last = now;
        }
    }
    scores
}

#[test]
fn half_space_trees() {
    let mut restarts = 0;
    for seed in 0..12 {
        let rng = &mut random("half space", seed);
        let (trees, depth) = (rng.random_range(1..12), rng.random_range(1..9));
        let (window, columns) = (rng.random_range(10..90), rng.random_range(1..4));
        let mut rows = Rows::wild(rng, 800, columns, 1);
        for column in &mut rows.columns {
            column.iter_mut().for_each(|v| *v = Some(v.unwrap_or(1.0)));
            if seed % 3 == 0 {
                column[400..].iter_mut().for_each(|v| *v = v.map(|v| v + 1000.0));
            }
        }
        let plain_rows: Vec<Vec<f64>> =
            (0..800).map(|i| rows.columns.iter().map(|c| c[i].expect("filled above")).collect()).collect();
        let plain = plain(&plain_rows, trees, depth, window, seed);
        restarts += usize::from(plain[400..].iter().any(Option::is_none));
        let parameters = [trees as f64, depth as f64, window as f64, seed as f64].map(Some);
        let ours = rows.score(&mut *detector("anomaly_half_space", columns, &parameters));
        assert_close("half space", &ours, &plain);
    }
    assert!(restarts > 0, "some series made it begin anew");
}
