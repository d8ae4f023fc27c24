//! `BucketShelf`: checkpoints in a bucket of an S3-compatible object store.
//!
//! Owns what lies below the prefix: a file is an object of its name, and what is behind its first [`PIECE_BYTES`] lies in
//! `NAME.piece-00001` and so on, each made by one create-only put (a multipart upload would overwrite). `claim-N` is the
//! one server that may write: who opens the prefix makes the next one and removes those before, and who finds its own
//! gone stops. `owner` names the data directory that the files belong to: no other is let in. `create-only.probe` is for
//! finding out what the server can do. It must not know what is in the files.

mod error;
mod store;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{SystemTime, UNIX_EPOCH};

pub use thalweg_bucket::BucketOptions;
use thalweg_bucket::Place;
use thalweg_core::{Error, Result};
use tokio::runtime::{Builder, Runtime};

use super::shelf::INCARNATIONS_PER_START;
use super::{Packing, Shelf};
use store::{Bucket, Put};

/// Bytes of a file in one object. Part of the format: files are read by it.
pub(super) const PIECE_BYTES: usize = 16 << 20;
/// What marks further pieces of a file.
const PIECE: &str = ".piece-";
/// What marks the server that may write.
const CLAIM: &str = "claim-";
/// An object that is put to see whether the server refuses to overwrite it.
const PROBE: &str = "create-only.probe";
/// An object that names the data directory that the files belong to.
const OWNER: &str = "owner";

/// Files below a prefix of a bucket. Whoever opens it takes it over from whoever had it.
pub struct BucketShelf {
    bucket: Arc<Bucket>,
    /// `None`: it only looks.
    claim: Option<u64>,
    /// What the claim holds: no other opening has the same.
    mark: Vec<u8>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for BucketShelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketShelf").field("url", &self.bucket.url).field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl Drop for BucketShelf {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed where it may be dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl BucketShelf {
    /// Opens `s3://BUCKET/PREFIX` for the data directory `owner` and takes it over: a server that has it open can write
    /// no more.
    ///
    /// # Errors
    /// The URL or an option is wrong, the files below the prefix belong to another data directory, the store cannot be
    /// reached or refuses, or it overwrites what it must not.
    pub fn open(url: &str, options: &BucketOptions, owner: &str) -> Result<Self> {
        Self::over(bucket(url, options)?, owner)
    }

    /// Opens `s3://BUCKET/PREFIX` to look: whoever has it open goes on.
    ///
    /// # Errors
    /// The URL or an option is wrong.
    pub fn look(url: &str, options: &BucketOptions) -> Result<Self> {
        Self::on(bucket(url, options)?)
    }

    /// Over any bucket.
    fn over(bucket: Bucket, owner: &str) -> Result<Self> {
        let mut shelf = Self::on(bucket)?;
        shelf.claim = Some(shelf.take_over(owner)?);
        Ok(shelf)
    }

    fn on(bucket: Bucket) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("checkpoint-bucket")
            .enable_all()
            .build()
            .map_err(|e| Error::io(&bucket.url, e))?;
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mark = format!("process {} at {age} ns\n", std::process::id()).into_bytes();
        Ok(Self { bucket: Arc::new(bucket), claim: None, mark, runtime: Some(runtime) })
    }

    /// Waits for `work` on the runtime's own thread: that is allowed from any other.
    fn wait<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        let runtime = self.runtime.as_ref().ok_or_else(|| Error::Internal("the shelf is closed".to_owned()))?;
        // Nobody waits if this thread is gone.
        runtime.spawn(async move { drop(answer.send(work.await)) });
        answered
            .recv()
            .map_err(|_| Error::Internal(format!("{}: a request ended without an answer", self.bucket.url)))?
    }

    fn take_over(&self, owner: &str) -> Result<u64> {
        let (bucket, mark, owner) = (Arc::clone(&self.bucket), self.mark.clone(), owner.to_owned());
        self.wait(async move {
            bucket.refuses_to_overwrite(PROBE).await?;
            // Before anything is taken from whoever is right here.
            if let Put::Taken = bucket.put_new(OWNER, owner.as_bytes()).await? {
                return Err(bucket.of_another());
            }
            let before: Vec<u64> = bucket.names().await?.iter().filter_map(|name| claim_of(name)).collect();
            let mut claim = before.iter().max().map_or(1, |newest| newest + 1);
            while let Put::Taken = bucket.put_new(&claim_name(claim), &mark).await? {
                claim += 1;
            }
            // Those that came in between too, but none that came after.
            for older in bucket.names().await?.iter().filter(|name| claim_of(name).is_some_and(|n| n < claim)) {
                bucket.delete(older).await?;
            }
            Ok(claim)
        })
    }
}

impl BucketShelf {
    /// What it takes to write.
    fn writer(&self) -> Result<(Arc<Bucket>, u64, Vec<u8>)> {
        let looks = || Error::Internal(format!("{}: it was opened to look only", self.bucket.url));
        Ok((Arc::clone(&self.bucket), self.claim.ok_or_else(looks)?, self.mark.clone()))
    }
}

impl Bucket {
    /// Fails if another server has taken over.
    async fn check(&self, claim: u64, mark: &[u8]) -> Result<()> {
        let name = claim_name(claim);
        match self.get(&name).await? {
            Some(found) if found == mark => Ok(()),
            _ => Err(self.lost(&name)),
        }
    }

