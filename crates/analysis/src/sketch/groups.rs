//! The sketches of all groups of one aggregate call. It must not know SQL or how a sketch works inside.

use arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder};
use arrow::buffer::NullBuffer;

use super::SketchError;
use super::any::AnySketch;
use super::distinct::Distinct;
use super::filter::Filter;
use super::frequent::Frequent;
use super::limits::MOST_ARRAY_BYTES;
use super::quantiles::Quantiles;

/// The sketches of all groups of one aggregate call. Groups are dense numbers; a group that was never touched is empty.
///
/// Insert-only: a row cannot be taken back. Whoever aggregates changing input recomputes the group or refuses.
pub trait GroupSketches: Send + Sync {
    /// Adds rows: row *i* belongs to `groups[i]` and has `values[i]`. NULLs are skipped. Grows to the largest group.
    ///
    /// # Errors
    /// A value that cannot be added; rows before it are.
    fn update(&mut self, groups: &[u32], values: &ArrayRef) -> Result<(), SketchError>;

    /// Adds saved states to their groups. NULLs are skipped. Grows to the largest group.
    ///
    /// # Errors
    /// Bytes that are damaged or of another kind of sketch; states before them are added.
    fn merge(&mut self, groups: &[u32], states: &BinaryArray) -> Result<(), SketchError>;

    /// The states of `groups` as bytes: for [`merge`](Self::merge) here or elsewhere, now or in later releases.
    ///
    /// # Errors
    /// More than 2 GiB together.
    fn save(&self, groups: &[u32]) -> Result<BinaryArray, SketchError>;

    /// The aggregate's SQL results of `groups`.
    ///
    /// # Errors
    /// Results of more than 2 GiB together.
    fn result(&self, groups: &[u32]) -> Result<ArrayRef, SketchError>;

    /// Empties `groups`.
    fn forget(&mut self, groups: &[u32]);

    /// Bytes held by all groups. Cheap: it is kept, not counted.
    fn bytes(&self) -> usize;
}

/// One kind of sketch, as its groups need it.
pub(crate) trait Sketch: Clone + Send + Sync {
    /// # Errors
    /// It is another kind.
    fn of(any: AnySketch) -> Result<Self, SketchError>;
    /// # Errors
    /// They do not fit together.
    fn absorb(&mut self, other: Self) -> Result<(), SketchError>;
    fn bytes_of(&self) -> Vec<u8>;
    /// Bytes on the heap, at once.
    fn heap(&self) -> usize;
}

/// How rows reach the sketches of an aggregate, and what it answers.
pub(crate) trait Aggregate: Send + Sync {
    type Sketch: Sketch;
    fn empty(&self) -> Self::Sketch;
    /// # Errors
    /// A type or value that cannot be added.
    fn update(&mut self, cells: &mut Cells<Self::Sketch>, rows: &Rows<'_>) -> Result<(), SketchError>;
    /// # Errors
    /// The answers are too long.
    fn answer(&self, sketches: &mut dyn Iterator<Item = &Self::Sketch>) -> Result<ArrayRef, SketchError>;
}

/// Rows and their groups.
pub(crate) struct Rows<'a> {
    pub(crate) groups: &'a [u32],
    pub(crate) values: &'a ArrayRef,
    pub(crate) nulls: Option<NullBuffer>,
}

impl Rows<'_> {
    /// Calls `f(row, group)` for each row that is not null.
    #[inline]
    pub(crate) fn each(&self, mut f: impl FnMut(usize, u32)) {
        match &self.nulls {
            None => self.groups.iter().enumerate().for_each(|(row, group)| f(row, *group)),
            Some(nulls) => nulls.valid_indices().for_each(|row| f(row, self.groups[row])),
        }
    }
}

/// A sketch a group, and what they hold together.
pub(crate) struct Cells<S> {
    cells: Vec<S>,
    heap: usize,
}

impl<S: Sketch> Cells<S> {
    /// Changes the sketch of a group and keeps account of its memory.
    #[inline]
    pub(crate) fn with<R>(&mut self, group: u32, change: impl FnOnce(&mut S) -> R) -> R {
        let cell = &mut self.cells[group as usize];
        let before = cell.heap();
        let result = change(cell);
        self.heap = self.heap + cell.heap() - before;
        result
    }

    fn grow(&mut self, groups: &[u32], empty: &S) {
        let needed = groups.iter().max().map_or(0, |most| *most as usize + 1);
        if needed > self.cells.len() {
            self.cells.resize(needed, empty.clone());
        }
    }
}

/// The groups of an aggregate.
pub(crate) struct Grouped<A: Aggregate> {
    aggregate: A,
    empty: A::Sketch,
    cells: Cells<A::Sketch>,
    /// The result is the sketch itself.
    as_bytes: bool,
}

