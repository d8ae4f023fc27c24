//! `anomaly_half_space`: rows of several columns against a forest that counts how many rows came near. It must not know
//! keys.
//!
//! Tan, Ting and Liu, Fast anomaly detection for streaming data, 2011. A row falls through each tree until a node holds
//! few rows of the last full window: a node of mass r at depth k stands for a density of r × 2ᵏ. The paper adds the trees'
//! densities up, so the trees in which a row lies in a crowd decide; here their logarithms are added, on a scale from 0 to
//! 1, which sets odd rows further apart from usual ones. Rows are counted for the window after theirs, so an anomaly does not
//! hide itself, and rare ones do not hide each other.
//!
//! The paper asks for columns in [0, 1]. Here the first window says what 0 and 1 are, by quantiles, so that anomalies
//! among its rows do not stretch the cube; and if most rows of a later window lie outside, the key begins anew.

use super::bytes::{Fault, Reader, Writer};
use super::keyed::{Keyed, Method};
use super::signature::{Parameter, Range, Signature};
use super::trees::Trees;

/// A node with at most this part of a window is not divided further: `sizeLimit` of the paper.
const FEW: f64 = 0.1;
/// The part of the first window's values below the inner range of a column, and above it.
const TAIL: f64 = 0.05;

pub(super) const SIGNATURE: Signature = Signature {
    name: "anomaly_half_space",
    summary: "How empty the neighbourhood of a row was in the last window, over several columns",
    columns: 1..=32,
    parameters: &[
        Parameter::whole("trees", 25.0, Range::between(1.0, 200.0), "trees; more make the score steadier"),
        Parameter::whole("depth", 8.0, Range::between(1.0, 15.0), "halvings of a tree; each doubles the memory"),
        Parameter::whole("window", 250.0, Range::between(10.0, 50_000.0), "rows of a window"),
        Parameter::whole("seed", 42.0, Range::between(0.0, 9_007_199_254_740_992.0), "seed of the trees"),
    ],
    score: "0 where rows are densest, 1 where there were none; 0.5 if rows were spread evenly",
    threshold: Some(0.45),
    make: |given| {
        let trees = Trees::grow(given.whole(0), given.whole(1), given.columns, given.whole(3) as u64);
        let window = given.whole(2) as u16;
        let most_crowd = (f64::from(window) * (1u64 << trees.depth()) as f64).ln_1p();
        let method = HalfSpace { columns: given.columns, window, few: FEW * f64::from(window), most_crowd, trees };
        Ok(Box::new(Keyed::new(given.signature.name, given.columns, &given.parameters, method)))
    },
};

struct HalfSpace {
    columns: usize,
    window: u16,
    few: f64,
    /// ln(1 + the density of a leaf that holds a whole window).
    most_crowd: f64,
    trees: Trees,
}

enum State {
    /// The rows of the first window, one after the other.
    Learning(Vec<f64>),
    Counting(Counts),
}

struct Counts {
    columns: Box<[Column]>,
    /// Of every node of every tree.
    nodes: Box<[Mass]>,
    /// Rows in the window that is being counted.
    rows: u16,
}

#[derive(Clone, Copy)]
struct Column {
    /// Becomes 0, and what becomes 1 is so much above it.
    low: f64,
    width: f64,
    /// Rows of this window that are outside.
    outside: u16,
}

#[derive(Clone, Copy, Default)]
struct Mass {
    last: u16,
    now: u16,
}

impl Column {
    /// The inner range of some values, and as much again around it.
    fn around(values: &mut [f64]) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let most = values.len() - 1;
        let tail = (TAIL * most as f64) as usize;
        let (low, high) = (values[tail], values[most - tail]);
        let (low, high) = if low < high { (low, high) } else { (values[0], values[most]) };
        let inner = if low < high { high - low } else { low.abs().max(1.0) };
        Self { low: low - inner / 2.0, width: 2.0 * inner, outside: 0 }
    }

    #[inline]
    fn place(self, value: f64) -> f64 {
        (value - self.low) / self.width
    }
}

impl HalfSpace {
    fn count(&self, rows: &[f64]) -> Counts {
        let of_column = |c: usize| rows.iter().skip(c).step_by(self.columns).copied().collect::<Vec<_>>();
        let columns = (0..self.columns).map(|c| Column::around(&mut of_column(c))).collect();
        let nodes = vec![Mass::default(); self.trees.trees() * self.trees.nodes()].into_boxed_slice();
        let mut counts = Counts { columns, nodes, rows: 0 };
        for row in rows.chunks_exact(self.columns) {
            self.add(&mut counts, row);
        }
        counts.turn();
        counts
    }

