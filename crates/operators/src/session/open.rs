//! `Open`: the open sessions of every key over rows that are never taken back. It must not know how cells add up.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use thalweg_core::{DeltaBatch, EpochHeader, Result, Watermark, hash_columns};

use super::timers::Timers;
use super::{Shape, micros};
use crate::KeyTable;
use crate::accumulators::Calls;
use crate::operator::Output;

pub(super) const NONE: u32 = u32::MAX;

/// A session: its number is its group in the calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: i64,
    /// Time of its last row.
    pub(super) last: i64,
    pub(super) key: u32,
    /// The next open session of the key, in no order.
    pub(super) next: u32,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Its first open session.
    pub(super) head: u32,
    pub(super) dirty: bool,
    pub(super) saved: bool,
}

pub(super) const NO_KEY: Key = Key { head: NONE, dirty: false, saved: false };

/// A session as it was emitted before this epoch.
pub(super) struct Emitted {
    pub(super) session: u32,
    pub(super) key: u32,
    pub(super) start: i64,
    pub(super) last: i64,
}

pub(super) struct Open {
    pub(super) shape: Shape,
    pub(super) table: KeyTable,
    pub(super) calls: Calls,
    pub(super) keys: Vec<Key>,
    pub(super) spans: Vec<Span>,
    free: Vec<u32>,
    pub(super) timers: Timers,
    pub(super) passed: Watermark,
    /// By session, where updates are emitted: it was touched in this epoch.
    touched: Vec<bool>,
    /// Sessions touched in this epoch that were new.
    pub(super) fresh: Vec<u32>,
    /// Sessions touched in this epoch as they stood, with the results of the calls by piece.
    pub(super) old: Vec<Emitted>,
    pub(super) old_results: Vec<Vec<ArrayRef>>,
    /// Sessions that were merged into others in this epoch.
    merged: Vec<u32>,
    /// Keys that may have no session any more.
    pub(super) emptied: Vec<u32>,
    pub(super) gone: Vec<Vec<ArrayRef>>,
    hashes: Vec<u64>,
    ids: Vec<u32>,
}

impl Open {
    pub(super) fn new(shape: Shape, types: &[DataType], calls: Calls) -> Result<Self> {
        let timers = Timers::new(shape.gap);
        Ok(Self {
            shape,
            table: KeyTable::new(types)?,
            calls,
            keys: Vec::new(),
            spans: Vec::new(),
            free: Vec::new(),
            timers,
            passed: Watermark::START,
            touched: Vec::new(),
            fresh: Vec::new(),
            old: Vec::new(),
            old_results: Vec::new(),
            merged: Vec::new(),
            emptied: Vec::new(),
            gone: Vec::new(),
            hashes: Vec::new(),
            ids: Vec::new(),
        })
    }

    pub(super) fn on_delta(&mut self, delta: DeltaBatch) -> Result<()> {
        let delta = self.shape.timed(delta)?;
        if delta.is_empty() {
            return Ok(());
        }
        let keys = self.shape.key_columns(&delta.rows);
        hash_columns(&keys, delta.num_rows(), &mut self.hashes)?;
        let mut ids = std::mem::take(&mut self.ids);
        self.table.intern(&keys, &self.hashes, &mut ids)?;
        self.grow_keys();
        let times = micros(delta.column(self.shape.time))?;
        let first_old = self.old.len();
        let mut merges: Vec<(u32, u32)> = Vec::new();
        let gap = self.shape.gap;
        let mut late = false;
        for (id, time) in ids.iter_mut().zip(times.values()) {
            let key = &mut self.keys[*id as usize];
            key.dirty = true;
            let head = key.head;
            if head != NONE {
                let span = self.spans[head as usize];
                if span.next == NONE
                    && *time >= span.start.saturating_sub(gap)
                    && *time <= span.last.saturating_add(gap)
                {
                    self.touch(head);
                    let span = &mut self.spans[head as usize];
                    span.start = span.start.min(*time);
                    span.last = span.last.max(*time);
                    *id = head;
                    continue;
                }
            }
            *id = self.place(*id, *time, &mut merges);
            late |= *id == NONE;
        }
        self.evaluate_old(first_old)?;
        self.calls.grow(self.spans.len());
        if !merges.is_empty() {
            self.merge(&merges, &mut ids)?;
        }
        if late {
            let kept: Vec<u32> = (0..ids.len() as u32).filter(|row| ids[*row as usize] != NONE).collect();
            ids.retain(|id| *id != NONE);
            let delta = delta.take(&kept.into())?;
            self.calls.update(&ids, &delta.rows, None)?;
        } else {
            self.calls.update(&ids, &delta.rows, None)?;
        }
        self.ids = ids;
        Ok(())
    }

