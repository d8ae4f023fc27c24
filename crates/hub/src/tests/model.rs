//! `Model`: what was asked of a hub and when it was acknowledged; and so, what may be there after a crash.
//!
//! Time is counted in steps of the disk. Whatever was asked for before step *n* and acknowledged at *n* or before must
//! be there after a crash at *n*; what was asked for and not acknowledged may be there; nothing else may.

use std::collections::BTreeMap;

use super::{all, append};
use crate::{Hub, Visibility};

/// When something was asked for, and when it was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub from: u64,
    pub acknowledged: Option<u64>,
}

/// What a crash may do to something that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Done,
    Open,
    Not,
}

impl Asked {
    pub fn new(from: u64) -> Self {
        Self { from, acknowledged: None }
    }

    fn after(&self, crash: u64) -> After {
        match self.acknowledged {
            Some(at) if at <= crash => After::Done,
            _ if self.from < crash => After::Open,
            _ => After::Not,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Which call appended it.
    pub call: usize,
    pub base: u64,
    pub values: Vec<String>,
    pub asked: Asked,
}

/// One life of a topic.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub name: String,
    pub created: Asked,
    pub deleted: Option<Asked>,
    pub batches: Vec<Batch>,
    /// Where it began after each retention.
    pub starts: Vec<(u64, Asked)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub topics: Vec<Topic>,
    pub calls: usize,
}

impl Topic {
    /// One past the last offset.
    pub fn end(&self) -> u64 {
        self.batches.last().map_or(0, |b| b.base + b.values.len() as u64)
    }

    /// Where it may begin.
    fn begins(&self, crash: u64) -> Vec<u64> {
        let of = |what| self.starts.iter().filter(move |s| s.1.after(crash) == what).map(|s| s.0);
        let done = of(After::Done).max().unwrap_or(0);
        of(After::Open).chain([done]).filter(|start| *start >= done).collect()
    }

    /// Whether the hub's topic is this one; how far it goes.
    fn check(&self, hub: &Hub, crash: u64) -> Result<u64, String> {
        let wrong = |what: String| Err(format!("topic {:?}: {what}", self.name));
        let start = hub.start_offset(&self.name).map_err(|e| e.to_string())?;
        let end = hub.end_offset(&self.name).map_err(|e| e.to_string())?;
        if !self.begins(crash).contains(&start) {
            return wrong(format!("begins at {start}, not at one of {:?}", self.begins(crash)));
        }
        let found = all(hub, &self.name, Visibility::Durable);
        let there = |b: &&Batch| b.base + b.values.len() as u64 <= end;
        let expected = self.batches.iter().filter(there).flat_map(|b| (b.base..).zip(b.values.iter().cloned()));
        let expected: Vec<_> = expected.filter(|(offset, _)| *offset >= start).collect();
        if found != expected || start + found.len() as u64 != end {
            return wrong(format!("from {start} to {end} holds {found:?}, not {expected:?}"));
        }
        if let Some(lost) = self.batches.iter().find(|b| !there(b) && b.asked.after(crash) == After::Done) {
            return wrong(format!("ends at {end}, but the batch at {} was acknowledged", lost.base));
        }
        if let Some(early) = self.batches.iter().find(|b| there(b) && b.asked.after(crash) == After::Not) {
            return wrong(format!("ends at {end}, but the batch at {} was not yet asked for", early.base));
        }
        Ok(end)
    }
}

impl Model {
    /// The life of `name` that is not deleted.
    pub fn alive(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|t| t.name == name && t.deleted.is_none())
    }

    /// Which life of a topic each topic of the hub is, and where it ends; or what is wrong after a crash at a step.
    fn lives(&self, hub: &Hub, crash: u64) -> Result<BTreeMap<usize, u64>, String> {
        let names: Vec<String> = hub.topics().into_iter().map(|(name, _)| name).collect();
        let mut lives = BTreeMap::new();
        for name in &names {
            let of_name = self.topics.iter().enumerate().filter(|(_, t)| &t.name == name);
            let possible = of_name.filter(|(_, t)| {
                t.created.after(crash) != After::Not && t.deleted.is_none_or(|d| d.after(crash) != After::Done)
            });
            let checked: Vec<_> = possible.map(|(i, t)| t.check(hub, crash).map(|end| (i, end))).collect();
            match checked.iter().find_map(|c| c.as_ref().ok()) {
                Some((i, end)) => lives.insert(*i, *end),
                None => return Err(format!("topic {name:?} is not as it was: {checked:?}")),
            };
        }
        for (i, topic) in self.topics.iter().enumerate() {
            let must =
                topic.created.after(crash) == After::Done && topic.deleted.is_none_or(|d| d.after(crash) == After::Not);
            if must && !lives.contains_key(&i) {
                return Err(format!("topic {:?} is lost", topic.name));
            }
        }
        Ok(lives)
    }

    /// What is wrong with a hub after a crash at step `crash`, if anything.
    pub fn check(&self, hub: &Hub, crash: u64) -> Result<(), String> {
        let lives = self.lives(hub, crash)?;
        // Of a call that appended to several topics, is each batch there? Where a topic is gone nobody knows.
        let mut calls: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
        for (i, end) in &lives {
            for batch in &self.topics[*i].batches {
                calls.entry(batch.call).or_default().push(batch.base < *end);
            }
        }
        match calls.into_iter().find(|(_, there)| there.contains(&true) && there.contains(&false)) {
            Some((call, _)) => Err(format!("append {call} is there in one topic and not in another")),
            None => Ok(()),
        }
    }

    /// Goes on from what a hub holds after a crash: all of it is durable now, and nothing else ever was.
    pub fn settle(&mut self, hub: &Hub, crash: u64) {
        let lives = self.lives(hub, crash).expect("it was checked");
        let now = Asked { from: 0, acknowledged: Some(0) };
        let topics = lives.into_iter().map(|(i, end)| {
            let mut topic = self.topics[i].clone();
            topic.created = now;
            topic.deleted = None;
            topic.batches.retain(|b| b.base < end);
            topic.batches.iter_mut().for_each(|b| b.asked = now);
            topic.starts = vec![(hub.start_offset(&topic.name).expect("there"), now)];
            topic
        });
        self.topics = topics.collect();
    }

    /// The hub takes and keeps more.
    pub fn goes_on(hub: &Hub) {
        for (name, _) in hub.topics() {
            let end = hub.end_offset(&name).expect("there");
            append(hub, &name, &["after"]);
            assert_eq!(all(hub, &name, Visibility::Durable).last(), Some(&(end, "after".to_owned())));
        }
    }
}
