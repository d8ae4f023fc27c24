//! `Tree`: files and folders as the device and the page cache hold them, changed by logged steps. It must not know
//! faults, limits or paths.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A file's or folder's number: it outlives its names.
pub(super) type Inode = u64;

/// The root folder.
pub(super) const ROOT: Inode = 0;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(Inode),
    Folder(Inode),
}

/// One change, small enough that a crash falls between two and never into one, but for the bytes of an append.
#[derive(Clone, Debug)]
pub(super) enum Step {
    NewFile(Inode),
    NewFolder(Inode),
    /// `name` in `folder` now stands for `node`, or for nothing.
    Name {
        folder: Inode,
        name: Arc<str>,
        node: Option<Node>,
    },
    Append {
        file: Inode,
        bytes: Arc<[u8]>,
    },
    Truncate {
        file: Inode,
        length: usize,
    },
    Sync {
        file: Inode,
    },
    /// The device refused: it holds what `fate` picks, and the cache believes that all is written.
    SyncFailed {
        file: Inode,
        seed: u64,
    },
    SyncFolder {
        folder: Inode,
    },
}

/// A change to a file that is not durable.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Append { at: usize, bytes: Arc<[u8]> },
    Truncate(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What is durable.
    pub device: Vec<u8>,
    /// What came after, oldest first.
    pub changes: Vec<Change>,
    /// What a reader sees.
    pub cached: Vec<u8>,
}

/// What a name has stood for: the first is durable, the last is now.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub history: Vec<Option<Node>>,
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub files: BTreeMap<Inode, Content>,
    pub folders: BTreeMap<Inode, BTreeMap<Arc<str>, Slot>>,
    pub next: Inode,
}

impl Slot {
    pub fn now(&self) -> Option<Node> {
        *self.history.last().expect("a slot has a durable value")
    }
}

impl Tree {
    pub fn new() -> Self {
        Self { files: BTreeMap::new(), folders: BTreeMap::from([(ROOT, BTreeMap::new())]), next: ROOT + 1 }
    }

    /// What `name` in `folder` stands for.
    pub fn look_up(&self, folder: Inode, name: &str) -> Option<Node> {
        self.folders.get(&folder)?.get(name)?.now()
    }

    /// The names in `folder`.
    pub fn names(&self, folder: Inode) -> impl Iterator<Item = (&Arc<str>, Node)> {
        self.folders.get(&folder).into_iter().flatten().filter_map(|(name, slot)| Some((name, slot.now()?)))
    }

    /// Bytes of all files that have a name.
    pub fn bytes(&self) -> u64 {
        let mut named: Vec<Inode> = self.folders.keys().flat_map(|f| self.names(*f)).filter_map(file_of).collect();
        named.sort_unstable();
        named.dedup();
        named.iter().map(|file| self.files[file].cached.len() as u64).sum()
    }

    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::NewFile(file) => {
                self.files.insert(*file, Content::default());
                self.next = self.next.max(file + 1);
            }
            Step::NewFolder(folder) => {
                self.folders.insert(*folder, BTreeMap::new());
                self.next = self.next.max(folder + 1);
            }
            Step::Name { folder, name, node } => {
                let names = self.folders.entry(*folder).or_default();
                names.entry(name.clone()).or_insert_with(|| Slot { history: vec![None] }).history.push(*node);
            }
            Step::Append { file, bytes } => {
                let content = self.content(*file);
                content.changes.push(Change::Append { at: content.cached.len(), bytes: bytes.clone() });
                content.cached.extend_from_slice(bytes);
            }
            Step::Truncate { file, length } => {
                let content = self.content(*file);
                content.changes.push(Change::Truncate(*length));
                content.cached.truncate(*length);
            }
            Step::Sync { file } => {
                let content = self.content(*file);
                for change in std::mem::take(&mut content.changes) {
                    change.apply(&mut content.device);
                }
            }
            Step::SyncFailed { file, seed } => {
                let content = self.content(*file);
                content.device = super::fate::any_fate(content, &mut super::Rng::new(*seed)).after(content);
                content.changes.clear();
            }
            Step::SyncFolder { folder } => {
                let names = self.folders.entry(*folder).or_default();
                names.values_mut().for_each(|slot| slot.history = vec![slot.now()]);
                names.retain(|_, slot| slot.now().is_some());
            }
        }
    }

    fn content(&mut self, file: Inode) -> &mut Content {
        self.files.entry(file).or_default()
    }
}

fn file_of((_, node): (&Arc<str>, Node)) -> Option<Inode> {
    match node {
        Node::File(file) => Some(file),
        Node::Folder(_) => None,
    }
}

impl Change {
    /// All of it takes effect.
    pub fn apply(&self, device: &mut Vec<u8>) {
        match self {
            Self::Append { at, bytes } => {
                device.resize(device.len().max(at + bytes.len()), 0);
                device[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Truncate(length) => device.truncate(*length),
        }
    }
}