    pub(super) fn grow_keys(&mut self) {
        if self.keys.len() < self.table.capacity() {
            self.keys.resize(self.table.capacity(), NO_KEY);
        }
    }

    /// Notes a session as it stands, before its first change in this epoch.
    #[inline]
    fn touch(&mut self, session: u32) {
        if self.shape.emit_on_close || self.touched[session as usize] {
            return;
        }
        self.touched[session as usize] = true;
        let Span { start, last, key, .. } = self.spans[session as usize];
        self.old.push(Emitted { session, key, start, last });
    }

    /// The session of a row that does not simply extend the only session of its key: extends one, joins several, or
    /// opens one; `NONE` if the row's session would have closed already.
    fn place(&mut self, key: u32, time: i64, merges: &mut Vec<(u32, u32)>) -> u32 {
        let gap = self.shape.gap;
        let mut into = NONE;
        let mut previous = NONE;
        let mut at = self.keys[key as usize].head;
        while at != NONE {
            let span = self.spans[at as usize];
            let near = time >= span.start.saturating_sub(gap) && time <= span.last.saturating_add(gap);
            if near && into == NONE {
                self.touch(at);
                into = at;
                let joined = &mut self.spans[at as usize];
                joined.start = joined.start.min(time);
                joined.last = joined.last.max(time);
            } else if near {
                self.touch(at);
                let joined = &mut self.spans[into as usize];
                joined.start = joined.start.min(span.start);
                joined.last = joined.last.max(span.last);
                self.spans[previous as usize].next = span.next;
                merges.push((at, into));
                at = span.next;
                continue;
            }
            previous = at;
            at = span.next;
        }
        if into != NONE {
            return into;
        }
        let end = time.saturating_add(gap);
        if self.passed != Watermark::START && end < self.passed.0 {
            self.emptied.push(key);
            return NONE;
        }
        let session = self.open(key, time, time);
        if !self.shape.emit_on_close {
            self.touched[session as usize] = true;
            self.fresh.push(session);
        }
        session
    }

    /// A new session at the head of its key's list.
    pub(super) fn open(&mut self, key: u32, start: i64, last: i64) -> u32 {
        let next = self.keys[key as usize].head;
        let span = Span { start, last, key, next };
        let session = match self.free.pop() {
            Some(session) => {
                self.spans[session as usize] = span;
                session
            }
            None => {
                self.spans.push(span);
                self.touched.push(false);
                (self.spans.len() - 1) as u32
            }
        };
        self.keys[key as usize].head = session;
        if self.shape.bound.is_some() {
            self.timers.enter(last.saturating_add(self.shape.gap), session);
        }
        session
    }

    /// The results of the sessions touched since `first`, before this batch is added to them.
    fn evaluate_old(&mut self, first: usize) -> Result<()> {
        if self.old.len() > first {
            let sessions: Vec<u32> = self.old[first..].iter().map(|e| e.session).collect();
            self.old_results.push(self.calls.evaluate(&sessions)?);
        }
        Ok(())
    }