    /// Counts a row and gives ln(1 + its density in the last window), the mean over the trees.
    fn add(&self, counts: &mut Counts, row: &[f64]) -> f64 {
        const MOST_COLUMNS: usize = *SIGNATURE.columns.end();
        let mut place = [0.0; MOST_COLUMNS];
        for ((place, column), value) in place.iter_mut().zip(&mut counts.columns).zip(row) {
            *place = column.place(*value);
            column.outside += u16::from(!(0.0..=1.0).contains(place));
        }
        counts.rows += 1;
        let mut sum = 0.0;
        for tree in 0..self.trees.trees() {
            let nodes = &mut counts.nodes[tree * self.trees.nodes()..][..self.trees.nodes()];
            let mut thins_out = 1.0;
            let mut few = false;
            let mut density = 0.0;
            for node in self.trees.path(tree, &place) {
                let mass = &mut nodes[node];
                mass.now += 1;
                if !few {
                    let last = f64::from(mass.last);
                    density = last * thins_out;
                    few = last <= self.few;
                    thins_out *= 2.0;
                }
            }
            sum += density.ln_1p();
        }
        sum / self.trees.trees() as f64
    }
}

impl Counts {
    /// The window is full: what was counted is what is compared with.
    fn turn(&mut self) {
        for mass in &mut self.nodes {
            *mass = Mass { last: mass.now, now: 0 };
        }
        for column in &mut self.columns {
            column.outside = 0;
        }
        self.rows = 0;
    }
}

impl Method for HalfSpace {
    type State = State;

    fn fresh(&self) -> State {
        State::Learning(Vec::new())
    }

    fn score(&self, state: &mut State, _time: i64, inputs: &[f64]) -> Option<f64> {
        match state {
            State::Learning(rows) => {
                rows.extend_from_slice(inputs);
                if rows.len() >= usize::from(self.window) * self.columns {
                    *state = State::Counting(self.count(rows));
                }
                None
            }
            State::Counting(counts) => {
                let crowd = self.add(counts, inputs);
                if counts.rows >= self.window {
                    let strange = counts.columns.iter().any(|c| c.outside > self.window / 2);
                    if strange {
                        *state = self.fresh();
                    } else {
                        counts.turn();
                    }
                }
                Some(1.0 - crowd / self.most_crowd)
            }
        }
    }

    fn write(&self, state: &State, to: &mut Writer) {
        match state {
            State::Learning(rows) => {
                to.u8(0);
                to.f64s(rows.iter().copied());
            }
            State::Counting(counts) => {
                to.u8(1);
                to.u16(counts.rows);
                for column in &counts.columns {
                    to.f64(column.low);
                    to.f64(column.width);
                    to.u16(column.outside);
                }
                for mass in &counts.nodes {
                    to.u16(mass.last);
                    to.u16(mass.now);
                }
            }
        }
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<State, Fault> {
        match from.u8()? {
            0 => {
                let rows = from.f64s((usize::from(self.window) - 1) * self.columns)?;
                if rows.len() % self.columns != 0 {
                    return Err("a row of its first window is cut off");
                }
                Ok(State::Learning(rows))
            }
            1 => {
                let at_most = |n: u16, most: u16| if n <= most { Ok(n) } else { Err("it has counted too much") };
                let rows = at_most(from.u16()?, self.window - 1)?;
                let column = |_| {
                    let (low, width) = (from.f64()?, from.f64()?);
                    if width <= 0.0 {
                        return Err("a column has no width");
                    }
                    Ok(Column { low, width, outside: at_most(from.u16()?, rows)? })
                };
                let columns = (0..self.columns).map(column).collect::<Result<_, Fault>>()?;
                let mut node =
                    |_| Ok(Mass { last: at_most(from.u16()?, self.window)?, now: at_most(from.u16()?, rows)? });
                let nodes = self.trees.trees() * self.trees.nodes();
                let nodes = (0..nodes).map(&mut node).collect::<Result<_, Fault>>()?;
                Ok(State::Counting(Counts { columns, nodes, rows }))
            }
            _ => Err("it is neither in warm-up nor past it"),
        }
    }

    fn heap(state: &State) -> usize {
        match state {
            State::Learning(rows) => rows.capacity() * size_of::<f64>(),
            State::Counting(counts) => size_of_val(&*counts.columns) + size_of_val(&*counts.nodes),
        }
    }

    fn shared(&self) -> usize {
        self.trees.bytes()
    }
}
