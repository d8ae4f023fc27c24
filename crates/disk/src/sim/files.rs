//! `SimDisk` as a `Disk`: paths, errors and faults around the steps of the tree. It must not know what a crash keeps.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::tree::{Inode, Node, ROOT, Step, Tree};
use super::{Fault, Sim, SimDisk};
use crate::disk::parts;
use crate::{Disk, DiskError, DiskErrorKind, DiskFile, Entry, Operation, Result};

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: String,
    file: Inode,
}

fn io_error() -> io::Error {
    io::Error::other("simulated input/output error")
}

fn no_space() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left on the disk")
}

fn kind(kind: io::ErrorKind) -> io::Error {
    kind.into()
}

impl Tree {
    fn find(&self, path: &str) -> io::Result<Node> {
        let mut node = Node::Folder(ROOT);
        for part in parts(path)? {
            let Node::Folder(folder) = node else { return Err(kind(io::ErrorKind::NotADirectory)) };
            node = self.look_up(folder, part).ok_or_else(|| kind(io::ErrorKind::NotFound))?;
        }
        Ok(node)
    }

    fn find_file(&self, path: &str) -> io::Result<Inode> {
        match self.find(path)? {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(kind(io::ErrorKind::IsADirectory)),
        }
    }

    fn find_folder(&self, path: &str) -> io::Result<Inode> {
        match self.find(path)? {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(kind(io::ErrorKind::NotADirectory)),
        }
    }

    /// The folder and the name of `path`, which need not exist.
    fn place<'p>(&self, path: &'p str) -> io::Result<(Inode, &'p str)> {
        let name = *parts(path)?.last().ok_or_else(|| kind(io::ErrorKind::AlreadyExists))?;
        let folder = path[..path.len() - name.len()].trim_end_matches('/');
        Ok((self.find_folder(folder)?, name))
    }

    /// The same, if nothing has that name.
    fn free_place<'p>(&self, path: &'p str) -> io::Result<(Inode, &'p str)> {
        let (folder, name) = self.place(path)?;
        match self.look_up(folder, name) {
            Some(_) => Err(kind(io::ErrorKind::AlreadyExists)),
            None => Ok((folder, name)),
        }
    }
}

impl Sim {
    fn name(&mut self, (folder, name): (Inode, &str), node: Option<Node>) {
        self.step(Step::Name { folder, name: name.into(), node });
    }

    fn forgets(&mut self, operation: Operation, path: &str) -> bool {
        self.liar.as_mut().is_some_and(|liar| liar.0(operation, path))
    }

    /// A file or folder can be made.
    fn room(&self) -> io::Result<()> {
        if self.capacity.is_some_and(|c| self.tree.bytes() >= c) { Err(no_space()) } else { Ok(()) }
    }
}

impl SimDisk {
    /// Runs `call`, unless this call is to fail. `call` gets the fault of an append, a sync or a making; elsewhere any
    /// fault is an I/O error.
    fn run<T>(
        &self,
        operation: Operation,
        path: &str,
        call: impl FnOnce(&mut Sim, Option<Fault>) -> io::Result<T>,
    ) -> Result<T> {
        use Operation::{Append, Create, CreateFolder, Publish, Sync, SyncFolder};
        let mut sim = self.lock();
        let number = sim.calls;
        sim.calls += 1;
        let is_change = !matches!(operation, Operation::Open | Operation::Read | Operation::List);
        if let Some(first) = self.health.get().filter(|_| is_change) {
            return Err(DiskError::poisoned(operation, path.as_ref(), first));
        }
        let fault = sim.faults.remove(&number);
        let done = match (operation, fault) {
            (Append | Sync | SyncFolder, fault) => call(&mut sim, fault),
            (Create | CreateFolder | Publish, Some(Fault::NoSpace)) => Err(no_space()),
            (_, Some(_)) => Err(io_error()),
            (_, None) => call(&mut sim, None),
        };
        done.map_err(|e| DiskError::new(operation, path, e))
    }

    fn poison(&self, error: &DiskError) {
        // Not having found the place is no failed fsync.
        if error.source.kind() == io::ErrorKind::Other && error.kind != DiskErrorKind::Poisoned {
            self.health.get_or_init(|| error.clone());
        }
    }

