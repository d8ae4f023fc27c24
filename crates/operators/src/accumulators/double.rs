//! `Double`: a sum of floats carried in two words, so that removing what was added leaves (nearly) nothing behind.
//! It must not know groups.

/// About 106 bits of precision: `high + low`, `low` below half a unit of `high`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Double {
    pub(super) high: f64,
    pub(super) low: f64,
}

impl Double {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        let (sum, error) = two_sum(self.high, value);
        let (high, low) = two_sum(sum, error + self.low);
        self.high = high;
        self.low = low;
    }

    #[inline]
    pub(super) fn add_double(&mut self, other: Self) {
        self.add(other.high);
        self.add(other.low);
    }

    /// `value` of `weight`: exact for the weights that matter (±1).
    #[inline]
    pub(super) fn add_weighted(&mut self, value: f64, weight: i64) {
        match weight {
            1 => self.add(value),
            -1 => self.add(-value),
            _ => self.add_product(value, weight as f64),
        }
    }

    /// Adds `a × b` without losing its lower half.
    #[inline]
    pub(super) fn add_product(&mut self, a: f64, b: f64) {
        let (product, error) = two_product(a, b);
        self.add(product);
        self.add(error);
    }

    pub(super) fn value(self) -> f64 {
        self.high + self.low
    }

    /// `self − other² ÷ n`.
    pub(super) fn minus_square_over(self, other: Self, n: f64) -> f64 {
        let (square, error) = two_product(other.high, other.high);
        let error = error + 2.0 * other.high * other.low;
        let quotient = square / n;
        let (back, lost) = two_product(quotient, n);
        let rest = ((square - back) - lost + error) / n;
        let mut result = self;
        result.add(-quotient);
        result.add(-rest);
        result.value()
    }
}

#[inline]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let from_b = sum - a;
    let error = (a - (sum - from_b)) + (b - from_b);
    (sum, error)
}

/// Dekker's product: no fused multiply-add needed.
#[inline]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    let (a_high, a_low) = split(a);
    let (b_high, b_low) = split(b);
    let error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    // Splitting overflows near the end of the range; the rounded product is then all there is.
    (product, if error.is_finite() { error } else { 0.0 })
}

#[inline]
fn split(a: f64) -> (f64, f64) {
    let scaled = a * 134_217_729.0;
    let high = scaled - (scaled - a);
    (high, a - high)
}
