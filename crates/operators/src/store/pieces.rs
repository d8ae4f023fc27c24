//! `PieceColumn`: values of types without a layout of their own here, kept as Arrow arrays. It must not know which
//! rows stand.

use arrow::array::make_comparator;
use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{SortOptions, concat, interleave, take};
use arrow::datatypes::DataType;
use thalweg_core::Result;

use super::{Picked, place_of, segment_of};

/// Arrays of a segment before they are merged into one.
const LOOSE_PIECES: usize = if cfg!(test) { 2 } else { 32 };

#[derive(Debug, Default)]
struct Segment {
    /// First row of each piece, and the piece.
    pieces: Vec<(u32, ArrayRef)>,
    rows: u32,
}

/// Values of any type.
#[derive(Debug)]
pub(crate) struct PieceColumn {
    data_type: DataType,
    segments: Vec<Segment>,
}

impl PieceColumn {
    /// An empty column.
    pub(crate) fn new(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), segments: Vec::new() }
    }

    /// Appends rows of `array` to a segment.
    pub(crate) fn append(&mut self, segment: usize, array: &ArrayRef, rows: Picked<'_>) -> Result<()> {
        if segment >= self.segments.len() {
            self.segments.resize_with(segment + 1, Segment::default);
        }
        let to = &mut self.segments[segment];
        // Always copied: a slice would hold all of its array.
        let indices = match rows {
            Picked::Range(start, len) => UInt32Array::from_iter_values((start..start + len).map(|row| row as u32)),
            Picked::Rows(rows) => UInt32Array::from(rows.to_vec()),
        };
        to.pieces.push((to.rows, take(array, &indices, None)?));
        to.rows += rows.len() as u32;
        if to.pieces.len() > LOOSE_PIECES {
            let all: Vec<&dyn Array> = to.pieces.iter().map(|(_, piece)| piece.as_ref()).collect();
            to.pieces = vec![(0, concat(&all)?)];
        }
        Ok(())
    }

    /// The values of rows, in that order.
    pub(crate) fn gather(&self, ids: &[u32]) -> Result<ArrayRef> {
        if ids.is_empty() {
            return Ok(new_empty_array(&self.data_type));
        }
        let mut first = Vec::with_capacity(self.segments.len());
        let mut pieces: Vec<&dyn Array> = Vec::new();
        for segment in &self.segments {
            first.push(pieces.len());
            pieces.extend(segment.pieces.iter().map(|(_, piece)| piece.as_ref()));
        }
        let indices: Vec<(usize, usize)> = ids
            .iter()
            .map(|id| {
                let (piece, row) = self.locate(*id);
                (first[segment_of(*id)] + piece, row)
            })
            .collect();
        Ok(interleave(&pieces, &indices)?)
    }

    /// Clears `equal` where the pair (row of `probe`, stored row) differs.
    pub(crate) fn compare(&self, probe: &ArrayRef, rows: &[u32], ids: &[u32], equal: &mut [bool]) -> Result<()> {
        let stored = self.gather(ids)?;
        let comparator = make_comparator(probe, &stored, SortOptions::default())?;
        for (i, (row, equal)) in rows.iter().zip(equal.iter_mut()).enumerate() {
            *equal = *equal && comparator(*row as usize, i).is_eq();
        }
        Ok(())
    }

    fn locate(&self, id: u32) -> (usize, usize) {
        let pieces = &self.segments[segment_of(id)].pieces;
        let place = place_of(id);
        let piece = pieces.partition_point(|(start, _)| *start as usize <= place) - 1;
        (piece, place - pieces[piece].0 as usize)
    }

    /// Forgets a segment.
    pub(crate) fn clear(&mut self, segment: usize) {
        if let Some(segment) = self.segments.get_mut(segment) {
            *segment = Segment::default();
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.iter().flat_map(|s| &s.pieces).map(|(_, piece)| piece.get_array_memory_size()).sum()
    }
}
