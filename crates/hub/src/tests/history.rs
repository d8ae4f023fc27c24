//! `History`: a seeded run of everything that can be asked of a hub, written down in a model.

use std::sync::{Arc, Mutex};

use thalweg_disk::{Rng, SimDisk};

use super::model::{Asked, Batch, Model, Topic};
use super::record;
use crate::{Append, Compression, Hub, HubError, Record, TopicOptions};

const NAMES: [&str; 4] = ["a", "b", "ö/ö", "a long name with spaces"];

/// The step at which something was acknowledged.
type DurableAt = Arc<Mutex<Option<u64>>>;

/// A run on one disk.
pub(super) struct History {
    pub disk: SimDisk,
    pub model: Model,
    pub rng: Rng,
    hub: Option<Hub>,
    /// Batches (topic and place in it) of tickets that are not acknowledged, and when they were.
    waiting: Vec<(Vec<(usize, usize)>, DurableAt)>,
    time_ms: i64,
}

impl History {
    /// A hub on `disk`, where what `model` says is durable.
    pub fn new(disk: SimDisk, model: Model, rng: Rng) -> Self {
        let mut history = Self { disk, model, rng, hub: None, waiting: Vec::new(), time_ms: 0 };
        history.open();
        history
    }

    /// Opens the hub, at a second attempt where the disk fails once; says whether the first did.
    fn open(&mut self) -> bool {
        let attempt = Hub::open_stepped(Arc::new(self.disk.clone()));
        let is_first = attempt.is_ok();
        let (hub, _) = attempt.unwrap_or_else(|e| {
            assert!(matches!(e, HubError::Disk(_)), "{e}");
            self.disk = self.disk.restart();
            Hub::open_stepped(Arc::new(self.disk.clone())).expect("it opens")
        });
        self.hub = Some(hub);
        is_first
    }

    /// The process ends after an error, and another one goes on from what is there.
    pub fn restart(&mut self) {
        self.hub = None;
        self.disk = self.disk.restart();
        self.waiting.clear();
        self.open();
        self.model.check(self.hub(), u64::MAX).unwrap_or_else(|wrong| panic!("after a restart: {wrong}"));
        self.model.settle(self.hub.as_ref().expect("it is open"), u64::MAX);
    }

