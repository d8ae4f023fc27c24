//! A look at checkpoints from outside, which changes nothing: also while a server takes them. It must not know what the
//! state means.

use thalweg_core::{Error, Result};

use super::manifest::Manifest;
use super::{Shelf, blob, piece};

/// A checkpoint, as far as it can be read.
#[derive(Debug)]
pub struct Surveyed {
    /// The name of its manifest.
    pub name: String,
    /// What it says, or why it cannot be read.
    pub manifest: Result<Manifest>,
}

/// The checkpoints on a shelf, newest first. One that a server removes meanwhile is left out.
///
/// # Errors
/// The shelf cannot be read.
pub fn survey(shelf: &dyn Shelf) -> Result<Vec<Surveyed>> {
    let mut names: Vec<String> = shelf.list()?.into_iter().filter(|n| Manifest::epoch_of(n).is_some()).collect();
    names.sort_unstable();
    let mut found = Vec::new();
    for name in names.into_iter().rev() {
        let manifest = shelf.read(&name).and_then(|bytes| Manifest::decode(&name, &bytes));
        if manifest.is_ok() || is_there(shelf, &name)? {
            found.push(Surveyed { name, manifest });
        }
    }
    Ok(found)
}

/// Reads every byte that a checkpoint refers to: what is wrong, with file, place and checksums. `None` if a server has
/// removed the checkpoint meanwhile.
///
/// # Errors
/// The shelf cannot be listed.
pub fn verify(shelf: &dyn Shelf, checkpoint: &Surveyed) -> Result<Option<Vec<Error>>> {
    let mut wrong = Vec::new();
    let Ok(manifest) = &checkpoint.manifest else { return Ok(Some(wrong)) };
    for name in manifest.files() {
        let bytes = match shelf.read(name) {
            Ok(bytes) => bytes,
            Err(error) => {
                wrong.push(error);
                continue;
            }
        };
        let parts = manifest.jobs.values().flat_map(|job| &job.parts).filter(|part| part.file == name);
        wrong.extend(parts.filter_map(|part| piece(&bytes, 0, part).and_then(blob::decode).err()));
    }
    Ok((wrong.is_empty() || is_there(shelf, &checkpoint.name)?).then_some(wrong))
}

fn is_there(shelf: &dyn Shelf, name: &str) -> Result<bool> {
    Ok(shelf.list()?.iter().any(|n| n == name))
}
