//! `Bucket`: the few requests that a shelf makes, each with an outcome that is certain. It must not know files of
//! several pieces, nor who may write.

use std::ops::Range;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use thalweg_bucket::{explain, no_bucket};
use thalweg_core::{Error, Result, Secret};
use tokio::task::JoinSet;

use super::error;

/// Puts on their way at one time.
pub(super) const PARALLEL_PUTS: usize = 4;
/// Tries of a put whose outcome is not known, each with the retries of `options::RETRIES`.
const PUT_ATTEMPTS: usize = 3;

/// What became of a create-only put.
#[derive(Debug)]
pub(super) enum Put {
    /// The object is there with our content.
    Done,
    /// It was there with another.
    Taken,
}

/// Objects directly below a prefix.
pub(super) struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// As it is shown.
    pub(super) url: String,
    /// Never shown.
    pub(super) secrets: Vec<Secret>,
}

impl Bucket {
    /// Below `prefix` of a store; for what is shown of it, `url` has no credentials and `secrets` are masked.
    pub(super) fn new(store: Arc<dyn ObjectStore>, url: &str, prefix: &str, secrets: Vec<Secret>) -> Result<Self> {
        let prefix =
            Path::parse(prefix).map_err(|e| Error::invalid(format!("{url}: the prefix is not a path: {e}")))?;
        Ok(Self { store, prefix, url: url.to_owned(), secrets })
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn key(&self, name: &str) -> String {
        if name.is_empty() { self.url.clone() } else { format!("{}/{name}", self.url) }
    }

    fn failed(&self, what: &str, name: &str, cause: &StoreError) -> Error {
        Error::io(self.key(name), explain(what, cause, &self.secrets))
    }

    pub(super) fn missing(&self, name: &str) -> Error {
        Error::io(self.key(name), error::missing())
    }

    pub(super) fn taken(&self, name: &str) -> Error {
        Error::io(self.key(name), error::taken())
    }

    pub(super) fn of_another(&self) -> Error {
        Error::io(self.url.as_str(), error::of_another())
    }

    pub(super) fn lost(&self, name: &str) -> Error {
        Error::io(self.key(name), error::lost())
    }

    /// Puts what is not there yet. An answer that was lost is found out by reading.
    pub(super) async fn put_new(&self, name: &str, bytes: &[u8]) -> Result<Put> {
        let payload = PutPayload::from(bytes.to_vec());
        let mut last = None;
        for _ in 0..PUT_ATTEMPTS {
            let options = PutOptions::from(PutMode::Create);
            match self.store.put_opts(&self.path(name), payload.clone(), options).await {
                Ok(_) => return Ok(Put::Done),
                Err(cause @ StoreError::AlreadyExists { .. }) => match self.get(name).await {
                    Ok(Some(found)) if found == bytes => return Ok(Put::Done),
                    Ok(Some(_)) => return Ok(Put::Taken),
                    // Two puts at one time may both be refused.
                    Ok(None) => last = Some(self.failed("put", name, &cause)),
                    Err(error) => last = Some(error),
                },
                Err(cause @ StoreError::Generic { .. }) => last = Some(self.failed("put", name, &cause)),
                Err(cause) => return Err(self.failed("put", name, &cause)),
            }
        }
        Err(last.unwrap_or_else(|| Error::Internal(format!("{}: nothing was tried", self.key(name)))))
    }

    /// All of `files` at one time, and what became of each.
    pub(super) async fn put_all(self: &Arc<Self>, files: Vec<(String, Vec<u8>)>) -> Result<Vec<(String, Put)>> {
        let mut puts = JoinSet::new();
        for (name, bytes) in files {
            let bucket = Arc::clone(self);
            puts.spawn(async move { bucket.put_new(&name, &bytes).await.map(|put| (name, put)) });
        }
        // All are waited for: none may take effect after an error was told.
        let mut outcomes = Vec::new();
        while let Some(joined) = puts.join_next().await {
            outcomes.push(joined.map_err(|e| Error::Internal(e.to_string())).and_then(|outcome| outcome));
        }
        outcomes.into_iter().collect()
    }

    /// All of an object, `None` if there is none.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let answer = async { self.store.get(&self.path(name)).await?.bytes().await }.await;
        self.found(name, answer.map(|bytes| bytes.to_vec()))
    }

    /// A range of an object, shorter where that ends; `None` if there is none.
    pub(super) async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Option<Vec<u8>>> {
        match self.store.get_range(&self.path(name), range.clone()).await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            // A range behind the end is refused, not empty.
            Err(cause @ StoreError::Generic { .. }) => match self.size(name).await? {
                None => Ok(None),
                Some(size) if size <= range.start => Ok(Some(Vec::new())),
                Some(_) => Err(self.failed("read", name, &cause)),
            },
            Err(cause) => self.found(name, Err(cause)),
        }
    }

    /// Bytes of an object, `None` if there is none.
    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>> {
        let answer = self.store.head(&self.path(name)).await;
        self.found(name, answer.map(|meta| meta.size))
    }

    fn found<T>(&self, name: &str, answer: Result<T, StoreError>) -> Result<Option<T>> {
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(StoreError::NotFound { source, .. }) if !no_bucket(&source.to_string()) => Ok(None),
            Err(cause) => Err(self.failed("read", name, &cause)),
        }
    }

    /// The objects directly below the prefix.
    pub(super) async fn names(&self) -> Result<Vec<String>> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self.store.list_with_delimiter(prefix).await.map_err(|e| self.failed("list", "", &e))?;
        Ok(listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    /// Removes an object; one that is not there is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) => Ok(()),
            Err(StoreError::NotFound { source, .. }) if !no_bucket(&source.to_string()) => Ok(()),
            Err(cause) => Err(self.failed("remove", name, &cause)),
        }
    }

    /// Puts the object `name` twice if need be: the server must refuse the second time.
    pub(super) async fn refuses_to_overwrite(&self, name: &str) -> Result<()> {
        let key = self.path(name);
        let (mut made, mut last) = (0, None);
        for _ in 0..PUT_ATTEMPTS {
            let options = PutOptions::from(PutMode::Create);
            match self.store.put_opts(&key, PutPayload::from_static(b"thalweg\n"), options).await {
                Ok(_) if made == 1 => return Err(self.overwrites()),
                Ok(_) => made += 1,
                Err(StoreError::AlreadyExists { .. }) => return Ok(()),
                Err(cause @ StoreError::Generic { .. }) => last = Some(self.failed("put", name, &cause)),
                Err(cause) => return Err(self.failed("put", name, &cause)),
            }
        }
        Err(last.unwrap_or_else(|| Error::Internal(format!("{}: nothing was tried", self.key(name)))))
    }

    fn overwrites(&self) -> Error {
        Error::invalid_with_hint(
            format!("{}: the object store overwrites an object that was to be created (If-None-Match: *)", self.url),
            "Two servers could destroy each other's checkpoints there; use a store, or a version of it, that honours conditional writes.",
        )
    }
}