    pub fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("it is open")
    }

    /// Nothing more is taken: what was asked for last may be there after a restart.
    pub fn is_poisoned(&self) -> bool {
        crate::state::lock(&self.hub().shared().state).failed.is_some()
    }

    /// Does something. Errors are the disk's.
    pub fn act(&mut self) -> Result<(), HubError> {
        let name = NAMES[self.rng.below(NAMES.len())];
        let alive = self.model.alive(name);
        let done = match (self.rng.below(20), alive) {
            (0..=1, None) | (2.., None) => self.create(name),
            (0, Some(topic)) => self.delete(topic),
            (1..=2, Some(topic)) => self.retain(topic),
            (3, Some(_)) => {
                self.kill();
                Ok(())
            }
            (4..=7, Some(_)) => self.flush(),
            (8..=11, Some(_)) => {
                let several = 2 + self.rng.below(2);
                self.append(several)
            }
            (_, Some(_)) => self.append(1),
        };
        self.acknowledge();
        done
    }

    /// Takes note of what has become durable.
    fn acknowledge(&mut self) {
        let topics = &mut self.model.topics;
        self.waiting.retain(|(batches, at)| {
            let at = *at.lock().expect("free");
            for (topic, batch) in batches.iter().filter(|_| at.is_some()) {
                topics[*topic].batches[*batch].asked.acknowledged = at;
            }
            at.is_none()
        });
    }

    fn create(&mut self, name: &str) -> Result<(), HubError> {
        let compression = [Compression::None, Compression::Lz4, Compression::Zstd][self.rng.below(3)];
        let segment_bytes = [1, 400, 3_000][self.rng.below(3)];
        let options = TopicOptions { compression, segment_bytes, retention_ms: Some(40), retention_bytes: None };
        let created = Asked::new(self.disk.steps());
        let topic = Topic { name: name.to_owned(), created, deleted: None, batches: vec![], starts: vec![] };
        self.model.topics.push(topic);
        let created = self.hub().create_topic(name, options);
        if created.is_err() && !self.is_poisoned() {
            self.model.topics.pop();
        }
        created?;
        let at = self.disk.steps();
        self.model.topics.last_mut().expect("it was pushed").created.acknowledged = Some(at);
        Ok(())
    }

    fn delete(&mut self, topic: usize) -> Result<(), HubError> {
        self.model.topics[topic].deleted = Some(Asked::new(self.disk.steps()));
        let deleted = self.hub().delete_topic(&self.model.topics[topic].name);
        if deleted.is_err() && !self.is_poisoned() {
            self.model.topics[topic].deleted = None;
        }
        deleted?;
        let at = self.disk.steps();
        self.model.topics[topic].deleted.as_mut().expect("it was set").acknowledged = Some(at);
        Ok(())
    }

    fn retain(&mut self, topic: usize) -> Result<(), HubError> {
        let name = self.model.topics[topic].name.clone();
        let from = self.disk.steps();
        let offset = self.rng.below(self.model.topics[topic].end() as usize + 1) as u64;
        let done = if self.rng.one_in(2) {
            self.hub().delete_before(&name, offset).map(drop)
        } else {
            self.hub().enforce_retention(self.time_ms).map(drop)
        };
        let acknowledged = Some(self.disk.steps()).filter(|_| done.is_ok());
        let is_unknown = self.is_poisoned();
        for topic in self.model.topics.iter_mut().filter(|t| t.deleted.is_none()) {
            let start = self.hub.as_ref().expect("it is open").start_offset(&topic.name)?;
            let ends = topic.batches.iter().map(|b| b.base + b.values.len() as u64).filter(|_| is_unknown);
            let possible = ends.chain([start]);
            topic.starts.extend(possible.map(|start| (start, Asked { from, acknowledged })));
        }
        done
    }

    fn flush(&mut self) -> Result<(), HubError> {
        let ticket = crate::Ticket(crate::state::lock(&self.hub().shared().state).last);
        self.hub().wait(ticket)
    }

    /// The process is killed; the machine goes on.
    fn kill(&mut self) {
        self.hub = None;
        self.disk = self.disk.restart();
        if !self.open() {
            return self.restart();
        }
        self.model.check(self.hub(), u64::MAX).expect("nothing is torn");
        for topic in self.model.topics.iter().filter(|t| t.deleted.is_none()) {
            assert_eq!(self.hub().end_offset(&topic.name).expect("there"), topic.end(), "nothing is lost");
        }
        // Opening has made all durable.
        let now = self.disk.steps();
        for topic in &mut self.model.topics {
            topic.batches.iter_mut().for_each(|b| b.asked.acknowledged = b.asked.acknowledged.or(Some(now)));
        }
        self.waiting.clear();
    }

    fn append(&mut self, several: usize) -> Result<(), HubError> {
        let alive: Vec<usize> =
            (0..self.model.topics.len()).filter(|i| self.model.topics[*i].deleted.is_none()).collect();
        let call = self.model.calls;
        self.model.calls += 1;
        let mut batches: Vec<(usize, Vec<String>)> = Vec::new();
        for i in 0..several {
            let topic = alive[self.rng.below(alive.len())];
            let count = 1 + self.rng.below(3);
            let size = if self.rng.one_in(10) { 1_500 } else { self.rng.below(120) };
            let value = |n| format!("{call}.{i}.{n} {}", "x".repeat(size));
            batches.push((topic, (0..count).map(value).collect()));
        }
        self.time_ms += 1;
        let records: Vec<Vec<Record>> = batches
            .iter()
            .map(|(_, values)| values.iter().map(|v| record(self.time_ms, v.clone())).collect())
            .collect();
        let names: Vec<String> = batches.iter().map(|(t, _)| self.model.topics[*t].name.clone()).collect();
        let appends = names.iter().zip(&records).map(|(topic, records)| Append { topic, records });
        let from = self.disk.steps();
        let appended = self.hub().append(&appends.collect::<Vec<_>>())?;
        let mut places = Vec::new();
        for ((topic, values), base) in batches.into_iter().zip(appended.base_offsets) {
            let into = &mut self.model.topics[topic];
            assert_eq!(base, into.end(), "offsets are dense");
            places.push((topic, into.batches.len()));
            into.batches.push(Batch { call, base, values, asked: Asked::new(from) });
        }
        let (at, disk) = (Arc::new(Mutex::new(None)), self.disk.clone());
        self.waiting.push((places, Arc::clone(&at)));
        let callback = move |outcome: crate::Result<()>| {
            if outcome.is_ok() {
                *at.lock().expect("free") = Some(disk.steps());
            }
        };
        self.hub().on_durable(appended.ticket, Box::new(callback));
        Ok(())
    }
}
