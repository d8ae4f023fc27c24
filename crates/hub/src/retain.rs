//! Retention: whole segments go, oldest first, never beyond the floor. It must not know why someone needs an offset.
//!
//! A manifest says where each topic begins now, and only then are the files removed: what a crash leaves of them is
//! rubbish. The manifest also says what is complete, so that no transaction misses a batch that was removed.

use std::collections::BTreeMap;

use crate::Result;
use crate::state::{Roll, Shared, State, Topic, lock};

/// Segments were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Topic {
    /// Its first segments that end at or before `offset` and the floor.
    fn before(&self, offset: u64) -> usize {
        let offset = offset.min(self.floor.unwrap_or(u64::MAX));
        self.log.closed.partition_point(|c| c.entry.end <= offset)
    }

    /// Its first segments that are older than it keeps any, or more than it may have.
    fn expired(&self, now_ms: i64) -> usize {
        let oldest = self.oldest_kept(now_ms);
        let by_time = self.log.closed.iter().take_while(|c| c.entry.max_timestamp_ms < oldest).count();
        let mut excess = self.options.retention_bytes.map_or(0, |max| self.log.bytes().saturating_sub(max));
        let by_size = self.log.closed.iter().take_while(|c| {
            let goes = c.entry.bytes <= excess;
            excess = excess.saturating_sub(c.entry.bytes);
            goes
        });
        by_time.max(by_size.count()).min(self.before(u64::MAX))
    }

    /// Records before this time may go.
    fn oldest_kept(&self, now_ms: i64) -> i64 {
        let kept = self.options.retention_ms.and_then(|ms| i64::try_from(ms).ok());
        kept.map_or(i64::MIN, |ms| now_ms.saturating_sub(ms))
    }

    /// The whole of the active segment could go, if it took no more.
    fn is_all_past(&self, offset: u64, now_ms: Option<i64>) -> bool {
        let active = &self.log.active;
        let is_expired = now_ms.is_some_and(|now| active.max_timestamp_ms < self.oldest_kept(now));
        active.bytes > 0 && active.end <= self.floor.unwrap_or(u64::MAX) && (active.end <= offset || is_expired)
    }
}

impl Shared {
    pub fn set_floor(&self, topic: &str, offset: u64) -> Result<()> {
        lock(&self.state).topic_mut(topic)?.1.floor = Some(offset);
        Ok(())
    }

    pub fn delete_before(&self, topic: &str, offset: u64) -> Result<Removed> {
        let id = {
            let mut state = lock(&self.state);
            state.check()?;
            let (id, topic) = state.topic_mut(topic)?;
            if topic.is_all_past(offset, None) { Some(id) } else { None }
        };
        if let Some(id) = id {
            self.close_segment(id)?;
        }
        let name = topic;
        self.remove(|topic| if topic.name == name { topic.before(offset) } else { 0 })
    }

    pub fn enforce_retention(&self, now_ms: i64) -> Result<Removed> {
        let past: Vec<u64> = {
            let state = lock(&self.state);
            state.check()?;
            let past = state.topics.iter().filter(|(_, t)| !t.is_going && t.is_all_past(0, Some(now_ms)));
            past.map(|(id, _)| *id).collect()
        };
        past.into_iter().try_for_each(|id| self.close_segment(id))?;
        self.remove(|topic| topic.expired(now_ms))
    }

    /// Closes the active segment of a topic, so that it can go.
    fn close_segment(&self, id: u64) -> Result<()> {
        let mut state = lock(&self.state);
        let Some(base) = state.topics.get(&id).map(|t| t.log.active.base) else { return Ok(()) };
        loop {
            state.check()?;
            let State { topics, rolls, .. } = &mut *state;
            let Some(topic) = topics.get_mut(&id).filter(|t| t.log.active.base == base) else { return Ok(()) };
            match std::mem::take(&mut topic.roll) {
                Roll::Failed(error) => return Err(error),
                Roll::Wanted => topic.roll = Roll::Wanted,
                Roll::No => {
                    topic.roll = Roll::Wanted;
                    rolls.push(id);
                }
            }
            state = self.wait_progress(state);
        }
    }

    /// Removes from each topic as many first segments as `goes` says.
    fn remove(&self, goes: impl Fn(&Topic) -> usize) -> Result<Removed> {
        let mut ledger = lock(&self.ledger);
        let counts: BTreeMap<u64, usize> = {
            let state = lock(&self.state);
            let counts = state.topics.iter().filter(|(_, t)| !t.is_going).map(|(id, t)| (*id, goes(t)));
            counts.filter(|(_, n)| *n > 0).collect()
        };
        if counts.is_empty() {
            return Ok(Removed::default());
        }
        self.publish(&mut ledger, |manifest| {
            for topic in &mut manifest.topics {
                if let Some(last) = counts.get(&topic.id).and_then(|n| topic.closed.get(n - 1)) {
                    topic.start = last.end;
                    topic.closed.retain(|c| c.base >= topic.start);
                }
            }
        })?;
        let gone: Vec<_> = {
            let mut state = lock(&self.state);
            let gone =
                counts.iter().filter_map(|(id, n)| Some(state.topics.get_mut(id)?.log.closed.drain(..n).collect()));
            gone.collect::<Vec<Vec<_>>>().concat()
        };
        thalweg_core::failpoint!("hub.segments.unnamed");
        // What cannot be removed is rubbish at the next start.
        gone.iter().for_each(|closed| drop(self.disk.remove(&closed.path)));
        thalweg_core::failpoint!("hub.segments.removed");
        Ok(Removed { segments: gone.len(), bytes: gone.iter().map(|c| c.entry.bytes).sum() })
    }
}
