//! `Column`: the values of one column in segments, appended, gathered by row number and compared. It must not know
//! which rows stand.

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{ArrowNativeType, DataType};
use thalweg_core::Result;

use super::pieces::PieceColumn;
use super::views::ViewColumn;
use super::{Picked, place_of, segment_of};

/// A column by its physical layout.
#[derive(Debug)]
pub(crate) enum Column {
    /// One byte a value (also booleans).
    W1(Fixed<u8>),
    /// Two bytes.
    W2(Fixed<u16>),
    /// Four bytes.
    W4(Fixed<u32>),
    /// Eight bytes.
    W8(Fixed<u64>),
    /// Sixteen bytes.
    W16(Fixed<i128>),
    /// Strings and bytes as views.
    View(ViewColumn),
    /// Everything else, as Arrow arrays.
    Pieces(PieceColumn),
}

macro_rules! each_column {
    ($self:expr, $c:ident => $body:expr) => {
        match $self {
            Column::W1($c) => $body,
            Column::W2($c) => $body,
            Column::W4($c) => $body,
            Column::W8($c) => $body,
            Column::W16($c) => $body,
            Column::View($c) => $body,
            Column::Pieces($c) => $body,
        }
    };
}

impl Column {
    /// An empty column of a type.
    pub(crate) fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::W1(Fixed::new(data_type)),
            DataType::Utf8View | DataType::BinaryView => Self::View(ViewColumn::new(data_type)),
            DataType::Interval(_) => Self::Pieces(PieceColumn::new(data_type)),
            other => match other.primitive_width() {
                Some(1) => Self::W1(Fixed::new(data_type)),
                Some(2) => Self::W2(Fixed::new(data_type)),
                Some(4) => Self::W4(Fixed::new(data_type)),
                Some(8) => Self::W8(Fixed::new(data_type)),
                Some(16) => Self::W16(Fixed::new(data_type)),
                _ => Self::Pieces(PieceColumn::new(data_type)),
            },
        }
    }

    /// Appends rows of `array` to a segment.
    pub(crate) fn append(&mut self, segment: usize, array: &ArrayRef, rows: Picked<'_>) -> Result<()> {
        each_column!(self, c => c.append(segment, array, rows))
    }

    /// The values of rows, in that order.
    pub(crate) fn gather(&self, ids: &[u32]) -> Result<ArrayRef> {
        each_column!(self, c => c.gather(ids))
    }

    /// For each pair (row of `probe`, stored row): are they equal? Clears `equal` where they are not. Two nulls are
    /// equal.
    pub(crate) fn compare(&self, probe: &ArrayRef, rows: &[u32], ids: &[u32], equal: &mut [bool]) -> Result<()> {
        match self {
            Self::W1(c) => c.compare(&unpacked(probe), rows, ids, equal, |a, b| a == b),
            Self::W2(c) => c.compare(probe, rows, ids, equal, |a, b| a == b),
            Self::W4(c) if c.data_type == DataType::Float32 => c.compare(probe, rows, ids, equal, |a, b| {
                let (a, b) = (f32::from_bits(a), f32::from_bits(b));
                a == b || (a.is_nan() && b.is_nan())
            }),
            Self::W4(c) => c.compare(probe, rows, ids, equal, |a, b| a == b),
            Self::W8(c) if c.data_type == DataType::Float64 => c.compare(probe, rows, ids, equal, |a, b| {
                let (a, b) = (f64::from_bits(a), f64::from_bits(b));
                a == b || (a.is_nan() && b.is_nan())
            }),
            Self::W8(c) => c.compare(probe, rows, ids, equal, |a, b| a == b),
            Self::W16(c) => c.compare(probe, rows, ids, equal, |a, b| a == b),
            Self::View(c) => c.compare(probe, rows, ids, equal),
            Self::Pieces(c) => c.compare(probe, rows, ids, equal)?,
        }
        Ok(())
    }

    /// Forgets a segment.
    pub(crate) fn clear(&mut self, segment: usize) {
        each_column!(self, c => c.clear(segment));
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        each_column!(self, c => c.bytes())
    }
}

/// Booleans as one byte a value; anything else as it is.
fn unpacked(array: &ArrayRef) -> ArrayRef {
    match array.as_boolean_opt() {
        None => ArrayRef::clone(array),
        Some(bits) => {
            let bytes: Vec<u8> = bits.values().iter().map(u8::from).collect();
            std::sync::Arc::new(arrow::array::UInt8Array::new(bytes.into(), bits.nulls().cloned()))
        }
    }
}

/// Values of one width.
#[derive(Debug)]
pub(crate) struct Fixed<T> {
    data_type: DataType,
    segments: Vec<Vec<T>>,
    validity: Validity,
}

