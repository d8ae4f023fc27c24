//! Estimates that a few anomalies do not move: median, spread, and a scale that follows errors with a bounded gain.
//! It must not know methods.

/// The highest score of every method without a natural end: also that of any change where there was no spread at all.
pub const MAX_SCORE: f64 = 1e9;

/// Standard deviations in a median absolute deviation, for normal values (1 / Φ⁻¹(¾)).
const SIGMAS_PER_MAD: f64 = 1.482_602_218_505_602;
/// Standard deviations in a mean absolute deviation, for normal values (√(π/2)).
const SIGMAS_PER_MEAN_DEVIATION: f64 = 1.253_314_137_315_500_3;
/// Errors beyond so many sigmas count as that many: `k` of Gelper, Fried and Croux, Robust forecasting with exponential
/// and Holt-Winters smoothing, 2010.
const CLIP_SIGMAS: f64 = 2.0;
/// Makes the expected biweight of a standard normal error 1 (for `CLIP_SIGMAS` = 2; the same source).
const BIWEIGHT: f64 = 2.515_322_660;
/// A sigma below this part of the value it is near is rounding, not spread.
const ROUNDING: f64 = 1e-9;

/// How far out something is: 0 for no deviation, at most `MAX_SCORE`, never NaN.
#[inline]
pub(super) fn score(deviation: f64, sigma: f64) -> f64 {
    let deviation = deviation.abs();
    if deviation == 0.0 {
        return 0.0;
    }
    let score = deviation / sigma;
    if score < MAX_SCORE { score } else { MAX_SCORE }
}

/// Of ascending values (not none): the middle one, or the mean of the middle two.
#[inline]
pub(super) fn median(ascending: &[f64]) -> f64 {
    let n = ascending.len();
    (ascending[(n - 1) / 2] + ascending[n / 2]) / 2.0
}

/// The standard deviation that normal values with this spread have: by the median absolute deviation; if that is 0, as
/// more than half are equal, by the mean absolute deviation (Iglewicz and Hoaglin, How to detect and handle outliers,
/// 1993); 0 if all are equal.
pub(super) fn spread(ascending: &[f64], median: f64) -> f64 {
    let n = ascending.len();
    let split = ascending.partition_point(|v| *v < median);
    let mad = (nearest(ascending, split, median, (n - 1) / 2) + nearest(ascending, split, median, n / 2)) / 2.0;
    if mad > 0.0 {
        return SIGMAS_PER_MAD * mad;
    }
    SIGMAS_PER_MEAN_DEVIATION * ascending.iter().map(|v| (v - median).abs()).sum::<f64>() / n as f64
}

/// The distance from `median` of the value that is `rank`th (from 0) by distance. Distances grow from `split` both ways,
/// so they are two sorted lists, of which a binary search finds how many of the first `rank` are to the left.
fn nearest(ascending: &[f64], split: usize, median: f64, rank: usize) -> f64 {
    let rights = ascending.len() - split;
    let left = |i: usize| if i < split { median - ascending[split - 1 - i] } else { f64::INFINITY };
    let right = |j: usize| if j < rights { ascending[split + j] - median } else { f64::INFINITY };
    let (mut least, mut most) = (rank.saturating_sub(rights), rank.min(split));
    while least < most {
        let i = least.midpoint(most);
        if right(rank - i - 1) > left(i) {
            least = i + 1;
        } else {
            most = i;
        }
    }
    left(least).min(right(rank - least))
}

/// Sorts values (not none) and gives their median and spread.
pub(super) fn centre_and_spread(values: &mut [f64]) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let centre = median(values);
    (centre, spread(values, centre))
}

/// An error as it is learnt from: at most two sigmas.
#[inline]
pub(super) fn clipped(error: f64, sigma: f64) -> f64 {
    error.clamp(-CLIP_SIGMAS * sigma, CLIP_SIGMAS * sigma)
}

/// The size of errors, smoothed exponentially; one error of any size raises its square by at most 1.52 × the gain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) variance: f64,
}

impl Scale {
    pub(super) fn of(sigma: f64) -> Self {
        Self { variance: sigma * sigma }
    }

    /// Sigma, and never less than what rounding makes of values `near` this.
    #[inline]
    pub(super) fn sigma(self, near: f64) -> f64 {
        self.variance.sqrt().max(ROUNDING * near.abs()).max(f64::MIN_POSITIVE)
    }

    /// Learns an error of a value `near` this, with a gain of at most 1.
    #[inline]
    pub(super) fn learn(&mut self, error: f64, near: f64, gain: f64) {
        let sigma = self.sigma(near);
        let had_spread = self.variance.sqrt() >= sigma;
        self.variance = if !had_spread && error.abs() > CLIP_SIGMAS * sigma {
            // Where there was no spread, nothing says that the first error is too large.
            gain * error * error
        } else {
            self.variance * (1.0 - gain) + gain * bounded_square(error, sigma)
        };
    }
}

/// An error as sigma learns from it: its square if it is small; at most 2.52 squared sigmas.
pub(super) fn bounded_square(error: f64, sigma: f64) -> f64 {
    biweight(error / sigma) * sigma * sigma
}

/// Tukey's biweight: close to `ratio²` for small ones, constant beyond two.
fn biweight(ratio: f64) -> f64 {
    let inside = 1.0 - (ratio / CLIP_SIGMAS).powi(2);
    if inside > 0.0 { BIWEIGHT * (1.0 - inside * inside * inside) } else { BIWEIGHT }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_spread_is_the_median_of_all_distances(mut values in prop::collection::vec(-9i8..9, 1..40)) {
            values.sort_unstable();
            let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            let centre = median(&values);
            let mut distances: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
            distances.sort_unstable_by(f64::total_cmp);
            let mad = median(&distances);
            let mean = distances.iter().sum::<f64>() / distances.len() as f64;
            let expected = if mad > 0.0 { SIGMAS_PER_MAD * mad } else { SIGMAS_PER_MEAN_DEVIATION * mean };
            prop_assert!((spread(&values, centre) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_biweight_of_a_normal_error_is_one_on_average() {
        let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = 1e-4;
        let points = (-100_000..100_000).map(|i| (f64::from(i) + 0.5) * step);
        let mean: f64 = points.map(|x| biweight(x) * density(x) * step).sum();
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
    }
}
