//! `BucketFolder`: objects of a bucket as files: each is brought to this machine as a whole and read there. It must not
//! know formats.
//!
//! Whoever works is not held up by a network: new objects are looked for beside the workers, and a file is not there
//! until it is.

mod fetch;
mod objects;
mod options;
#[cfg(test)]
mod server_tests;
mod temporary;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use thalweg_core::{Error, Result};
use tokio::task::AbortHandle;

use super::folder::{Fetch, Folder, Listed};
use super::options::FileOptions;
use super::stamp::Version;
use super::watch::named;
use super::{common_format, infer_file, no_file_yet};
use crate::block::{block_on, spawn};
use fetch::ObjectFetch;
use objects::{OBJECTS_MAX, Objects, Wanted};
pub(crate) use options::InBucket;
use temporary::Temporary;

/// Objects that a worker fetches at one time: their round trips pass side by side.
const SIDE_BY_SIDE: usize = 4;

/// The objects that a source's paths name.
pub(crate) struct BucketFolder {
    objects: Arc<Objects>,
    wanted: Arc<Wanted>,
    list_interval: Duration,
    fetch_max_bytes: u64,
    listing: Mutex<Option<Listing>>,
}

/// What was listed last, and who goes on listing.
struct Listing {
    latest: Arc<Mutex<Result<Arc<[Version]>>>>,
    task: Option<AbortHandle>,
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl BucketFolder {
    /// The objects of `options`, in a bucket. Nothing is asked of it yet.
    pub(crate) fn new(options: &FileOptions, of: &InBucket) -> Result<Self> {
        let place = of.places.first().ok_or_else(|| Error::Internal("no path".to_owned()))?;
        let (store, secrets) = of.reach.connect(place)?;
        let objects = Arc::new(Objects { store, bucket: place.bucket.clone(), secrets });
        Ok(Self::over(objects, options, of))
    }

    fn over(objects: Arc<Objects>, options: &FileOptions, of: &InBucket) -> Self {
        let wanted = Arc::new(Wanted {
            places: of.places.clone(),
            format: options.format,
            awaits: options.awaits(),
            max: options.watch.map_or(OBJECTS_MAX, |watch| watch.files_max),
        });
        let (list_interval, fetch_max_bytes) = (of.list_interval, of.fetch_max_bytes);
        Self { objects, wanted, list_interval, fetch_max_bytes, listing: Mutex::default() }
    }

    /// The columns that the first object has.
    pub(crate) fn infer(&self, options: &FileOptions) -> Result<SchemaRef> {
        let versions = self.list_now()?;
        let paths: Vec<_> = versions.iter().map(|version| version.path.clone()).collect();
        let first = versions.first().ok_or_else(no_file_yet)?.clone();
        let format = common_format(options, &paths)?;
        let compression = options.compression_of(&first.path);
        self.check_length(&first)?;
        let ((file, mut into), objects, version) = (Temporary::new()?, Arc::clone(&self.objects), first.clone());
        block_on(async move { fetch::fetch(&objects, &version, &mut 0, &mut into).await }).ok_or_else(unanswered)??;
        let options = FileOptions { compression: Some(compression), ..options.clone() };
        infer_file(&options, format, file.path()).map_err(|e| named(&first.path, file.path(), e))
    }

    fn list_now(&self) -> Result<Vec<Version>> {
        let (objects, wanted) = (Arc::clone(&self.objects), Arc::clone(&self.wanted));
        block_on(async move { objects.list(&wanted).await }).ok_or_else(unanswered)?
    }

    /// Lists again and again.
    fn keep_listing(&self, latest: Arc<Mutex<Result<Arc<[Version]>>>>) -> AbortHandle {
        let (objects, wanted, interval) = (Arc::clone(&self.objects), Arc::clone(&self.wanted), self.list_interval);
        spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let listed = match objects.list(&wanted).await {
                    Err(Error::Io { path, source }) if passes(source.kind()) => {
                        tracing::warn!(place = %path.display(), error = %source, "new objects could not be looked for");
                        continue;
                    }
                    listed => listed.map(Arc::from),
                };
                *latest.lock().unwrap_or_else(PoisonError::into_inner) = listed;
            }
        })
    }

    fn check_length(&self, version: &Version) -> Result<()> {
        if version.stamp.length <= self.fetch_max_bytes {
            return Ok(());
        }
        let (name, length, max) = (version.path.display(), version.stamp.length, self.fetch_max_bytes);
        Err(Error::invalid_with_hint(
            format!("{name} has {length} bytes, and fetch.max.bytes = {max}"),
            "Write smaller objects, or allow more: each is brought to the temporary folder as a whole.",
        ))
    }
}

impl Folder for BucketFolder {
    fn list(&self) -> Result<Vec<Listed>> {
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if listing.is_none() {
            let latest = Arc::new(Mutex::new(Ok(Arc::from(self.list_now()?))));
            let task = self.wanted.awaits.then(|| self.keep_listing(Arc::clone(&latest)));
            *listing = Some(Listing { latest, task });
        }
        let Some(Listing { latest, .. }) = listing.as_ref() else { return Ok(Vec::new()) };
        let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Ok(versions) => {
                let listed = |version: &Version| Listed { version: version.clone(), complete: true };
                Ok(versions.iter().map(listed).collect())
            }
            // It is told once; whoever goes on finds nothing until the next look.
            Err(_) => std::mem::replace(&mut *latest, Ok(Arc::from([]))).map(|_| Vec::new()),
        }
    }

    fn fetch(&self, version: &Version) -> Result<Box<dyn Fetch>> {
        self.check_length(version)?;
        Ok(Box::new(ObjectFetch::begin(Arc::clone(&self.objects), version.clone())?))
    }

    /// What was fetched is that version, whatever has become of the object.
    fn check(&self, _: &Version) -> Result<()> {
        Ok(())
    }

    fn side_by_side(&self) -> usize {
        SIDE_BY_SIDE
    }
}

/// What may be well again by itself: also access that is denied, for keys and rules change while a server runs.
fn passes(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotConnected | ErrorKind::PermissionDenied | ErrorKind::StorageFull)
}

fn unanswered() -> Error {
    Error::Internal("a request to an object store ended without an answer".to_owned())
}