    async fn put_file(self: &Arc<Self>, files: Vec<(String, Vec<u8>)>) -> Result<()> {
        for (name, put) in self.put_all(files).await? {
            if let Put::Taken = put {
                return Err(self.taken(&name));
            }
        }
        Ok(())
    }
}

impl Shelf for BucketShelf {
    fn publish(&self, files: &[(String, Vec<u8>)], (name, content): (&str, &[u8])) -> Result<()> {
        let (bucket, claim, mark) = self.writer()?;
        self.wait(async move { bucket.check(claim, &mark).await })?;
        // Few at a time are copied: what they take is bounded.
        let pieces = files.iter().flat_map(|(name, bytes)| pieces(name, bytes)).collect::<Vec<_>>();
        for wave in pieces.chunks(store::PARALLEL_PUTS) {
            let (bucket, wave) =
                (Arc::clone(&self.bucket), wave.iter().map(|(n, b)| (n.clone(), b.to_vec())).collect());
            self.wait(async move { bucket.put_file(wave).await })?;
        }
        let manifest = pieces_of(name, content);
        let (bucket, claim, mark) = self.writer()?;
        self.wait(async move {
            // The first piece of a manifest makes it valid: it comes last.
            for piece in manifest.into_iter().rev() {
                bucket.put_file(vec![piece]).await?;
            }
            // While the claim is there, whoever takes over will list what was put before.
            bucket.check(claim, &mark).await
        })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let (bucket, name) = (Arc::clone(&self.bucket), name.to_owned());
        self.wait(async move {
            let mut bytes = bucket.get(&name).await?.ok_or_else(|| bucket.missing(&name))?;
            let mut piece = bytes.len();
            for at in 1.. {
                if piece < PIECE_BYTES {
                    break;
                }
                let Some(more) = bucket.get(&piece_name(&name, at)).await? else { break };
                piece = more.len();
                bytes.extend(more);
            }
            Ok(bytes)
        })
    }

    fn read_range(&self, name: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        let (bucket, name) = (Arc::clone(&self.bucket), name.to_owned());
        self.wait(async move {
            let (mut bytes, mut at, end) = (Vec::new(), offset, offset.saturating_add(length));
            let piece_bytes = PIECE_BYTES as u64;
            while at < end {
                let (piece, from) = (at / piece_bytes, at % piece_bytes);
                let to = (from + (end - at)).min(piece_bytes);
                let Some(found) = bucket.get_range(&piece_name(&name, piece), from..to).await? else {
                    if piece == 0 {
                        return Err(bucket.missing(&name));
                    }
                    break;
                };
                let whole = found.len() as u64 == to - from;
                at += found.len() as u64;
                bytes.extend(found);
                if !whole {
                    break;
                }
            }
            Ok(bytes)
        })
    }

    fn list(&self) -> Result<Vec<String>> {
        let bucket = Arc::clone(&self.bucket);
        let mut names = self.wait(async move { bucket.names().await })?;
        names.retain(|name| name != PROBE && name != OWNER && claim_of(name).is_none());
        names.iter_mut().for_each(|name| name.truncate(file_of(name).len()));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let ((bucket, claim, mark), name) = (self.writer()?, name.to_owned());
        self.wait(async move {
            bucket.check(claim, &mark).await?;
            if bucket.size(&name).await?.is_none_or(|size| size >= PIECE_BYTES as u64) {
                let mut pieces = bucket.names().await?;
                pieces.retain(|piece| *piece != name && file_of(piece) == name);
                for piece in pieces {
                    bucket.delete(&piece).await?;
                }
            }
            bucket.delete(&name).await
        })
    }

    fn packing(&self) -> Packing {
        Packing::Zstd
    }

    fn first_incarnation(&self) -> u64 {
        self.claim.unwrap_or(0).saturating_mul(INCARNATIONS_PER_START)
    }
}

fn bucket(url: &str, options: &BucketOptions) -> Result<Bucket> {
    let place = Place::parse(url)?;
    let (store, secrets) = options.connect(&place)?;
    Bucket::new(store, &place.url(), &place.prefix, secrets)
}

fn claim_name(claim: u64) -> String {
    format!("{CLAIM}{claim:010}")
}

fn claim_of(name: &str) -> Option<u64> {
    name.strip_prefix(CLAIM)?.parse().ok()
}

fn piece_name(name: &str, piece: u64) -> String {
    if piece == 0 { name.to_owned() } else { format!("{name}{PIECE}{piece:05}") }
}

/// The file that an object belongs to.
fn file_of(name: &str) -> &str {
    match name.rsplit_once(PIECE) {
        Some((file, number)) if number.parse::<u64>().is_ok() => file,
        _ => name,
    }
}

/// A file as objects; there is one if it is empty too.
fn pieces<'a>(name: &str, bytes: &'a [u8]) -> Vec<(String, &'a [u8])> {
    if bytes.is_empty() {
        return vec![(name.to_owned(), bytes)];
    }
    let numbered = (0..).zip(bytes.chunks(PIECE_BYTES));
    numbered.map(|(number, piece)| (piece_name(name, number), piece)).collect()
}

fn pieces_of(name: &str, bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    pieces(name, bytes).into_iter().map(|(name, piece)| (name, piece.to_vec())).collect()
}

#[cfg(test)]
mod fault_store;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;
