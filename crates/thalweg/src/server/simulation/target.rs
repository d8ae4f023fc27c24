//! `Target`: what holds the rows of a sink and, in the same transaction, how far they go. It fails, it commits and nobody
//! hears of it, it commits late. Each epoch must get there once. It must not know who delivers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thalweg_core::planted::{Defect, is_planted};
use thalweg_core::{Epoch, EpochRows, EpochSink, Error, Incarnation, SinkError};
use thalweg_disk::Rng;

use super::objects::{Rows, changes};

/// Who may commit: the highest incarnation that has opened it, and how often that has.
type Token = (u64, u64);

#[derive(Debug)]
struct State {
    rng: Rng,
    token: Token,
    /// The last epoch that it holds.
    progress: u64,
    rows: BTreeMap<Vec<i64>, i64>,
    epochs: BTreeSet<u64>,
    /// Transactions that will commit later, if they still may.
    late: Vec<Transaction>,
    /// Nobody reaches it.
    is_away: bool,
    /// It fails now and then.
    is_moody: bool,
    wrong: Option<String>,
}

/// Rows with their weights.
type Weighed = Vec<(Vec<i64>, i64)>;

/// Rows on their way.
#[derive(Clone, Debug)]
struct Transaction {
    token: Token,
    epochs: Vec<(u64, Weighed)>,
    upto: u64,
}

/// A clone is the same target.
#[derive(Clone, Debug)]
pub(super) struct Target(Arc<Mutex<State>>);

impl Target {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Rng::new(seed),
            token: (0, 0),
            progress: 0,
            rows: BTreeMap::new(),
            epochs: BTreeSet::new(),
            late: Vec::new(),
            is_away: false,
            is_moody: false,
            wrong: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A way to it, of a new process.
    pub fn sink(&self) -> TargetSink {
        TargetSink { target: self.clone(), token: Arc::default() }
    }

    /// How it behaves from now on.
    pub fn set_mood(&self, is_away: bool, is_moody: bool) {
        let mut state = self.lock();
        (state.is_away, state.is_moody) = (is_away, is_moody);
    }

    /// One of the late transactions arrives, if there are any.
    pub fn arrive(&self) -> bool {
        let mut state = self.lock();
        if state.late.is_empty() {
            return false;
        }
        let transaction = state.late.remove(0);
        state.commit(transaction)
    }

    /// The last epoch that it holds.
    pub fn progress(&self) -> u64 {
        self.lock().progress
    }

    /// Its rows.
    ///
    /// # Errors
    /// Something was delivered twice, or taken back that was not there.
    pub fn rows(&self) -> Result<Rows, String> {
        let state = self.lock();
        if let Some(wrong) = &state.wrong {
            return Err(wrong.clone());
        }
        match state.rows.iter().find(|(_, weight)| **weight != 1) {
            Some((row, weight)) => Err(format!("the target holds row {row:?} {weight} times")),
            None => Ok(state.rows.keys().cloned().collect()),
        }
    }
}

impl State {
    /// All of it, with the progress, unless whoever began it was shut out.
    fn commit(&mut self, transaction: Transaction) -> bool {
        if transaction.token != self.token {
            return false;
        }
        for (epoch, rows) in transaction.epochs {
            if !self.epochs.insert(epoch) {
                self.wrong.get_or_insert(format!("epoch {epoch} was delivered twice"));
            }
            for (row, weight) in rows {
                let held = self.rows.entry(row.clone()).or_default();
                *held += weight;
                if *held == 0 {
                    self.rows.remove(&row);
                }
            }
        }
        self.progress = transaction.upto;
        true
    }
}

/// One process's way to a target. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct TargetSink {
    target: Target,
    token: Arc<Mutex<Token>>,
}

fn again(what: &str) -> SinkError {
    SinkError::Again(Error::Data(what.to_owned()))
}

impl TargetSink {
    /// What this process is about to deliver comes later, if it still may: also when the process is gone by then.
    pub fn deliver_late(&self, epochs: &[EpochRows], upto: u64) {
        let transaction = self.transaction(epochs, upto);
        // It has no transaction before it has opened the target.
        if transaction.token.1 > 0 {
            self.target.lock().late.push(transaction);
        }
    }

    fn token(&self) -> MutexGuard<'_, Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transaction(&self, epochs: &[EpochRows], upto: u64) -> Transaction {
        let rows = |e: &EpochRows| (e.epoch.0, e.deltas.iter().flat_map(changes).collect());
        Transaction { token: *self.token(), epochs: epochs.iter().map(rows).collect(), upto }
    }
}

impl EpochSink for TargetSink {
    fn open(&mut self, incarnation: Incarnation) -> Result<Option<Epoch>, SinkError> {
        let mut state = self.target.lock();
        if state.is_away || (state.is_moody && state.rng.one_in(4)) {
            return Err(again("the target does not answer"));
        }
        if state.token.0 > incarnation.0 {
            return Err(SinkError::Fatal(Error::Data("a later incarnation was here".to_owned())));
        }
        let mut token = self.token();
        *token = (incarnation.0, token.1 + 1);
        state.token = *token;
        Ok(Some(Epoch(state.progress)).filter(|epoch| epoch.0 > 0))
    }

    fn deliver(&mut self, epochs: &[EpochRows], upto: Epoch) -> Result<(), SinkError> {
        let transaction = self.transaction(epochs, upto.0);
        let mut state = self.target.lock();
        let mood = if state.is_moody { state.rng.below(8) } else { 7 };
        if state.is_away || mood == 0 {
            return Err(again("the target does not answer"));
        }
        if transaction.token != state.token {
            return Err(again("shut out"));
        }
        match mood {
            1 => {
                let before = state.progress;
                state.commit(transaction);
                if is_planted(Defect::ProgressApart) {
                    state.progress = before;
                }
                Err(again("it has committed, and nobody hears of it"))
            }
            2 => {
                state.late.push(transaction);
                Err(again("it will commit, or not"))
            }
            _ => {
                state.commit(transaction);
                Ok(())
            }
        }
    }
}
