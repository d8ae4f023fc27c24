//! `durable_publish`: the one order of writes and fsyncs after which files are there for good. Nothing else in the
//! project links or renames a file. It must not know what the files hold.

use thalweg_core::planted::{Defect, is_planted};

use crate::disk::parent;
use crate::{Disk, DiskError, DiskErrorKind, Result};

/// A file to be written: path and content.
#[derive(Clone, Copy, Debug)]
pub struct NewFile<'a> {
    /// Its path.
    pub path: &'a str,
    /// All of it.
    pub bytes: &'a [u8],
}

/// Makes `files` durable, and then `manifest`, at once: after a crash the manifest is whole or not there, and where it
/// is there, so are the files. Nothing is overwritten.
///
/// The order: write each file, fsync each, fsync their folders; write the manifest under another name (`.tmp` behind its
/// own), fsync it, give it its name, fsync its folder. Folders must be durable already: see [`durable_folder`].
///
/// # Errors
/// A file or the manifest exists, or the disk refuses. Then nothing is published and what was written is removed as
/// far as possible, unless the last fsync failed: then the disk is poisoned and the outcome is known after a restart.
pub fn durable_publish(disk: &dyn Disk, files: &[NewFile<'_>], manifest: NewFile<'_>) -> Result<()> {
    let staged = format!("{}.tmp", manifest.path);
    let mut written: Vec<&str> = Vec::with_capacity(files.len() + 1);
    stage(disk, files, manifest, &staged, &mut written).inspect_err(|_| {
        // The error that led here is the one to tell; what stays behind has no manifest that names it.
        written.iter().for_each(|path| drop(disk.remove(path)));
    })?;
    thalweg_core::failpoint!("publish.named");
    if !is_planted(Defect::UnsyncedFolder) {
        disk.sync_folder(parent(manifest.path))?;
    }
    thalweg_core::failpoint!("publish.durable");
    Ok(())
}

/// All but the last fsync. `written` are the files made so far.
fn stage<'a>(
    disk: &dyn Disk,
    files: &[NewFile<'a>],
    manifest: NewFile<'_>,
    staged: &'a str,
    written: &mut Vec<&'a str>,
) -> Result<()> {
    for file in files {
        let made = disk.create(file.path)?;
        written.push(file.path);
        made.append(file.bytes)?;
        thalweg_core::failpoint!("publish.file_written");
        if !is_planted(Defect::UnsyncedFile) {
            made.sync()?;
        }
        thalweg_core::failpoint!("publish.file_synced");
    }
    let mut folders: Vec<&str> = files.iter().map(|f| parent(f.path)).collect();
    folders.sort_unstable();
    folders.dedup();
    folders.iter().try_for_each(|folder| disk.sync_folder(folder))?;
    thalweg_core::failpoint!("publish.folders_synced");

    // A crash may have left a half-written one.
    match disk.remove(staged) {
        Err(e) if e.kind != DiskErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let made = disk.create(staged)?;
    written.push(staged);
    made.append(manifest.bytes)?;
    thalweg_core::failpoint!("publish.manifest_written");
    made.sync()?;
    thalweg_core::failpoint!("publish.manifest_synced");
    disk.publish(staged, manifest.path)
}

/// Makes the folder `path` and those around it, as far as they are missing, and makes them durable.
///
/// # Errors
/// The disk refuses, or a file has one of the names.
pub fn durable_folder(disk: &dyn Disk, path: &str) -> Result<()> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for folder in ends.map(|end| &path[..end]) {
        match disk.create_folder(folder) {
            Err(DiskError { kind: DiskErrorKind::AlreadyExists, .. }) => {}
            other => other?,
        }
        thalweg_core::failpoint!("folder.made");
        // Also where it was there: whoever made it may have been killed before this.
        disk.sync_folder(parent(folder))?;
    }
    Ok(())
}