    /// Adds the cells of joined sessions to those they joined, and leads this batch's rows there.
    fn merge(&mut self, merges: &[(u32, u32)], ids: &mut [u32]) -> Result<()> {
        let direct: HashMap<u32, u32> = merges.iter().copied().collect();
        let target = |mut session: u32| {
            while let Some(next) = direct.get(&session) {
                session = *next;
            }
            session
        };
        let (from, into): (Vec<u32>, Vec<u32>) = merges.iter().map(|(from, _)| (*from, target(*from))).unzip();
        let states = self.calls.state(&from)?;
        self.calls.merge(&into, &states)?;
        self.calls.reset(&from)?;
        for id in ids.iter_mut().filter(|id| **id != NONE) {
            *id = target(*id);
        }
        for session in &from {
            self.spans[*session as usize].key = NONE;
        }
        self.merged.extend(from);
        Ok(())
    }

    pub(super) fn on_epoch(&mut self, header: &EpochHeader, out: &mut Output) -> Result<()> {
        if let Some(bound) = &self.shape.bound {
            self.passed = self.passed.max(bound.eval(header));
        }
        if !self.shape.emit_on_close {
            self.emit_changes(out)?;
        }
        // Numbers that timers still hold may be used again from here on: a timer only says where to look.
        self.free.append(&mut self.merged);
        self.close_due(out)?;
        self.forget_keys()
    }

    /// Forgets the sessions that have closed, after emitting them if nothing was emitted before.
    fn close_due(&mut self, out: &mut Output) -> Result<()> {
        if self.shape.bound.is_none() || self.passed == Watermark::START {
            return Ok(());
        }
        let mut closed = Vec::new();
        for session in self.timers.take(self.passed.0) {
            let span = self.spans[session as usize];
            if span.key == NONE {
                continue;
            }
            let end = span.last.saturating_add(self.shape.gap);
            if end < self.passed.0 || self.passed == Watermark::END {
                closed.push((session, span.key));
                self.spans[session as usize].key = NONE;
                self.unlink(span.key, session);
            } else {
                self.timers.enter(end, session);
            }
        }
        if self.shape.emit_on_close {
            self.emit_closed(&closed, out)?;
        }
        let closed: Vec<u32> = closed.into_iter().map(|(session, _)| session).collect();
        self.calls.reset(&closed)?;
        self.free.extend(closed);
        Ok(())
    }

    fn unlink(&mut self, key: u32, session: u32) {
        let next = self.spans[session as usize].next;
        let entry = &mut self.keys[key as usize];
        entry.dirty = true;
        if entry.head == session {
            entry.head = next;
            if next == NONE {
                self.emptied.push(key);
            }
            return;
        }
        let mut at = entry.head;
        while self.spans[at as usize].next != session {
            at = self.spans[at as usize].next;
        }
        self.spans[at as usize].next = next;
    }

    /// Forgets keys without sessions.
    pub(super) fn forget_keys(&mut self) -> Result<()> {
        let mut keys = std::mem::take(&mut self.emptied);
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| self.keys[*key as usize].head == NONE);
        let saved: Vec<u32> = keys.iter().copied().filter(|key| self.keys[*key as usize].saved).collect();
        if !saved.is_empty() {
            self.gone.push(self.table.keys(&saved)?);
        }
        for key in &keys {
            self.keys[*key as usize] = NO_KEY;
        }
        self.table.remove(&keys)
    }

    /// Sessions touched in this epoch start the next one untouched.
    pub(super) fn untouch(&mut self, sessions: impl Iterator<Item = u32>) {
        for session in sessions {
            self.touched[session as usize] = false;
        }
    }

    /// Forgets all sessions of a key (a restored state says what they are).
    pub(super) fn clear_key(&mut self, key: u32) -> Result<()> {
        let mut dropped = Vec::new();
        let mut at = std::mem::replace(&mut self.keys[key as usize].head, NONE);
        while at != NONE {
            dropped.push(at);
            self.spans[at as usize].key = NONE;
            at = self.spans[at as usize].next;
        }
        self.calls.reset(&dropped)?;
        self.free.extend(dropped);
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.bytes()
            + self.calls.bytes()
            + self.keys.capacity() * size_of::<Key>()
            + self.spans.capacity() * size_of::<Span>()
            + self.timers.bytes()
    }
}