    fn file(&self, path: &str, file: Inode) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), path: path.to_owned(), file })
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &str) -> Result<Box<dyn DiskFile>> {
        let file = self.run(Operation::Create, path, |sim, _| {
            let place = sim.tree.free_place(path)?;
            sim.room()?;
            let file = sim.tree.next;
            sim.step(Step::NewFile(file));
            sim.name(place, Some(Node::File(file)));
            Ok(file)
        })?;
        Ok(self.file(path, file))
    }

    fn open(&self, path: &str) -> Result<Box<dyn DiskFile>> {
        let file = self.run(Operation::Open, path, |sim, _| sim.tree.find_file(path))?;
        Ok(self.file(path, file))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.run(Operation::Read, path, |sim, _| Ok(sim.tree.files[&sim.tree.find_file(path)?].cached.clone()))
    }

    fn read_range(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.run(Operation::Read, path, |sim, _| {
            let bytes = &sim.tree.files[&sim.tree.find_file(path)?].cached;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Ok(bytes[from..from.saturating_add(length).min(bytes.len())].to_vec())
        })
    }

    fn size(&self, path: &str) -> Result<u64> {
        self.run(Operation::Read, path, |sim, _| Ok(sim.tree.files[&sim.tree.find_file(path)?].cached.len() as u64))
    }

    fn exists(&self, path: &str) -> Result<bool> {
        use io::ErrorKind::{NotADirectory, NotFound};
        self.run(Operation::Read, path, |sim, _| match sim.tree.find(path) {
            Err(e) if matches!(e.kind(), NotFound | NotADirectory) => Ok(false),
            found => found.map(|_| true),
        })
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.run(Operation::List, folder, |sim, _| {
            let names = sim.tree.names(sim.tree.find_folder(folder)?);
            let entry = |(name, node): (&Arc<str>, Node)| Entry {
                name: name.to_string(),
                is_folder: matches!(node, Node::Folder(_)),
            };
            Ok(names.map(entry).collect())
        })
    }

    fn create_folder(&self, path: &str) -> Result<()> {
        self.run(Operation::CreateFolder, path, |sim, _| {
            let place = sim.tree.free_place(path)?;
            sim.room()?;
            let folder = sim.tree.next;
            sim.step(Step::NewFolder(folder));
            sim.name(place, Some(Node::Folder(folder)));
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.run(Operation::Remove, path, |sim, _| {
            sim.tree.find_file(path)?;
            let place = sim.tree.place(path)?;
            sim.name(place, None);
            Ok(())
        })
    }

    fn remove_folder(&self, path: &str) -> Result<()> {
        self.run(Operation::Remove, path, |sim, _| {
            if sim.tree.names(sim.tree.find_folder(path)?).next().is_some() {
                return Err(kind(io::ErrorKind::DirectoryNotEmpty));
            }
            let place = sim.tree.place(path)?;
            sim.name(place, None);
            Ok(())
        })
    }

    fn publish(&self, from: &str, to: &str) -> Result<()> {
        self.run(Operation::Publish, to, |sim, _| {
            parts(to)?;
            sim.tree.find(from)?;
            let place = sim.tree.free_place(to)?;
            let file = sim.tree.find_file(from)?;
            sim.name(place, Some(Node::File(file)));
            let place = sim.tree.place(from)?;
            sim.name(place, None);
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        let synced = self.run(Operation::SyncFolder, folder, |sim, fault| {
            let inode = sim.tree.find_folder(folder)?;
            if fault.is_some() {
                return Err(io_error());
            }
            if !sim.forgets(Operation::SyncFolder, folder) {
                sim.step(Step::SyncFolder { folder: inode });
            }
            Ok(())
        });
        synced.inspect_err(|e| self.poison(e))
    }

    fn uncache(&self, path: &str) -> Result<()> {
        self.run(Operation::Read, path, |sim, _| {
            let file = sim.tree.find_file(path)?;
            let content = sim.tree.files.get_mut(&file).expect("a name leads to a file");
            if content.changes.is_empty() {
                content.cached.clone_from(&content.device);
            }
            Ok(())
        })
    }

    fn locate(&self, path: &str) -> PathBuf {
        path.into()
    }
}

impl DiskFile for SimFile {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.disk.run(Operation::Append, &self.path, |sim, fault| {
            let room = sim.capacity.map_or(u64::MAX, |c| c.saturating_sub(sim.tree.bytes()));
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (written, outcome) = match fault {
                None if bytes.len() <= room => (bytes.len(), Ok(())),
                None => (room, Err(no_space())),
                Some(Fault::Io) => (0, Err(io_error())),
                // As much as one sector had room.
                Some(Fault::NoSpace) => (bytes.len().saturating_sub(1).min(512), Err(no_space())),
                Some(Fault::ShortWrite) => (bytes.len() / 2, Err(io_error())),
            };
            if written > 0 {
                sim.step(Step::Append { file: self.file, bytes: bytes[..written].into() });
            }
            outcome
        })
    }

    fn sync(&self) -> Result<()> {
        let synced = self.disk.run(Operation::Sync, &self.path, |sim, fault| {
            if fault.is_some() {
                let seed = sim.steps;
                sim.step(Step::SyncFailed { file: self.file, seed });
                return Err(io_error());
            }
            if !sim.forgets(Operation::Sync, &self.path) {
                sim.step(Step::Sync { file: self.file });
            }
            Ok(())
        });
        synced.inspect_err(|e| self.disk.poison(e))
    }

    fn len(&self) -> Result<u64> {
        self.disk.run(Operation::Read, &self.path, |sim, _| Ok(sim.tree.files[&self.file].cached.len() as u64))
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.disk.run(Operation::Truncate, &self.path, |sim, _| {
            let now = sim.tree.files[&self.file].cached.len();
            match usize::try_from(length).ok().filter(|n| *n <= now) {
                Some(length) => sim.step(Step::Truncate { file: self.file, length }),
                None => return Err(kind(io::ErrorKind::InvalidInput)),
            }
            Ok(())
        })
    }
}
