//! `CrashStates`: what the disk may hold after a power loss, after each step of a recorded run. It must not know what
//! the files hold.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::fate::{Fate, any_fate, fates};
use super::tree::{Inode, Node, ROOT, Slot, Step, Tree};
use super::{Rng, SimDisk};

/// A disk after a power loss.
#[derive(Debug)]
pub struct CrashState {
    /// The power was lost after so many steps (see [`SimDisk::steps`]).
    pub steps: u64,
    /// Which of the states possible then, in the order of the enumeration.
    pub variant: usize,
    /// What is left.
    pub disk: SimDisk,
}

impl fmt::Display for CrashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}, state {}", self.steps, self.variant)
    }
}

/// A recorded run: where it began and its steps.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub start: Tree,
    pub first: u64,
    pub steps: Vec<Step>,
}

/// Every crash of a recorded run: before its first step, after each, and in each case every legal state, or a sample of
/// them where there are more than asked for. Made by [`SimDisk::crash_states`].
#[derive(Debug)]
pub struct CrashStates {
    recording: Recording,
    tree: Tree,
    /// Steps of the recording that were applied to `tree`.
    applied: usize,
    loose: Loose,
    variant: usize,
    per_step: usize,
    seed: u64,
}

/// What was not durable, and how many ways each part can go.
#[derive(Debug)]
struct Loose {
    names: Vec<(Inode, Arc<str>, usize)>,
    files: Vec<(Inode, Vec<Fate>)>,
    /// How many states there are; `None` if more than can be counted.
    states: Option<usize>,
}

impl Loose {
    fn of(tree: &Tree) -> Self {
        let names = tree.folders.iter().flat_map(|(folder, names)| {
            let loose = names.iter().filter(|(_, slot)| slot.history.len() > 1);
            loose.map(|(name, slot)| (*folder, name.clone(), slot.history.len()))
        });
        let names: Vec<_> = names.collect();
        let changed = tree.files.iter().filter(|(_, content)| !content.changes.is_empty());
        let files: Vec<_> = changed.map(|(file, content)| (*file, fates(content))).collect();
        let mut ways = names.iter().map(|n| n.2).chain(files.iter().map(|f| f.1.len()));
        let states = ways.try_fold(1, usize::checked_mul);
        Self { names, files, states }
    }

    /// How many ways part `i` can go.
    fn ways(&self, i: usize) -> usize {
        self.names.get(i).map_or_else(|| self.files[i - self.names.len()].1.len(), |n| n.2)
    }

    fn parts(&self) -> usize {
        self.names.len() + self.files.len()
    }

    /// State number `at` of all: the last of them keeps everything.
    fn counted(&self, mut at: usize) -> Vec<usize> {
        (0..self.parts())
            .map(|i| {
                let choice = at % self.ways(i);
                at /= self.ways(i);
                choice
            })
            .collect()
    }

    /// State number `at` of a sample: nothing kept, all kept, then one part apart from all others, then anything.
    fn sampled(&self, at: usize, rng: &mut Rng) -> Vec<usize> {
        let none = vec![0; self.parts()];
        let all: Vec<usize> = (0..self.parts()).map(|i| self.ways(i) - 1).collect();
        match at {
            0 => none,
            1 => all,
            _ => {
                let mut choices = match rng.below(3) {
                    0 => none,
                    1 => all,
                    _ => return (0..self.parts()).map(|i| rng.below(self.ways(i))).collect(),
                };
                let odd = rng.below(self.parts());
                choices[odd] = rng.below(self.ways(odd));
                choices
            }
        }
    }

    /// The tree in which each part went the chosen way.
    fn resolve(&self, tree: &Tree, choices: &[usize]) -> Tree {
        let mut after = tree.clone();
        let (names, files) = choices.split_at(self.names.len());
        for ((folder, name, _), choice) in self.names.iter().zip(names) {
            let slots = after.folders.get_mut(folder).expect("it was found there");
            let slot = slots.get_mut(name).expect("it was found there");
            slot.history = vec![slot.history[*choice]];
        }
        for ((file, fates), choice) in self.files.iter().zip(files) {
            let content = after.files.get_mut(file).expect("it was found there");
            content.device = fates[*choice].after(&tree.files[file]);
        }
        settle(after)
    }
}

/// After the power is back the device is all there is, and what has a name on it.
fn settle(mut tree: Tree) -> Tree {
    for content in tree.files.values_mut() {
        content.changes.clear();
        content.cached.clone_from(&content.device);
    }
    for names in tree.folders.values_mut() {
        names.retain(|_, slot| slot.now().is_some());
    }
    let mut named = vec![Node::Folder(ROOT)];
    let mut after = Tree { next: tree.next, files: BTreeMap::new(), folders: BTreeMap::new() };
    while let Some(node) = named.pop() {
        match node {
            Node::Folder(folder) => {
                let names = tree.folders.remove(&folder).unwrap_or_default();
                named.extend(names.values().filter_map(Slot::now));
                after.folders.insert(folder, names);
            }
            // A file with two names comes twice.
            Node::File(file) => after.files.extend(tree.files.remove_entry(&file)),
        }
    }
    after
}

/// One state, any of the legal ones.
pub(super) fn any_crash(tree: &Tree, rng: &mut Rng) -> Tree {
    let mut after = tree.clone();
    for names in after.folders.values_mut() {
        for slot in names.values_mut() {
            slot.history = vec![slot.history[rng.below(slot.history.len())]];
        }
    }
    for content in after.files.values_mut().filter(|c| !c.changes.is_empty()) {
        content.device = any_fate(content, rng).after(content);
    }
    settle(after)
}

impl CrashStates {
    pub(super) fn new(recording: Recording, per_step: usize, seed: u64) -> Self {
        let tree = recording.start.clone();
        let loose = Loose::of(&tree);
        Self { recording, tree, applied: 0, loose, variant: 0, per_step: per_step.max(2), seed }
    }
}

impl Iterator for CrashStates {
    type Item = CrashState;

    fn next(&mut self) -> Option<CrashState> {
        let all = self.loose.states.filter(|n| *n <= self.per_step);
        if self.variant == all.unwrap_or(self.per_step) {
            self.tree.apply(self.recording.steps.get(self.applied)?);
            self.applied += 1;
            self.variant = 0;
            self.loose = Loose::of(&self.tree);
            return self.next();
        }
        let steps = self.recording.first + self.applied as u64;
        let mut rng = Rng::new(self.seed ^ (steps << 20) ^ self.variant as u64);
        // The last part of a sample takes states that no list has room for.
        let tree = match all {
            Some(_) => self.loose.resolve(&self.tree, &self.loose.counted(self.variant)),
            None if self.variant * 4 > self.per_step * 3 => any_crash(&self.tree, &mut rng),
            None => self.loose.resolve(&self.tree, &self.loose.sampled(self.variant, &mut rng)),
        };
        let variant = self.variant;
        self.variant += 1;
        Some(CrashState { steps, variant, disk: SimDisk::from_tree(tree) })
    }
}
