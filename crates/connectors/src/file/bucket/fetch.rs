//! `ObjectFetch`: an object on its way to a temporary file of this machine. It must not know what is in it.
//!
//! It comes in pieces, each checked to be of the version that was taken up. While the store is not to be reached, denies
//! access, or the disk is full, it is tried again; what else goes wrong ends the fetch.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::{Error as StoreError, GetOptions, GetRange, ObjectStore};
use thalweg_bucket::no_bucket;
use thalweg_core::{Error, Result};
use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};
use tokio::task::AbortHandle;

use super::super::folder::{Fetch, gone};
use super::super::stamp::Version;
use super::objects::{Objects, stamp};
use super::passes;
use super::temporary::Temporary;
use crate::block::spawn;

/// Bytes of one request.
const PIECE_BYTES: u64 = 16 << 20;
/// Time before the first and the longest before another try.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A file that goes when this does.
pub(super) struct ObjectFetch {
    file: Temporary,
    outcome: Option<Receiver<Result<()>>>,
    task: AbortHandle,
}

impl ObjectFetch {
    /// Begins to fetch `version`.
    pub(super) fn begin(objects: Arc<Objects>, version: Version) -> Result<Self> {
        let (file, mut into) = Temporary::new()?;
        let (sender, outcome) = oneshot::channel();
        let task = spawn(async move {
            // Nobody waits if the reader is gone.
            let _ = sender.send(fetch_patiently(&objects, &version, &mut into).await);
        });
        Ok(Self { file, outcome: Some(outcome), task })
    }
}

impl Drop for ObjectFetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fetch for ObjectFetch {
    fn poll(&mut self) -> Result<Option<&Path>> {
        if let Some(outcome) = &mut self.outcome {
            match outcome.try_recv() {
                Ok(outcome) => outcome?,
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Closed) => {
                    return Err(Error::Internal("the fetch of an object ended without an outcome".to_owned()));
                }
            }
            self.outcome = None;
        }
        Ok(Some(self.file.path()))
    }
}

async fn fetch_patiently(objects: &Objects, version: &Version, into: &mut File) -> Result<()> {
    let mut at = 0;
    let mut pause = BACKOFF.0;
    loop {
        let before = at;
        match fetch(objects, version, &mut at, into).await {
            Err(Error::Io { path, source }) if passes(source.kind()) => {
                tracing::warn!(object = %path.display(), error = %source, "an object could not be fetched; it is tried again");
            }
            outcome => return outcome,
        }
        pause = if at > before { BACKOFF.0 } else { (pause * 2).min(BACKOFF.1) };
        tokio::time::sleep(pause).await;
    }
}

/// Fetches a version from `at` on, which moves with what has been written.
pub(super) async fn fetch(objects: &Objects, version: &Version, at: &mut u64, into: &mut File) -> Result<()> {
    let key = objects.key(&version.path)?;
    while *at < version.stamp.length {
        let end = (*at + PIECE_BYTES).min(version.stamp.length);
        let options = GetOptions { range: Some(GetRange::Bounded(*at..end)), ..GetOptions::default() };
        let failed = |e: StoreError| match e {
            StoreError::NotFound { source, .. } if !no_bucket(&source.to_string()) => gone(&version.path),
            cause => objects.failed("read", &version.path, &cause),
        };
        let found = objects.store.get_opts(&key, options).await;
        let found = match found {
            // It may have become so short that there is nothing where this piece begins.
            Err(StoreError::Generic { .. }) => {
                let meta = objects.store.get_opts(&key, GetOptions { head: true, ..GetOptions::default() });
                let now = stamp(&meta.await.map_err(failed)?.meta);
                if now != version.stamp {
                    return Err(version.changed(&now));
                }
                found.map_err(failed)?
            }
            found => found.map_err(failed)?,
        };
        let now = stamp(&found.meta);
        if now != version.stamp {
            return Err(version.changed(&now));
        }
        let bytes = found.bytes().await.map_err(failed)?;
        if bytes.len() as u64 != end - *at {
            let short = std::io::Error::new(ErrorKind::NotConnected, "the answer is shorter than what was asked for");
            return Err(Error::io(&version.path, short));
        }
        // What a failure left behind is written over.
        let written = into.seek(SeekFrom::Start(*at)).and_then(|_| into.write_all(&bytes));
        written.map_err(|e| Error::io(std::env::temp_dir(), e))?;
        *at = end;
    }
    Ok(())
}
