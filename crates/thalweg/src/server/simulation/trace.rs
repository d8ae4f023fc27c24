//! `Trace`: everything that was decided and what came of it, as one number, and the last of it as text. Two runs of a seed
//! have the same. It must not know what the numbers mean.

use std::collections::VecDeque;
use std::fmt::Write as _;

use thalweg_core::hash_bytes;

/// Turns that a failure shows.
const SHOWN: usize = 40;

#[derive(Debug, Default)]
pub(super) struct Trace {
    hash: u64,
    turns: u64,
    last: VecDeque<(u64, &'static str, Vec<u64>)>,
}

impl Trace {
    /// Something was decided, or came of what was.
    pub fn note(&mut self, what: &'static str, numbers: &[u64]) {
        self.turns += 1;
        self.hash = (self.hash ^ hash_bytes(what.as_bytes())).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        for number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31);
        }
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back((self.turns, what, numbers.to_vec()));
    }

    /// All of it as one number.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last of it, a line each.
    pub fn tail(&self) -> String {
        self.last.iter().fold(String::new(), |mut text, (turn, what, numbers)| {
            let _ = writeln!(text, "{turn:>8} {what} {numbers:?}");
            text
        })
    }
}
