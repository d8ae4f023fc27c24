//! `Chance`: numbers that look like chance and are the same every time, of a seed, a stream and a moment. They have no
//! state, so whoever begins in the middle gets what everybody else gets. It must not know what they are for.

/// Chance of one seed and purpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self(mixed(seed ^ mixed(purpose)))
    }

    pub(super) fn bits(self, stream: u64, at: i64) -> u64 {
        mixed(self.0 ^ mixed(stream ^ mixed(at.cast_unsigned())))
    }

    /// Evenly, from 0 to below 1.
    pub(super) fn unit(self, stream: u64, at: i64) -> f64 {
        // 53 bits are what a double holds.
        (self.bits(stream, at) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `0..below`.
    pub(super) fn one_of(self, stream: u64, at: i64, below: usize) -> usize {
        usize::try_from(self.bits(stream, at) % below.max(1) as u64).unwrap_or(0)
    }

    /// Around 0 with a deviation of 1, as a bell nearly, and never beyond 3.5.
    pub(super) fn bell(self, stream: u64, at: i64) -> f64 {
        let four = (0..4).map(|i| self.unit(stream.wrapping_mul(4).wrapping_add(i), at)).sum::<f64>();
        (four - 2.0) * 3.0_f64.sqrt()
    }

    /// A line that wanders between -1 and 1 and turns about once in `period`.
    pub(super) fn wave(self, stream: u64, at: i64, period: i64) -> f64 {
        let height = |knot| 2.0 * self.unit(stream, knot) - 1.0;
        let (knot, share) = (at.div_euclid(period), at.rem_euclid(period) as f64 / period as f64);
        let (from, to) = (height(knot), height(knot + 1));
        from + (to - from) * share * share * (3.0 - 2.0 * share)
    }
}

/// SplitMix64.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn it_is_the_same_every_time_and_another_for_each_seed() {
        let (one, two) = (Chance::new(1, 0), Chance::new(2, 0));
        assert_eq!(one.bits(3, -5), Chance::new(1, 0).bits(3, -5));
        assert_ne!(one.bits(3, -5), two.bits(3, -5));
        assert_ne!(one.bits(3, 5), one.bits(4, 5));
    }

    #[test]
    fn it_keeps_its_bounds_and_is_spread_as_it_says() {
        let chance = Chance::new(7, 1);
        let bells: Vec<f64> = (0..10_000).map(|at| chance.bell(0, at)).collect();
        let mean = bells.iter().sum::<f64>() / 10_000.0;
        let deviation = (bells.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / 10_000.0).sqrt();
        assert!(mean.abs() < 0.05 && (deviation - 1.0).abs() < 0.05, "{mean} {deviation}");
        assert!(bells.iter().all(|b| b.abs() < 3.5));
        assert!((-5_000..5_000).all(|at| chance.wave(1, at, 100).abs() <= 1.0));
        let steps = (-5_000..5_000).map(|at| (chance.wave(1, at, 1000) - chance.wave(1, at + 1, 1000)).abs());
        assert!(steps.fold(0.0, f64::max) < 0.01, "it does not jump");
    }
}