impl<T: ArrowNativeType> Fixed<T> {
    fn new(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), segments: Vec::new(), validity: Validity::default() }
    }

    fn append(&mut self, segment: usize, array: &ArrayRef, rows: Picked<'_>) -> Result<()> {
        let array = unpacked(array);
        if segment >= self.segments.len() {
            self.segments.resize_with(segment + 1, Vec::new);
        }
        let data = array.to_data();
        let from = data.buffer::<T>(0);
        let to = &mut self.segments[segment];
        self.validity.append(segment, to.len(), array.nulls(), rows);
        match rows {
            Picked::Range(start, len) => to.extend_from_slice(&from[start..start + len]),
            Picked::Rows(rows) => to.extend(rows.iter().map(|row| from[*row as usize])),
        }
        Ok(())
    }

    fn gather(&self, ids: &[u32]) -> Result<ArrayRef> {
        let values: Vec<T> = ids.iter().map(|id| self.segments[segment_of(*id)][place_of(*id)]).collect();
        let nulls = self.validity.gather(ids);
        if self.data_type == DataType::Boolean {
            let bits = BooleanBuffer::collect_bool(ids.len(), |i| values[i].as_usize() != 0);
            return Ok(std::sync::Arc::new(BooleanArray::new(bits, nulls)));
        }
        let data = ArrayData::builder(self.data_type.clone())
            .len(ids.len())
            .add_buffer(Buffer::from_vec(values))
            .nulls(nulls)
            .build()?;
        Ok(make_array(data))
    }

    fn compare(&self, probe: &ArrayRef, rows: &[u32], ids: &[u32], equal: &mut [bool], eq: impl Fn(T, T) -> bool) {
        let data = probe.to_data();
        let values = data.buffer::<T>(0);
        let stored = |id: u32| self.segments[segment_of(id)][place_of(id)];
        if self.validity.all_valid(probe) {
            for ((row, id), equal) in rows.iter().zip(ids).zip(equal.iter_mut()) {
                *equal &= eq(values[*row as usize], stored(*id));
            }
            return;
        }
        let nulls = probe.nulls();
        for ((row, id), equal) in rows.iter().zip(ids).zip(equal.iter_mut()) {
            let row = *row as usize;
            *equal &= self.validity.same(nulls, row, *id).unwrap_or_else(|| eq(values[row], stored(*id)));
        }
    }

    fn clear(&mut self, segment: usize) {
        if let Some(values) = self.segments.get_mut(segment) {
            *values = Vec::new();
        }
        self.validity.clear(segment);
    }

    fn bytes(&self) -> usize {
        self.segments.iter().map(|s| s.capacity() * size_of::<T>()).sum::<usize>() + self.validity.bytes()
    }
}

/// Which stored values are not null; nothing is kept until a null comes.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    segments: Vec<Option<BooleanBufferBuilder>>,
    any: bool,
}

impl Validity {
    /// Appends the validity of rows to a segment that held `before` values.
    pub(crate) fn append(&mut self, segment: usize, before: usize, nulls: Option<&NullBuffer>, rows: Picked<'_>) {
        let nulls = nulls.filter(|n| n.null_count() > 0);
        if nulls.is_none() && self.segments.get(segment).is_none_or(Option::is_none) {
            return;
        }
        if segment >= self.segments.len() {
            self.segments.resize_with(segment + 1, || None);
        }
        let bits = self.segments[segment].get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new(before + rows.len());
            bits.append_n(before, true);
            bits
        });
        match nulls {
            None => bits.append_n(rows.len(), true),
            Some(nulls) => {
                self.any = true;
                rows.each(|row| bits.append(nulls.is_valid(row)));
            }
        }
    }

    /// A stored value is not null.
    #[inline]
    pub(crate) fn is_valid(&self, id: u32) -> bool {
        match self.segments.get(segment_of(id)) {
            Some(Some(bits)) => bits.get_bit(place_of(id)),
            _ => true,
        }
    }

    /// The validity of rows.
    pub(crate) fn gather(&self, ids: &[u32]) -> Option<NullBuffer> {
        if !self.any {
            return None;
        }
        let nulls = NullBuffer::new(BooleanBuffer::collect_bool(ids.len(), |i| self.is_valid(ids[i])));
        (nulls.null_count() > 0).then_some(nulls)
    }

    /// No null on either side of a comparison.
    pub(crate) fn all_valid(&self, probe: &ArrayRef) -> bool {
        !self.any && probe.null_count() == 0
    }

    /// Whether nulls decide a comparison: both null (equal), one null (not equal), or `None` when both are valid.
    #[inline]
    pub(crate) fn same(&self, nulls: Option<&NullBuffer>, row: usize, id: u32) -> Option<bool> {
        match (nulls.is_none_or(|n| n.is_valid(row)), self.is_valid(id)) {
            (true, true) => None,
            (here, there) => Some(here == there),
        }
    }

    /// Forgets a segment.
    pub(crate) fn clear(&mut self, segment: usize) {
        if let Some(bits) = self.segments.get_mut(segment) {
            *bits = None;
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.iter().flatten().map(|b| b.capacity() / 8).sum()
    }
}
