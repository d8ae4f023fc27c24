//! The aggregates: from a column's rows to their groups' sketches, and to SQL's answers. It must not know SQL text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Float64Array, Int64Array, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::SketchError;
use super::any::AnySketch;
use super::distinct::Distinct;
use super::filter::Filter;
use super::frequent::{Frequent, Key};
use super::groups::{Aggregate, Cells, GroupSketches, Rows, binary, same_length};
use super::hash::hash_values;
use super::json::{TopJson, top_json};
use super::limits::{MOST_ARRAY_BYTES, MOST_VALUE_BYTES};
use super::number::{keys, number};
use super::quantiles::Quantiles;
use super::tag::{Tag, each_bytes, words};

fn wrong_type(function: &'static str, values: &dyn Array, accepted: &'static str) -> SketchError {
    SketchError::Type { function, found: values.data_type().to_string(), accepted }
}

/// `approx_count_distinct` and `hll_sketch`.
pub(crate) struct CountDistinct {
    pub(crate) precision: u8,
    pub(crate) hashes: Vec<u64>,
}

impl Aggregate for CountDistinct {
    type Sketch = Distinct;

    fn empty(&self) -> Distinct {
        Distinct::new(self.precision)
    }

    fn update(&mut self, cells: &mut Cells<Distinct>, rows: &Rows<'_>) -> Result<(), SketchError> {
        if !hash_values(rows.values, &mut self.hashes) {
            return Err(wrong_type("approx_count_distinct", rows.values, super::signatures::HASHABLE));
        }
        rows.each(|row, group| cells.with(group, |cell| cell.add(self.hashes[row])));
        Ok(())
    }

    fn answer(&self, sketches: &mut dyn Iterator<Item = &Distinct>) -> Result<ArrayRef, SketchError> {
        let counts = sketches.map(|sketch| sketch.estimate().round() as i64);
        Ok(Arc::new(Int64Array::from_iter_values(counts)))
    }
}

/// `bloom_sketch`.
pub(crate) struct Membership {
    pub(crate) empty: Filter,
    pub(crate) hashes: Vec<u64>,
}

impl Aggregate for Membership {
    type Sketch = Filter;

    fn empty(&self) -> Filter {
        self.empty.clone()
    }

    fn update(&mut self, cells: &mut Cells<Filter>, rows: &Rows<'_>) -> Result<(), SketchError> {
        if !hash_values(rows.values, &mut self.hashes) {
            return Err(wrong_type("bloom_sketch", rows.values, super::signatures::HASHABLE));
        }
        rows.each(|row, group| cells.with(group, |cell| cell.add(self.hashes[row])));
        Ok(())
    }

    fn answer(&self, sketches: &mut dyn Iterator<Item = &Filter>) -> Result<ArrayRef, SketchError> {
        Ok(Arc::new(binary(sketches.map(|sketch| Some(sketch.encode())))?))
    }
}

/// `approx_percentile` and `quantile_sketch`.
pub(crate) struct Percentile {
    pub(crate) k: u16,
    pub(crate) fraction: f64,
    pub(crate) keys: Vec<i64>,
}

impl Aggregate for Percentile {
    type Sketch = Quantiles;

    fn empty(&self) -> Quantiles {
        Quantiles::new(self.k)
    }

    fn update(&mut self, cells: &mut Cells<Quantiles>, rows: &Rows<'_>) -> Result<(), SketchError> {
        if !keys(rows.values, &mut self.keys) {
            return Err(wrong_type("approx_percentile", rows.values, super::signatures::ORDERED));
        }
        rows.each(|row, group| cells.with(group, |cell| cell.add(self.keys[row])));
        Ok(())
    }

    fn answer(&self, sketches: &mut dyn Iterator<Item = &Quantiles>) -> Result<ArrayRef, SketchError> {
        let one = |sketch: &Quantiles| Some(number(sketch.at(std::iter::once(self.fraction))?[0]));
        Ok(Arc::new(sketches.map(one).collect::<Float64Array>()))
    }
}

/// `approx_top_k` and `top_k_sketch` over values that are words.
pub(crate) struct TopWords {
    pub(crate) tag: Tag,
    pub(crate) k: u16,
    pub(crate) words: Vec<i64>,
}

impl Aggregate for TopWords {
    type Sketch = Frequent<i64>;

    fn empty(&self) -> Frequent<i64> {
        Frequent::new(self.tag as u8, self.k)
    }

    fn update(&mut self, cells: &mut Cells<Frequent<i64>>, rows: &Rows<'_>) -> Result<(), SketchError> {
        same_tag(self.tag, rows.values)?;
        words(rows.values, &mut self.words);
        rows.each(|row, group| cells.with(group, |cell| cell.add_word(self.words[row])));
        Ok(())
    }

