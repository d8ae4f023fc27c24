//! `Lane`: one value beside each row of a row store (a link, a weight, a count). It must not know the rows.

use super::{place_of, segment_of};

/// Values by row number, kept in the segments of the row store that they belong to.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    segments: Vec<Vec<T>>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { segments: Vec::new() }
    }
}

impl<T: Clone + Default> Lane<T> {
    /// The value of a row.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> &T {
        &self.segments[segment_of(id)][place_of(id)]
    }

    /// The value of a row, to change it.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: u32) -> &mut T {
        &mut self.segments[segment_of(id)][place_of(id)]
    }

    /// Sets the value of a row that may be new.
    #[inline]
    pub(crate) fn put(&mut self, id: u32, value: T) {
        let (segment, place) = (segment_of(id), place_of(id));
        if segment >= self.segments.len() {
            self.segments.resize_with(segment + 1, Vec::new);
        }
        let values = &mut self.segments[segment];
        if place == values.len() {
            values.push(value);
        } else {
            if place > values.len() {
                values.resize(place + 1, T::default());
            }
            values[place] = value;
        }
    }

    /// The value of a row that may be new, to change it.
    #[inline]
    pub(crate) fn entry(&mut self, id: u32) -> &mut T {
        let (segment, place) = (segment_of(id), place_of(id));
        if segment >= self.segments.len() {
            self.segments.resize_with(segment + 1, Vec::new);
        }
        let values = &mut self.segments[segment];
        if place >= values.len() {
            values.resize(place + 1, T::default());
        }
        &mut values[place]
    }

    /// Forgets a segment.
    pub(crate) fn clear(&mut self, segment: usize) {
        if let Some(values) = self.segments.get_mut(segment) {
            *values = Vec::new();
        }
    }

    /// Bytes held, without what the values own elsewhere.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.iter().map(|s| s.capacity() * size_of::<T>()).sum()
    }
}
