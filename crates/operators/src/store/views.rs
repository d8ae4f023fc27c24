//! `ViewColumn`: strings and bytes as Arrow views over buffers of its own. Payload is copied in once, tightly, and
//! shared with what is gathered. It must not know which rows stand.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use thalweg_core::Result;

use super::column::Validity;
use super::{NONE, Picked, place_of, segment_of};

const INLINE: usize = 12;
/// A payload buffer is closed when it is this large, far below the 4 GiB that a view can address.
const BUFFER_BYTES: usize = 64 << 20;
/// Small buffers of a segment before they are merged into one.
const LOOSE_BUFFERS: usize = if cfg!(test) { 2 } else { 32 };

#[derive(Debug, Default)]
struct Segment {
    views: Vec<u128>,
    buffers: Vec<Buffer>,
    /// Buffers and rows that are not merged again.
    settled: (usize, usize),
}

impl Segment {
    #[inline]
    fn payload(&self, view: u128) -> &[u8] {
        let (buffer, start) = parts(view);
        &self.buffers[buffer][start..start + length(view)]
    }

    /// Copies the loose small buffers into one.
    fn settle(&mut self) {
        let (first, row) = self.settled;
        let loose: usize = self.buffers[first..].iter().map(Buffer::len).sum();
        let mut merged = Vec::with_capacity(loose);
        let mut starts = Vec::with_capacity(self.buffers.len() - first);
        if loose < BUFFER_BYTES {
            for buffer in &self.buffers[first..] {
                starts.push(merged.len());
                merged.extend_from_slice(buffer);
            }
            for view in &mut self.views[row..] {
                if length(*view) > INLINE {
                    let (buffer, start) = parts(*view);
                    *view = with_place(*view, first, starts[buffer - first] + start);
                }
            }
            self.buffers.truncate(first);
            self.buffers.push(Buffer::from_vec(merged));
        }
        self.settled = (self.buffers.len(), self.views.len());
    }
}

/// Values of type `Utf8View` or `BinaryView`.
#[derive(Debug)]
pub(crate) struct ViewColumn {
    text: bool,
    segments: Vec<Segment>,
    validity: Validity,
}

#[inline]
fn length(view: u128) -> usize {
    (view as u32) as usize
}

#[inline]
fn parts(view: u128) -> (usize, usize) {
    (((view >> 64) as u32) as usize, ((view >> 96) as u32) as usize)
}

#[inline]
fn with_place(view: u128, buffer: usize, start: usize) -> u128 {
    (view & u128::from(u64::MAX)) | ((buffer as u128) << 64) | ((start as u128) << 96)
}

impl ViewColumn {
    /// An empty column.
    pub(crate) fn new(data_type: &DataType) -> Self {
        Self { text: *data_type == DataType::Utf8View, segments: Vec::new(), validity: Validity::default() }
    }

    /// Appends rows of `array` to a segment.
    pub(crate) fn append(&mut self, segment: usize, array: &ArrayRef, rows: Picked<'_>) -> Result<()> {
        if segment >= self.segments.len() {
            self.segments.resize_with(segment + 1, Segment::default);
        }
        let (views, buffers) = views_of(array);
        let to = &mut self.segments[segment];
        self.validity.append(segment, to.views.len(), array.nulls(), rows);
        let nulls = array.nulls().filter(|n| n.null_count() > 0);
        let mut need = 0usize;
        rows.each(|row| {
            let len = length(views[row]);
            need += if len > INLINE { len } else { 0 };
        });
        let mut payload: Vec<u8> = Vec::with_capacity(need.min(BUFFER_BYTES));
        to.views.reserve(rows.len());
        rows.each(|row| {
            let view = views[row];
            let len = length(view);
            if nulls.is_some_and(|n| n.is_null(row)) {
                to.views.push(0);
            } else if len <= INLINE {
                to.views.push(view);
            } else {
                if payload.len() + len > BUFFER_BYTES && !payload.is_empty() {
                    to.buffers.push(Buffer::from_vec(std::mem::take(&mut payload)));
                }
                let (buffer, start) = parts(view);
                to.views.push(with_place(view, to.buffers.len(), payload.len()));
                payload.extend_from_slice(&buffers[buffer][start..start + len]);
            }
        });
        if !payload.is_empty() {
            to.buffers.push(Buffer::from_vec(payload));
        }
        if to.buffers.len() - to.settled.0 > LOOSE_BUFFERS {
            to.settle();
        }
        Ok(())
    }

