//! `Trees`: the shape of a forest of half-space trees in the unit cube, drawn from a seed alone, so that all keys share
//! it. It must not know what is counted in it.
//!
//! Tan, Ting and Liu, Fast anomaly detection for streaming data, 2011: each tree has its own work range around the cube;
//! each inner node halves, at the middle, the range of one column drawn at random.

/// A tree is an array of nodes in breadth-first order: the children of node `n` are `2n + 1` and `2n + 2`.
pub(super) struct Trees {
    /// Of every inner node of every tree.
    splits: Vec<Split>,
    trees: usize,
    depth: usize,
}

#[derive(Clone, Copy, Default)]
struct Split {
    at: f64,
    column: u32,
}

impl Trees {
    /// `trees` trees of `depth` halvings over `columns` columns.
    pub(super) fn grow(trees: usize, depth: usize, columns: usize, seed: u64) -> Self {
        let mut random = SplitMix(seed);
        let mut splits = Vec::with_capacity(trees * inner_nodes(depth));
        for _ in 0..trees {
            let range = |random: &mut SplitMix| {
                let middle = random.unit();
                let half = 2.0 * middle.max(1.0 - middle);
                (middle - half, middle + half)
            };
            let root: Vec<(f64, f64)> = (0..columns).map(|_| range(&mut random)).collect();
            let mut tree = vec![Split::default(); inner_nodes(depth)];
            grow(&mut tree, 0, root, &mut random);
            splits.extend(tree);
        }
        Self { splits, trees, depth }
    }

    /// Nodes of one tree, leaves too.
    pub(super) fn nodes(&self) -> usize {
        2 * inner_nodes(self.depth) + 1
    }

    pub(super) fn trees(&self) -> usize {
        self.trees
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The nodes of a tree that hold a point, from the root to a leaf.
    #[inline]
    pub(super) fn path(&self, tree: usize, point: &[f64]) -> impl Iterator<Item = usize> {
        let inner = inner_nodes(self.depth);
        let splits = &self.splits[tree * inner..][..inner];
        let mut node = 0;
        (0..=self.depth).map(move |_| {
            let here = node;
            if let Some(split) = splits.get(node) {
                node = 2 * node + 1 + usize::from(point[split.column as usize] >= split.at);
            }
            here
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.splits.capacity() * size_of::<Split>()
    }
}

fn inner_nodes(depth: usize) -> usize {
    (1 << depth) - 1
}

fn grow(tree: &mut [Split], node: usize, range: Vec<(f64, f64)>, random: &mut SplitMix) {
    if node >= tree.len() {
        return;
    }
    let column = random.below(range.len() as u64) as usize;
    let (low, high) = range[column];
    let at = low + (high - low) / 2.0;
    tree[node] = Split { at, column: column as u32 };
    let (mut left, mut right) = (range.clone(), range);
    left[column].1 = at;
    right[column].0 = at;
    grow(tree, 2 * node + 1, left, random);
    grow(tree, 2 * node + 2, right, random);
}

/// Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Below `end`, by the high bits of a product.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}
