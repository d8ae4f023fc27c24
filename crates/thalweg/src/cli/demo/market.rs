//! Trades of six shares that do not exist: prices wander, and now and then one breaks away. Pure: the same seed and
//! moment give the same trades. It must not know clocks and tables.

use super::chance::Chance;

/// What is traded, and about what it costs: alike, so that all are seen in one chart.
pub(super) const SHARES: [(&str, f64); 6] =
    [("ALDER", 104.0), ("BIRCH", 96.0), ("CEDAR", 110.0), ("HAZEL", 90.0), ("MAPLE", 100.0), ("ROWAN", 86.0)];

/// Milliseconds between two moments at which a share can be traded.
pub(super) const TICK: i64 = 100;

/// Milliseconds from one break to the next; each takes [`BREAK`] of them.
const BREAKS: i64 = 40_000;
const BREAK: i64 = 6_000;
/// The first begins so long after the origin.
const FIRST_BREAK: i64 = 2_000;
/// How far a price breaks away.
const DEPTH: f64 = 0.06;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trade {
    /// Milliseconds since 1970.
    pub ts: i64,
    pub symbol: &'static str,
    pub price: f64,
    pub quantity: i64,
    pub bid: f64,
    pub ask: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Market {
    chance: Chance,
    /// When the demo began; what is planted is planted so long after it.
    origin: i64,
}

impl Market {
    pub(super) fn new(seed: u64, origin: i64) -> Self {
        Self { chance: Chance::new(seed, 1), origin }
    }

    /// The trades after `after`, up to `until`, by time.
    pub(super) fn between(&self, after: i64, until: i64) -> Vec<Trade> {
        let ticks = after.div_euclid(TICK) + 1..=until.div_euclid(TICK);
        ticks.flat_map(|tick| (0..SHARES.len()).filter_map(move |share| self.trade(share, tick * TICK))).collect()
    }

    /// The trade of a share at that moment, if there is one: more often than not.
    fn trade(&self, share: usize, ts: i64) -> Option<Trade> {
        let (symbol, base) = SHARES[share];
        let stream = share as u64 * 16;
        if self.chance.unit(stream, ts) >= 0.7 {
            return None;
        }
        let wave = |i, period| self.chance.wave(stream + i, ts, period);
        let wander =
            0.04 * wave(1, 3_600_000) + 0.012 * wave(2, 400_000) + 0.008 * wave(3, 45_000) + 0.003 * wave(4, 6_000);
        let away = self.away(share, ts);
        let middle = base * (wander + 0.0001 * self.chance.bell(stream + 5, ts)).exp() * (1.0 + away);
        // Who must trade while a price breaks away pays for it.
        let half = middle * (0.0002 + 0.0001 * self.chance.unit(stream + 10, ts) + 0.03 * away.abs());
        let bid = cents(middle - half);
        let ask = cents(middle + half).max(cents(bid + 0.01));
        let buys = self.chance.unit(stream + 11, ts) < 0.5;
        let hurry = if away == 0.0 { 1.0 } else { 4.0 };
        let lots = 1.0 + 19.0 * self.chance.unit(stream + 12, ts).powi(3) * hurry;
        Some(Trade { ts, symbol, price: if buys { ask } else { bid }, quantity: lots as i64 * 10, bid, ask })
    }

    /// How far the share has broken away, as a share of its price.
    fn away(&self, share: usize, ts: i64) -> f64 {
        let since = ts - self.origin - FIRST_BREAK;
        let (number, phase) = (since.div_euclid(BREAKS), since.rem_euclid(BREAKS));
        if phase >= BREAK || self.chance.one_of(1_000, number, SHARES.len()) != share {
            return 0.0;
        }
        // Down or up in the first sixth, back in the last half.
        let (phase, sixth) = (phase as f64, BREAK as f64 / 6.0);
        let depth = (phase / sixth).min((BREAK as f64 - phase) / (3.0 * sixth)).min(1.0) * DEPTH;
        if self.chance.bits(1_001, number).is_multiple_of(2) { depth } else { -depth }
    }
}

fn cents(price: f64) -> f64 {
    (price * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: i64 = 1_800_000_000_123;

    #[test]
    fn the_same_seed_and_moment_give_the_same_trades() {
        let (one, other) = (Market::new(1, ORIGIN), Market::new(2, ORIGIN));
        let whole = one.between(ORIGIN - 10_000, ORIGIN);
        assert_eq!(whole, Market::new(1, ORIGIN).between(ORIGIN - 10_000, ORIGIN));
        assert_ne!(whole, other.between(ORIGIN - 10_000, ORIGIN));
        // However the time is cut.
        let cuts: Vec<i64> = (0..=100).map(|i| ORIGIN - 10_000 + i * 100).collect();
        let parts: Vec<Trade> = cuts.windows(2).flat_map(|cut| one.between(cut[0], cut[1])).collect();
        assert_eq!(whole, parts);
    }

    #[test]
    fn trades_are_in_order_and_within_bounds() {
        let trades = Market::new(3, ORIGIN).between(ORIGIN - 300_000, ORIGIN + 300_000);
        assert!((23_500..27_000).contains(&trades.len()), "{}", trades.len());
        assert!(trades.is_sorted_by_key(|t| t.ts));
        for t in trades {
            assert!((70.0..130.0).contains(&t.price) && t.bid < t.ask, "{t:?}");
            assert!(t.bid <= t.price && t.price <= t.ask && (10..=800).contains(&t.quantity), "{t:?}");
        }
    }

    #[test]
    fn soon_a_price_breaks_away_and_comes_back() {
        let market = Market::new(1, ORIGIN);
        let far = |ts| (0..SHARES.len()).map(|share| market.away(share, ts).abs()).fold(0.0, f64::max);
        assert!(far(ORIGIN + 3_000) > 0.05);
        assert_eq!(far(ORIGIN + FIRST_BREAK + BREAK), 0.0);
        assert!(far(ORIGIN + 3_000 + BREAKS) > 0.05);
    }
}