impl<A: Aggregate> Grouped<A> {
    pub(crate) fn new(aggregate: A, as_bytes: bool) -> Self {
        let empty = aggregate.empty();
        Self { aggregate, empty, cells: Cells { cells: Vec::new(), heap: 0 }, as_bytes }
    }

    fn get(&self, group: u32) -> &A::Sketch {
        self.cells.cells.get(group as usize).unwrap_or(&self.empty)
    }
}

impl<A: Aggregate> GroupSketches for Grouped<A> {
    fn update(&mut self, groups: &[u32], values: &ArrayRef) -> Result<(), SketchError> {
        same_length(groups, values.as_ref())?;
        self.cells.grow(groups, &self.empty);
        let nulls = values.logical_nulls().filter(|n| n.null_count() > 0);
        self.aggregate.update(&mut self.cells, &Rows { groups, values, nulls })
    }

    fn merge(&mut self, groups: &[u32], states: &BinaryArray) -> Result<(), SketchError> {
        same_length(groups, states)?;
        self.cells.grow(groups, &self.empty);
        for (group, state) in groups.iter().zip(states) {
            if let Some(state) = state {
                let other = A::Sketch::of(AnySketch::decode(state)?)?;
                self.cells.with(*group, |cell| cell.absorb(other))?;
            }
        }
        Ok(())
    }

    fn save(&self, groups: &[u32]) -> Result<BinaryArray, SketchError> {
        binary(groups.iter().map(|group| Some(self.get(*group).bytes_of())))
    }

    fn result(&self, groups: &[u32]) -> Result<ArrayRef, SketchError> {
        if self.as_bytes {
            return Ok(std::sync::Arc::new(self.save(groups)?));
        }
        self.aggregate.answer(&mut groups.iter().map(|group| self.get(*group)))
    }

    fn forget(&mut self, groups: &[u32]) {
        let held = self.cells.cells.len();
        for group in groups.iter().filter(|group| (**group as usize) < held) {
            self.cells.with(*group, |cell| *cell = self.empty.clone());
        }
    }

    fn bytes(&self) -> usize {
        self.cells.heap + self.cells.cells.capacity() * size_of::<A::Sketch>()
    }
}

/// # Errors
/// The lengths differ.
pub(crate) fn same_length(groups: &[u32], values: &dyn Array) -> Result<(), SketchError> {
    match groups.len() == values.len() {
        true => Ok(()),
        false => Err(SketchError::Rows(groups.len(), values.len())),
    }
}

/// An array of byte strings.
///
/// # Errors
/// They are longer together than one array can hold.
pub(crate) fn binary(states: impl Iterator<Item = Option<Vec<u8>>>) -> Result<BinaryArray, SketchError> {
    let mut builder = BinaryBuilder::new();
    let mut total = 0_usize;
    for state in states {
        total += state.as_ref().map_or(0, Vec::len);
        if total > MOST_ARRAY_BYTES {
            return Err(SketchError::TooManyBytes { limit: MOST_ARRAY_BYTES });
        }
        builder.append_option(state);
    }
    Ok(builder.finish())
}

macro_rules! sketch {
    ($type:ty, $variant:path, $name:literal, $absorb:expr) => {
        impl Sketch for $type {
            fn of(any: AnySketch) -> Result<Self, SketchError> {
                match any {
                    $variant(sketch) => Ok(sketch),
                    other => Err(SketchError::Kinds { left: $name, right: other.kind() }),
                }
            }

            fn absorb(&mut self, other: Self) -> Result<(), SketchError> {
                let absorb: fn(&mut Self, Self) -> Result<(), SketchError> = $absorb;
                absorb(self, other)
            }

            fn bytes_of(&self) -> Vec<u8> {
                self.encode()
            }

            #[inline]
            fn heap(&self) -> usize {
                self.heap_bytes()
            }
        }
    };
}

sketch!(Distinct, AnySketch::Distinct, "distinct values", |a, b| {
    a.merge(b);
    Ok(())
});
sketch!(Quantiles, AnySketch::Quantiles, "quantiles", |a, b| {
    a.merge(b);
    Ok(())
});
sketch!(Filter, AnySketch::Filter, "membership", Filter::merge);
sketch!(Frequent<i64>, AnySketch::Words, "frequent values", same_tag);
sketch!(Frequent<Box<[u8]>>, AnySketch::Texts, "frequent values", same_tag);

fn same_tag<K: super::frequent::Key>(ours: &mut Frequent<K>, theirs: Frequent<K>) -> Result<(), SketchError> {
    let kind =
        |sketch: &Frequent<K>| super::tag::Tag::of(sketch.tag()).map_or("frequent values", super::tag::Tag::kind);
    if ours.tag() != theirs.tag() {
        return Err(SketchError::Kinds { left: kind(ours), right: kind(&theirs) });
    }
    ours.merge(theirs);
    Ok(())
}