    /// The values of rows, in that order.
    pub(crate) fn gather(&self, ids: &[u32]) -> Result<ArrayRef> {
        let nulls = self.validity.gather(ids);
        let mut first = Vec::with_capacity(self.segments.len());
        let mut total = 0usize;
        for segment in &self.segments {
            first.push(total);
            total += segment.buffers.len();
        }
        let mut place = vec![NONE; total];
        let mut buffers: Vec<Buffer> = Vec::new();
        let mut views = Vec::with_capacity(ids.len());
        for id in ids {
            let segment = &self.segments[segment_of(*id)];
            let view = segment.views[place_of(*id)];
            if length(view) <= INLINE {
                views.push(view);
                continue;
            }
            let (buffer, start) = parts(view);
            let at = &mut place[first[segment_of(*id)] + buffer];
            if *at == NONE {
                *at = buffers.len() as u32;
                buffers.push(segment.buffers[buffer].clone());
            }
            views.push(with_place(view, *at as usize, start));
        }
        // Few rows out of many buffers: sharing would cost more to carry than the payload itself.
        if buffers.len() > 4 + ids.len() / 16 {
            (views, buffers) = compacted(&views, &buffers);
        }
        Ok(view_array(self.text, views, buffers, nulls))
    }

    /// Clears `equal` where the pair (row of `probe`, stored row) differs.
    pub(crate) fn compare(&self, probe: &ArrayRef, rows: &[u32], ids: &[u32], equal: &mut [bool]) {
        let (views, buffers) = views_of(probe);
        let nulls = probe.nulls();
        let all_valid = self.validity.all_valid(probe);
        for ((row, id), equal) in rows.iter().zip(ids).zip(equal.iter_mut()).filter(|(_, equal)| **equal) {
            let row = *row as usize;
            let decided = if all_valid { None } else { self.validity.same(nulls, row, *id) };
            *equal = decided.unwrap_or_else(|| {
                let here = views[row];
                let segment = &self.segments[segment_of(*id)];
                let there = segment.views[place_of(*id)];
                // Length and prefix first: the low half of a view.
                if here as u64 != there as u64 {
                    return false;
                }
                if length(here) <= INLINE {
                    return here == there;
                }
                let (buffer, start) = parts(here);
                buffers[buffer][start..start + length(here)] == *segment.payload(there)
            });
        }
    }

    /// Forgets a segment.
    pub(crate) fn clear(&mut self, segment: usize) {
        if let Some(segment) = self.segments.get_mut(segment) {
            *segment = Segment::default();
        }
        self.validity.clear(segment);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let held = |s: &Segment| s.views.capacity() * 16 + s.buffers.iter().map(|b| b.len() + 64).sum::<usize>();
        self.segments.iter().map(held).sum::<usize>() + self.validity.bytes()
    }
}

fn views_of(array: &ArrayRef) -> (&[u128], &[Buffer]) {
    match array.as_string_view_opt() {
        Some(text) => (text.views(), text.data_buffers()),
        None => {
            let bytes = array.as_binary_view();
            (bytes.views(), bytes.data_buffers())
        }
    }
}

/// The payload of the views copied into buffers of their own.
fn compacted(views: &[u128], buffers: &[Buffer]) -> (Vec<u128>, Vec<Buffer>) {
    let mut out = Vec::with_capacity(views.len());
    let mut done: Vec<Buffer> = Vec::new();
    let mut payload: Vec<u8> = Vec::new();
    for view in views {
        let len = length(*view);
        if len <= INLINE {
            out.push(*view);
            continue;
        }
        if payload.len() + len > BUFFER_BYTES && !payload.is_empty() {
            done.push(Buffer::from_vec(std::mem::take(&mut payload)));
        }
        let (buffer, start) = parts(*view);
        out.push(with_place(*view, done.len(), payload.len()));
        payload.extend_from_slice(&buffers[buffer][start..start + len]);
    }
    if !payload.is_empty() {
        done.push(Buffer::from_vec(payload));
    }
    (out, done)
}

#[allow(unsafe_code)]
fn view_array(text: bool, views: Vec<u128>, buffers: Vec<Buffer>, nulls: Option<NullBuffer>) -> ArrayRef {
    let views = ScalarBuffer::from(views);
    // SAFETY: every view was copied from a valid array of the same type; a view longer than 12 bytes had its buffer
    // index and offset set to where the same bytes are in `buffers`; a null slot holds the empty inline view.
    unsafe {
        if text {
            Arc::new(StringViewArray::new_unchecked(views, buffers, nulls))
        } else {
            Arc::new(BinaryViewArray::new_unchecked(views, buffers, nulls))
        }
    }
}