    fn answer(&self, sketches: &mut dyn Iterator<Item = &Frequent<i64>>) -> Result<ArrayRef, SketchError> {
        top_texts(sketches)
    }
}

/// `approx_top_k` and `top_k_sketch` over values that are bytes.
pub(crate) struct TopTexts {
    pub(crate) tag: Tag,
    pub(crate) k: u16,
}

impl Aggregate for TopTexts {
    type Sketch = Frequent<Box<[u8]>>;

    fn empty(&self) -> Frequent<Box<[u8]>> {
        Frequent::new(self.tag as u8, self.k)
    }

    fn update(&mut self, cells: &mut Cells<Frequent<Box<[u8]>>>, rows: &Rows<'_>) -> Result<(), SketchError> {
        same_tag(self.tag, rows.values)?;
        each_bytes(rows.values, |row, bytes| match bytes {
            None => Ok(()),
            Some(bytes) if bytes.len() > MOST_VALUE_BYTES => {
                Err(SketchError::ValueTooLong { bytes: bytes.len(), limit: MOST_VALUE_BYTES })
            }
            Some(bytes) => {
                cells.with(rows.groups[row], |cell| cell.add_bytes(bytes));
                Ok(())
            }
        })
    }

    fn answer(&self, sketches: &mut dyn Iterator<Item = &Frequent<Box<[u8]>>>) -> Result<ArrayRef, SketchError> {
        top_texts(sketches)
    }
}

fn same_tag(tag: Tag, values: &dyn Array) -> Result<(), SketchError> {
    match Tag::of_type(values.data_type()) == Some(tag) {
        true => Ok(()),
        false => Err(wrong_type("approx_top_k", values, "the type of the first call")),
    }
}

fn top_texts<K: Key + TopJson>(sketches: &mut dyn Iterator<Item = &Frequent<K>>) -> Result<ArrayRef, SketchError> {
    let mut builder = StringBuilder::new();
    let (mut text, mut total) = (String::new(), 0);
    for sketch in sketches {
        if sketch.rows() == 0 {
            builder.append_null();
            continue;
        }
        text.clear();
        top_json(sketch, &mut text);
        total += text.len();
        if total > MOST_ARRAY_BYTES {
            return Err(SketchError::TooManyBytes { limit: MOST_ARRAY_BYTES });
        }
        builder.append_value(&text);
    }
    Ok(Arc::new(builder.finish()))
}

/// `sketch_merge`: stored sketches of one kind a group.
#[derive(Default)]
pub(crate) struct Merging {
    cells: Vec<Option<AnySketch>>,
    heap: usize,
}

impl GroupSketches for Merging {
    fn update(&mut self, groups: &[u32], values: &ArrayRef) -> Result<(), SketchError> {
        let stored = match values.data_type() {
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => cast(values, &DataType::Binary),
            _ => return Err(wrong_type("sketch_merge", values, super::signatures::SKETCH)),
        };
        let stored = stored.map_err(|_| SketchError::TooManyBytes { limit: MOST_ARRAY_BYTES })?;
        self.merge(groups, stored.as_any().downcast_ref::<BinaryArray>().expect("cast to Binary"))
    }

    fn merge(&mut self, groups: &[u32], states: &BinaryArray) -> Result<(), SketchError> {
        same_length(groups, states)?;
        let needed = groups.iter().max().map_or(0, |most| *most as usize + 1);
        if needed > self.cells.len() {
            self.cells.resize(needed, None);
        }
        for (group, state) in groups.iter().zip(states) {
            let Some(state) = state else { continue };
            let other = AnySketch::decode(state)?;
            let cell = &mut self.cells[*group as usize];
            let before = cell.as_ref().map_or(0, AnySketch::heap_bytes);
            match cell {
                Some(sketch) => sketch.merge(other)?,
                None => *cell = Some(other),
            }
            self.heap = self.heap + cell.as_ref().map_or(0, AnySketch::heap_bytes) - before;
        }
        Ok(())
    }

    fn save(&self, groups: &[u32]) -> Result<BinaryArray, SketchError> {
        let cell = |group: &u32| self.cells.get(*group as usize).and_then(Option::as_ref);
        binary(groups.iter().map(|group| cell(group).map(AnySketch::encode)))
    }

    fn result(&self, groups: &[u32]) -> Result<ArrayRef, SketchError> {
        Ok(Arc::new(self.save(groups)?))
    }

    fn forget(&mut self, groups: &[u32]) {
        for group in groups {
            let gone = self.cells.get_mut(*group as usize).and_then(Option::take);
            self.heap -= gone.as_ref().map_or(0, AnySketch::heap_bytes);
        }
    }

    fn bytes(&self) -> usize {
        self.heap + self.cells.capacity() * size_of::<Option<AnySketch>>()
    }
}
