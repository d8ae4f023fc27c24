//! Random bits by position: the same answer for the same seed, column and row, in any order. It must not know types.

/// The random bits of one column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise(u64);

impl Noise {
    /// Of column `name` under `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        Self(name.bytes().fold(scramble(seed), |state, byte| scramble(state ^ u64::from(byte))))
    }

    /// Another column of bits, for a second draw on the same row.
    pub fn other(self, lane: u64) -> Self {
        Self(scramble(self.0 ^ scramble(lane)))
    }

    /// The bits of row `row`.
    #[inline]
    pub fn bits(self, row: u64) -> u64 {
        scramble(self.0.wrapping_add(row.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A number below `bound` (at least 1), evenly but for a bias below 2⁻⁶⁴ × bound.
    #[inline]
    pub fn below(self, row: u64, bound: u64) -> u64 {
        let product = u128::from(self.bits(row)) * u128::from(bound);
        u64::try_from(product >> 64).expect("the high half of a product is below 2^64")
    }

    /// A number from 0 to 1, 1 excluded.
    #[inline]
    pub fn unit(self, row: u64) -> f64 {
        (self.bits(row) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A bijection of 64-bit numbers that spreads every bit over all others (the SplitMix64 finisher).
#[inline]
fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ (value >> 31)).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_and_differ_by_column_and_seed() {
        let noise = Noise::new(1, "a");
        let mut counts = [0u32; 10];
        for row in 0..100_000 {
            counts[usize::try_from(noise.below(row, 10)).expect("below 10")] += 1;
        }
        assert!(counts.iter().all(|n| (9_600..10_400).contains(n)), "{counts:?}");
        let mean = (0..100_000).map(|row| noise.unit(row)).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert_ne!(noise.bits(0), Noise::new(2, "a").bits(0));
        assert_ne!(noise.bits(0), Noise::new(1, "b").bits(0));
        assert_ne!(noise.bits(0), noise.other(1).bits(0));
    }
}
