//! Rounds: each file that has something new is synced once, then all who waited for it are told. It must not know what
//! is appended.
//!
//! One round at a time. What is appended while a round runs belongs to the next one, so that many appends share the
//! fsyncs of a round, and an append that comes alone waits for one fsync only.

use std::sync::Arc;
use std::time::Instant;

use thalweg_core::planted::{Defect, is_planted};
use thalweg_disk::{DiskError, DiskErrorKind, DiskFile};

use crate::HubError;
use crate::log::Active;
use crate::marks::Mark;
use crate::state::{Roll, Shared, State, lock};
use crate::topic::segment;

/// What was not durable when a round began.
#[derive(Default)]
struct Round {
    files: Vec<(u64, Arc<dyn DiskFile>)>,
    mark: Mark,
    /// The last ticket that it makes durable.
    upto: u64,
    bytes: u64,
    appends: u64,
    records: u64,
}

impl Shared {
    /// The flusher's life: rounds for as long as there is something to do.
    pub fn flush_forever(&self) {
        loop {
            {
                let mut state = lock(&self.state);
                while state.is_idle() && !state.is_closing {
                    state = self.work.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                }
                if state.is_idle() {
                    return;
                }
            }
            self.round();
        }
    }

    /// Makes durable what was appended before the call, and closes the segments that are full.
    pub fn round(&self) {
        let _turn = lock(&self.turn);
        let round = {
            let mut state = lock(&self.state);
            if state.failed.is_some() {
                return;
            }
            state.begin_round()
        };
        if is_planted(Defect::EarlyAcknowledgement) {
            self.complete(&round);
        }
        if is_planted(Defect::EarlyMark) {
            lock(&self.ledger).marks.write(&round.mark);
        }
        thalweg_core::failpoint!("hub.round.begun");
        for (_, file) in &round.files {
            let begin = Instant::now();
            if let Err(e) = file.sync() {
                return self.poison(HubError::Poisoned(e));
            }
            thalweg_core::failpoint!("hub.round.file_synced");
            let statistics = &mut lock(&self.state).statistics;
            statistics.fsyncs += 1;
            statistics.last_fsync_micros = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        }
        self.complete(&round);
        self.roll_all();
        if lock(&self.ledger).marks.is_full() {
            // A full disk is told to whoever writes records; marks go on.
            drop(self.publish(&mut lock(&self.ledger), |_| {}));
        }
    }

    /// Takes note that a round is durable, and tells those who wait.
    fn complete(&self, round: &Round) {
        let callbacks = {
            let mut ledger = lock(&self.ledger);
            if !round.files.is_empty() {
                ledger.marks.write(&round.mark);
            }
            lock(&self.state).end_round(round)
        };
        thalweg_core::failpoint!("hub.round.marked");
        self.progress.notify_all();
        callbacks.into_iter().for_each(|callback| callback(Ok(())));
        thalweg_core::failpoint!("hub.round.told");
    }

    /// Gives a new segment to each topic that wants one.
    fn roll_all(&self) {
        let wanted = std::mem::take(&mut lock(&self.state).rolls);
        for id in wanted {
            let place = lock(&self.state).topics.get(&id).map(|topic| {
                let log = &topic.log;
                (log.partition.clone(), log.end(), !topic.is_dirty && log.active.bytes > 0)
            });
            match place {
                // What is not durable yet will be after another round.
                Some((_, _, false)) => lock(&self.state).roll_later(id),
                Some((partition, base, true)) => self.roll(id, &partition, base),
                None => {}
            }
        }
        self.progress.notify_all();
    }

    fn roll(&self, id: u64, partition: &str, base: u64) {
        let made = self.new_segment(partition, base);
        thalweg_core::failpoint!("hub.roll.made");
        if let Err(e) = &made {
            self.note(e);
        }
        let mut ledger = lock(&self.ledger);
        let mut state = lock(&self.state);
        let Some(topic) = state.topics.get_mut(&id) else { return };
        match made {
            Ok(file) => {
                let closed = topic.log.roll(Active::new(partition, base, file));
                topic.roll = Roll::No;
                let newest = topic.log.closed.last().map(Arc::downgrade);
                drop(state);
                ledger.marks.write(&Mark { closed: vec![(id, closed)], ..Mark::default() });
                drop(ledger);
                thalweg_core::failpoint!("hub.roll.marked");
                newest.into_iter().for_each(|closed| self.keep_index(closed));
            }
            Err(e) => topic.roll = Roll::Failed(HubError::Disk(e)),
        }
    }

    /// A new empty file, durable.
    fn new_segment(&self, partition: &str, base: u64) -> Result<Arc<dyn DiskFile>, DiskError> {
        let path = segment(partition, base);
        let file = match self.disk.create(&path) {
            // Left behind by an attempt that failed after it.
            Err(e) if e.kind == DiskErrorKind::AlreadyExists && self.disk.size(&path)? == 0 => self.disk.open(&path)?,
            made => made?,
        };
        thalweg_core::failpoint!("hub.roll.created");
        file.sync()?;
        self.disk.sync_folder(partition)?;
        Ok(file.into())
    }
}

impl State {
    /// There is nothing for a round to do.
    fn is_idle(&self) -> bool {
        self.failed.is_some() || (self.dirty.is_empty() && self.rolls.is_empty())
    }

    fn begin_round(&mut self) -> Round {
        let mut round =
            Round { upto: self.last, bytes: self.pending_bytes, appends: self.pending_appends, ..Round::default() };
        for id in std::mem::take(&mut self.dirty) {
            let Some(topic) = self.topics.get_mut(&id) else { continue };
            topic.is_dirty = false;
            round.records += topic.log.end() - topic.log.durable;
            round.files.push((id, Arc::clone(&topic.log.active.file)));
            round.mark.durable.push((id, topic.log.end()));
        }
        round
    }

    fn end_round(&mut self, round: &Round) -> Vec<crate::state::Callback> {
        for (id, end) in &round.mark.durable {
            if let Some(topic) = self.topics.get_mut(id) {
                topic.log.durable = *end;
            }
        }
        self.durable = self.durable.max(round.upto);
        self.pending_bytes = self.pending_bytes.saturating_sub(round.bytes);
        self.pending_appends = self.pending_appends.saturating_sub(round.appends);
        self.statistics.durable_records += round.records;
        let later = self.callbacks.split_off(&(round.upto + 1));
        std::mem::replace(&mut self.callbacks, later).into_values().flatten().collect()
    }

    fn roll_later(&mut self, id: u64) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        if topic.log.active.bytes == 0 {
            topic.roll = Roll::No;
        } else {
            self.rolls.push(id);
        }
    }
}
