//! `LocalDisk`: a folder of the operating system, with fsync. It must not know what the files hold.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::disk::parts;
use crate::{Disk, DiskError, DiskFile, Entry, Operation, Result};

/// Files in a folder of the operating system.
#[derive(Clone, Debug)]
pub struct LocalDisk {
    root: PathBuf,
    /// Of new files, before the process's umask.
    mode: u32,
    health: Health,
}

/// The first fsync that failed, if one has.
#[derive(Clone, Debug, Default)]
struct Health(Arc<OnceLock<DiskError>>);

#[derive(Debug)]
struct LocalFile {
    path: PathBuf,
    file: File,
    health: Health,
}

impl Health {
    fn check(&self, operation: Operation, path: &Path) -> Result<()> {
        self.0.get().map_or(Ok(()), |first| Err(DiskError::poisoned(operation, path, first)))
    }

    fn poison(&self, error: &DiskError) {
        self.0.get_or_init(|| error.clone());
    }
}

impl LocalDisk {
    /// The files under `root`, which is made if need be, and durable with all folders around it that had to be made.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        durable_root(&root)?;
        Ok(Self { root, mode: 0o666, health: Health::default() })
    }

    /// The same, but only its owner may read the files that it makes.
    #[must_use]
    pub fn private(self) -> Self {
        Self { mode: 0o600, ..self }
    }

    /// Runs `call` on the full path.
    fn at<T>(&self, operation: Operation, path: &str, call: impl FnOnce(&Path) -> io::Result<T>) -> Result<T> {
        let full = if path.is_empty() { self.root.clone() } else { self.root.join(path) };
        parts(path).and_then(|_| call(&full)).map_err(|e| DiskError::new(operation, full, e))
    }

    /// The same for a change, which a failed fsync forbids.
    fn change<T>(&self, operation: Operation, path: &str, call: impl FnOnce(&Path) -> io::Result<T>) -> Result<T> {
        self.health.check(operation, &self.root.join(path))?;
        self.at(operation, path, call)
    }

    fn file(&self, path: &str, file: File) -> Box<dyn DiskFile> {
        Box::new(LocalFile { path: self.root.join(path), file, health: self.health.clone() })
    }
}

impl Disk for LocalDisk {
    fn create(&self, path: &str) -> Result<Box<dyn DiskFile>> {
        let options = |p: &Path| OpenOptions::new().append(true).create_new(true).mode(self.mode).open(p);
        self.change(Operation::Create, path, options).map(|f| self.file(path, f))
    }

    fn open(&self, path: &str) -> Result<Box<dyn DiskFile>> {
        let file = self.at(Operation::Open, path, |p| OpenOptions::new().append(true).open(p))?;
        Ok(self.file(path, file))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.at(Operation::Read, path, |p| std::fs::read(p))
    }

    fn read_range(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.at(Operation::Read, path, |p| {
            let file = open_file(p)?;
            let left = file.metadata()?.len().saturating_sub(offset);
            let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(length)];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                    // It was shortened meanwhile.
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        })
    }

    fn size(&self, path: &str) -> Result<u64> {
        self.at(Operation::Read, path, |p| open_file(p)?.metadata().map(|m| m.len()))
    }

    fn exists(&self, path: &str) -> Result<bool> {
        self.at(Operation::Read, path, |p| match p.try_exists() {
            // A file stands where the path has a folder.
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(false),
            other => other,
        })
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.at(Operation::List, folder, |p| {
            let entry = |e: io::Result<std::fs::DirEntry>| {
                let e = e?;
                let name = e.file_name().into_string();
                let name = name.map_err(|n| io::Error::other(format!("the name {n:?} in it is not UTF-8")))?;
                Ok(Entry { name, is_folder: e.file_type()?.is_dir() })
            };
            let mut entries = std::fs::read_dir(p)?.map(entry).collect::<io::Result<Vec<_>>>()?;
            entries.sort_unstable();
            Ok(entries)
        })
    }

    fn create_folder(&self, path: &str) -> Result<()> {
        self.change(Operation::CreateFolder, path, |p| std::fs::create_dir(p))
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.change(Operation::Remove, path, |p| std::fs::remove_file(p))
    }

    fn remove_folder(&self, path: &str) -> Result<()> {
        self.change(Operation::Remove, path, |p| std::fs::remove_dir(p))
    }

    fn publish(&self, from: &str, to: &str) -> Result<()> {
        self.change(Operation::Publish, to, |full| {
            parts(from)?;
            // A link fails where a rename would replace.
            std::fs::hard_link(self.root.join(from), full)?;
            // It is published; a second name that stays behind does no harm.
            drop(std::fs::remove_file(self.root.join(from)));
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        let opened = self.change(Operation::SyncFolder, folder, |p| {
            let opened = File::open(p)?;
            if opened.metadata()?.is_dir() { Ok(opened) } else { Err(io::ErrorKind::NotADirectory.into()) }
        })?;
        let synced = self.at(Operation::SyncFolder, folder, |_| opened.sync_all());
        synced.inspect_err(|e| self.health.poison(e))
    }

    fn uncache(&self, path: &str) -> Result<()> {
        self.at(Operation::Read, path, |p| open_file(p).and_then(|f| uncache(&f)))
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl DiskFile for LocalFile {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        self.health.check(Operation::Append, &self.path)?;
        (&self.file).write_all(bytes).map_err(|e| DiskError::new(Operation::Append, &self.path, e))
    }

    fn sync(&self) -> Result<()> {
        self.health.check(Operation::Sync, &self.path)?;
        let synced = self.file.sync_data().map_err(|e| DiskError::new(Operation::Sync, &self.path, e));
        synced.inspect_err(|e| self.health.poison(e))
    }

    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| DiskError::new(Operation::Read, &self.path, e))?.len())
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.health.check(Operation::Truncate, &self.path)?;
        let shortened = self.file.metadata().and_then(|m| {
            if m.len() < length {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is shorter than that"));
            }
            self.file.set_len(length)
        });
        shortened.map_err(|e| DiskError::new(Operation::Truncate, &self.path, e))
    }
}

/// Makes the folder `root` and those around it, as far as they are missing, and makes their names durable.
fn durable_root(root: &Path) -> Result<()> {
    let failed = |operation, path: &Path, e| DiskError::new(operation, path, e);
    let root = std::path::absolute(root).map_err(|e| failed(Operation::CreateFolder, root, e))?;
    let missing = root.ancestors().take_while(|folder| !folder.is_dir()).count();
    // The last one also where it was there: whoever made it may have been killed before its name was durable.
    let folders: Vec<&Path> = root.ancestors().take(missing.max(1)).collect();
    for folder in folders.into_iter().rev() {
        match std::fs::create_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            made => made.map_err(|e| failed(Operation::CreateFolder, folder, e))?,
        }
        let Some(around) = folder.parent() else { continue };
        match File::open(around) {
            // One that may not be listed cannot be synced; the name in it is an administrator's.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            opened => opened.and_then(|f| f.sync_all()).map_err(|e| failed(Operation::SyncFolder, around, e))?,
        }
    }
    Ok(())
}

/// Opens for reading what is no folder: those open too, and fail later or not at all.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no posix_fadvise")]
fn uncache(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open for as long as `file` lives, and the call reads no memory of ours.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Other systems offer no such call.
#[cfg(not(target_os = "linux"))]
fn uncache(_: &File) -> io::Result<()> {
    Ok(())
}
